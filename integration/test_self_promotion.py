"""A backup whose copy fails makes itself active and writable: it is caught, counted and put right, and serves nobody.

Each thing that makes ovsdb-server do so is done to a real one.
"""

from __future__ import annotations

import rpc
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_every_row,
    await_one,
    await_pair,
    await_rows,
    begin,
    counter,
    is_copy,
    kept,
    log,
    lost,
    snapshots,
    undisturbed,
)
from switch import Switch
from traps import TRAPS, itself, own_address, point
from watch import Watch


def assert_caught(pair: Lab, what: str) -> Watch:
    """Hold that sw2 in this trap is seen, logged, counted and put right, and that nobody is served by it meanwhile."""
    incidents, said, held = counter(pair.sw2, "incidents"), len(log(pair.sw2)), snapshots(pair.sw2)
    with undisturbed(pair), Watch(pair.sw2) as seen, TRAPS[what](pair, pair.sw2):
        pair.wait_until(lambda: counter(pair.sw2, "incidents") > incidents, LIMIT, f"it is counted that {what}")
        pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "it is a copy again")
    assert "incident: ovsdb-server was found" in log(pair.sw2)[said:]
    assert seen.opened == set(), "no client could have come in by the VIP, nor by the controller's session"
    assert {ack.switch for ack in acks(pair)} == {pair.sw1.management_address}
    assert good(held) <= good(snapshots(pair.sw2)), "what was kept is kept still"
    return seen


def good(names: list[str]) -> set[str]:
    return {name for name in names if "blank" not in name}


def test_backup_that_made_itself_active_serves_nobody_and_is_a_copy_again(lab: MakeLab) -> None:
    pair = begin(lab)
    for what in TRAPS:
        seen = assert_caught(pair, what)
        stays_backup = what == "the source has no such database"
        assert bool(seen.active) is not stays_backup, what
    await_every_row(pair, pair.sw2)

    # What a client on the switch wrote in the meantime is gone from the copy, and kept.
    with itself(pair, pair.sw2):
        pair.wait_until(lambda: written_locally(pair.sw2), LIMIT, "a client on the switch gets a write through")
    pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "it is a copy again")
    assert "stray" not in {row["name"] for row in rpc.select(pair.sw2.socket, "Logical_Switch", "name")}
    in_snapshots = [(pair.sw2.directory / "state" / "snapshots" / name).read_text() for name in snapshots(pair.sw2)]
    assert any('"stray"' in text for text in in_snapshots)

    # Both follow each other: nobody is writable until they are taken apart, and no acknowledged row is gone.
    point(pair.sw1, own_address(pair.sw2))
    pair.wait_until(lambda: counter(pair.sw1, "incidents") > 0, LIMIT, "it is noticed")
    serving = await_one(pair)
    await_rows(pair, 50)
    await_pair(pair, serving)
    gone = {ack.mac for ack in lost(pair, serving)}
    assert not gone or gone <= kept(pair.sw1) | kept(pair.sw2)


def written_locally(switch: Switch) -> bool:
    rpc.transact(switch.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "stray"}})
    return True
