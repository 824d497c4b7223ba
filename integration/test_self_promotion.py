"""A backup whose copy fails makes itself active and writable: it is caught, counted and put right, and serves nobody.

Each thing that makes ovsdb-server do so is done to a real one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import rpc
import seed
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_copy,
    await_every_row,
    await_one,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    begin,
    counter,
    is_copy,
    is_read_only,
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
        assert not (seen.active and stays_backup), what
    await_every_row(pair, pair.sw2)

    # What a client on the switch wrote in the meantime is gone from the copy, and kept.
    pair.sw2.agent.freeze()  # which would be faster than the client
    with itself(pair, pair.sw2):
        pair.wait_until(lambda: written_locally(pair.sw2), LIMIT, "a client on the switch gets a write through")
    pair.sw2.agent.thaw()
    pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "it is a copy again")
    assert "stray" not in {row["name"] for row in rpc.select(pair.sw2.socket, "Logical_Switch", "name")}
    in_snapshots = [(pair.sw2.directory / "state" / "snapshots" / name).read_text() for name in snapshots(pair.sw2)]
    assert any('"stray"' in text for text in in_snapshots)

    # Both follow each other: nobody is writable until they are taken apart, and no acknowledged row is gone.
    point(pair.sw1, own_address(pair.sw2))
    pair.wait_until(lambda: counter(pair.sw1, "incidents") > 0, LIMIT, "it is noticed")
    serving = await_one(pair)
    await_rows(pair, 25)
    await_pair(pair, serving)
    gone = {ack.mac for ack in lost(pair, serving)}
    assert not gone or gone <= kept(pair.sw1) | kept(pair.sw2)


def written_locally(switch: Switch) -> bool:
    rpc.transact(switch.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "stray"}})
    return True


def test_copy_that_fails_again_and_again_is_given_up_and_costs_no_snapshot(lab: MakeLab) -> None:
    pair = begin(lab)
    for _ in range(2):  # so that there is something to lose
        replace_database(pair.sw2, None)
        await_copy(pair, pair.sw2)
    held, incidents = good(snapshots(pair.sw2)), counter(pair.sw2, "incidents")
    with undisturbed(pair), Watch(pair.sw2) as seen:
        replace_database(pair.sw2, seed.narrow_schema(pair.directory / "narrow.ovsschema"))
        await_problem(pair, pair.sw2, "sw2 needs a decision", "gave up copying it 3 times", "ovsha resolve --keep peer")
    assert counter(pair.sw2, "incidents") == incidents + 3, "and it is not made to try again"
    assert len(seen.active) <= 3, "who looks from outside may miss one"
    assert seen.opened == set()
    assert is_read_only(pair.sw2)
    assert held <= good(snapshots(pair.sw2))
    assert len(snapshots(pair.sw2)) - len(good(snapshots(pair.sw2))) == 1, "of what the failed copies left one is kept"
    replace_database(pair.sw2, seed.SCHEMA)
    resolved = pair.sw2.ovsha("resolve", "--yes", "--keep", "peer", "--reason", "the schema is mended")
    assert resolved.returncode == 0, resolved.stderr
    await_pair(pair, pair.sw1)

    # The active side gets a newer schema: it is not copied from, which would end in the same way.
    rows, incidents = pair.sw2.rows(), counter(pair.sw2, "incidents")
    newer = seed.newer_schema(pair.directory / "newer.ovsschema")
    with Watch(pair.sw2) as seen:
        converted = pair.sw1.run("ovsdb-client", "convert", f"unix:{pair.sw1.socket}", str(newer))
        assert converted.returncode == 0, converted.stderr
        await_problem(pair, pair.sw2, "sw2 needs a decision", f"the peer's schema hardware_vtep {seed.NEWER_VERSION}")
        await_service(pair, pair.sw1)
    assert counter(pair.sw2, "incidents") <= incidents + 1, "the server may be faster than the agent, but only once"
    assert seen.opened == set()
    assert is_read_only(pair.sw2)
    assert rows <= pair.sw2.rows()
    refused = pair.sw2.ovsha("resolve", "--yes", "--keep", "peer", "--reason", "impatience")
    assert (refused.returncode, "convert the database on sw2 first" in refused.stderr) == (1, True)
    pair.sw2.server.stop()
    subprocess.run(["ovsdb-tool", "convert", str(pair.sw2.database), str(newer)], check=True)
    pair.sw2.server.start(wait=False)
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def replace_database(switch: Switch, schema: Path | None) -> None:
    """Start the server anew, with a blank database of that schema if there is one."""
    switch.server.kill()
    if schema is not None:
        switch.database.unlink()
        seed.blank(switch.database, schema)
    switch.server.start(wait=False)
