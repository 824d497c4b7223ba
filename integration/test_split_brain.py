"""Both paths are cut while both switches live, and contact returns: one gives way, and what it gives up is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rpc
from lab import Lab
from ovsha.report import trace
from story import (
    LIMIT,
    SERVICE,
    MakeLab,
    await_pair,
    await_rows,
    await_word,
    begin,
    kept,
    log,
    lost,
    open_here,
    other,
    snapshots,
    status,
    writer,
)
from switch import Switch
from test_wire import QUICKLY, announced
from topology import INTERFACE, PEER_LINK_MAC
from wire import wire

DEAF = '{ type filter hook ingress device "eth0" priority 0; }'
WRITES = 20

MANUAL = {"restore": {"mode": "manual"}}


def part(pair: Lab) -> None:
    """Cut both paths between the agents, but not the way to the controller, and wait until both sides serve."""
    for switch in pair.switches:
        switch.run("nft", f"add table netdev split; add chain netdev split lost {DEAF}")
        switch.run("nft", "add rule netdev split lost udp dport 5344 drop")
        switch.run("nft", "add rule netdev split lost icmp type { echo-request, echo-reply } drop")
        switch.run("nft", "add rule netdev split lost icmpv6 type { echo-request, echo-reply } drop")
    pair.network.cut("peer link")
    pair.wait_until(lambda: all(open_here(switch) == SERVICE for switch in pair.switches), LIMIT, "both sides serve")
    pair.wait_until(lambda: writer(pair) == pair.sw2.management_address, LIMIT, "the controller writes to sw2")


def mend_backup_path(pair: Lab) -> None:
    for switch in pair.switches:
        switch.run("nft", "delete table netdev split")


def meet(pair: Lab) -> Switch:
    """Mend the peer link and return the side that goes on, once the other one follows it."""
    pair.network.mend("peer link")
    pair.wait_until(lambda: sum(bool(open_here(switch)) for switch in pair.switches) == 1, LIMIT, "one has given in")
    (winner,) = (switch for switch in pair.switches if open_here(switch))
    pair.wait_until(lambda: other(pair, winner).replicates_from() is not None, LIMIT, "the other one follows")
    return winner


def write(switch: Switch) -> frozenset[str]:
    """Have a client on this switch write, and return what was acknowledged."""
    names = frozenset(f"written-on-{switch.node}-{number}" for number in range(WRITES))
    for name in names:
        rpc.transact(switch.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": name}})
    return names


def written(switch: Switch) -> frozenset[str]:
    """Return what clients have written, as it stands in this switch's own copy."""
    return names_in(rpc.select(switch.socket, "Logical_Switch", "name"))


def names_in(rows: list[dict[str, Any]]) -> frozenset[str]:
    return frozenset(row["name"] for row in rows if row["name"].startswith("written-on-"))


def written_in(switch: Switch, database: Path) -> frozenset[str]:
    """Return what clients have written, as it stands in a file."""
    query = json.dumps(["hardware_vtep", {"op": "select", "table": "Logical_Switch", "where": []}])
    found = switch.run("ovsdb-tool", "query", str(database), query)
    return names_in(json.loads(found.stdout)[0]["rows"])


def forensics(switch: Switch, *words: str) -> Any:
    """Return what `ovsha forensics` prints as JSON on this switch."""
    done = switch.ovsha("forensics", *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def bundles(switch: Switch) -> list[Path]:
    return sorted((switch.directory / "state" / "forensics").glob("*"))


def entries(file: Path) -> list[trace.Entry]:
    return [trace.from_plain(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def announcements(pair: Lab, winner: Switch) -> Iterator[Counter[tuple[int, str]]]:
    """Hold that the winner announces the VIP to the other side, in the block or soon after it, and nobody else does."""
    loser = other(pair, winner)
    with wire(pair, loser.node, INTERFACE["peer link"]) as raw:
        seen: Counter[tuple[int, str]] = Counter()
        yield seen
        mac = PEER_LINK_MAC[winner.node]
        wanted = Counter({(1, mac): 3, (2, mac): 3})
        pair.wait_until(lambda: announced(raw, seen) >= wanted, LIMIT, "the winner announces the VIP again")
        assert {sender for _, sender in seen} == {mac}


def test_one_side_gives_way_follows_and_leaves_a_bundle_that_tells_all_of_it(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**QUICKLY, **MANUAL})
    part(pair)
    await_rows(pair, 25)
    acknowledged = {switch.node: write(switch) for switch in pair.switches}
    programs = pids(pair)

    expected = better(pair)
    with announcements(pair, expected):
        winner = meet(pair)
        assert winner is expected, "all else being equal, the preferred side goes on"
    mend_backup_path(pair)
    loser = other(pair, winner)
    await_pair(pair, winner)
    assert pids(pair) == programs, "without a reboot"
    assert "both sides serve and the peer goes on" not in log(winner), "one verdict on both sides"
    for switch in pair.switches:
        assert written(switch) == acknowledged[winner.node]
    assert {ack.mac for ack in lost(pair, winner)} <= kept(loser)

    pair.wait_until(lambda: forensics(loser, "list")["bundles"], LIMIT, "the bundle is made")
    (bundle,) = bundles(loser)
    assert bundles(winner) == []
    assert_it_is_complete(pair, loser, bundle, acknowledged[loser.node])
    assert_both_can_see_and_clear_it(pair, loser, bundle)


def better(pair: Lab) -> Switch:
    """Return the preferred side, unless a busy machine has let its agent sleep through a part of this."""
    first, second = (status(switch)["sides"][switch.node]["lapsed"] for switch in pair.switches)
    return pair.sw2 if first and not second else pair.sw1


def pids(pair: Lab) -> list[int | None]:
    return [service.pid for switch in pair.switches for service in (switch.server, switch.agent)]


def assert_it_is_complete(pair: Lab, loser: Switch, bundle: Path, given_up: frozenset[str]) -> None:
    winner = other(pair, loser)
    assert written_in(loser, bundle / "database.db") == given_up, "the database has exactly what was given up"
    assert "written-on-" in (bundle / "show-log.txt").read_text(encoding="utf-8")
    assert "both sides serve and the peer goes on" in (bundle / "agent.log").read_text(encoding="utf-8")
    traces = {switch.node: entries(bundle / f"trace-{switch.node}.jsonl") for switch in pair.switches}
    assert all(trace.holds(entry) for each in traces.values() for entry in each), "each is decided so again"
    assert "split-lost" in {entry.outcome.rule for entry in traces[loser.node]}
    assert "we-serve" in {entry.outcome.rule for entry in traces[winner.node]}
    assert {entry.view.settings.node for entry in traces[winner.node]} == {winner.node}
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["winner"] == winner.node
    assert f"both sides serve and the peer goes on: {manifest['why']}" in log(loser)
    assert manifest["missing"] == {}
    assert all(record["serving"] for record in manifest["records"].values())


def assert_both_can_see_and_clear_it(pair: Lab, loser: Switch, bundle: Path) -> None:
    winner = other(pair, loser)
    assert forensics(winner, "list")["bundles"] == []
    near, far = forensics(loser, "list")["bundles"], forensics(winner, "list", "--peer")["bundles"]
    assert near == far
    assert [each["id"] for each in far] == [bundle.name]
    near, far = forensics(loser, "show", bundle.name), forensics(winner, "show", bundle.name, "--peer")
    assert near == far
    told = winner.ovsha("forensics", "show", bundle.name, "--peer")
    assert told.returncode == 0
    for words in (f"verdict: {winner.node} goes on: ", f"last decisions of {winner.node}:",
                  f"last decisions of {loser.node}:", "show-log.txt: "):  # fmt: skip
        assert words in told.stdout
    asked = winner.ovsha("forensics", "clear", "--peer")
    assert (asked.returncode, bundle.exists()) == (2, True), "nobody could be asked whether it is meant"
    assert forensics(winner, "clear", bundle.name, "--peer", "--yes")["removed"] == [bundle.name]
    assert bundles(loser) == []
    assert forensics(loser, "list")["bundles"] == []


def test_contact_by_the_backup_path_alone_settles_it_and_the_bundle_is_made_before_anything_is_erased(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides=MANUAL)
    part(pair)
    acknowledged = {switch.node: write(switch) for switch in pair.switches}
    mend_backup_path(pair)
    pair.wait_until(lambda: not open_here(pair.sw2), LIMIT, "sw2 has given in")
    await_rows(pair, 25)
    assert open_here(pair.sw1) == SERVICE
    assert written(pair.sw2) == acknowledged["sw2"], "what cannot be copied yet is not erased either"
    assert bundles(pair.sw2) == []
    pair.network.mend("peer link")
    await_pair(pair, pair.sw1)
    assert written(pair.sw2) == acknowledged["sw1"]
    pair.wait_until(lambda: forensics(pair.sw2, "list")["bundles"], LIMIT, "the bundle is made")
    (bundle,) = bundles(pair.sw2)
    assert_it_is_complete(pair, pair.sw2, bundle, acknowledged["sw2"])
    pair.sw2.agent.kill()
    assert [each["id"] for each in forensics(pair.sw2, "list")["bundles"]] == [bundle.name], "without an agent as well"


def test_a_bundle_that_cannot_be_made_is_told_and_holds_up_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    part(pair)
    acknowledged = write(pair.sw2)
    (pair.sw2.directory / "state" / "forensics").write_text("in the way", encoding="ascii")
    meet(pair)
    mend_backup_path(pair)
    await_pair(pair, pair.sw1)
    await_word(pair, pair.sw2, "a forensic bundle cannot be made: ")
    assert "File exists" in json.dumps(status(pair.sw2)["problems"])
    newest = pair.sw2.directory / "state" / "snapshots" / snapshots(pair.sw2)[-1]
    assert written_in(pair.sw2, newest) == acknowledged, "the snapshot has it nonetheless"
