"""What was acknowledged only by the side that lost is listed row by row, and can be brought back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rpc
import seed
from lab import Lab
from story import (
    LIMIT,
    SERVICE,
    MakeLab,
    await_copy,
    await_pair,
    await_rows,
    await_service,
    begin,
    in_sync,
    lost,
    open_here,
    other,
    serves,
    status,
    strike,
)
from switch import Switch

ROWS = 40
SAME_TERM = {"restore": {"mode": "manual"}}
INGRESS = '{ type filter hook ingress device "%s" priority 0; }'


def test_after_n_writes_on_the_wrong_side_of_a_partition_the_ledger_has_n_rows_and_brings_them_back(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides=SAME_TERM)
    pair.controller.stop()
    marks = {switch.node: number for number, switch in enumerate(pair.switches)}
    part(pair)
    pair.wait_until(lambda: all(open_here(switch) == SERVICE for switch in pair.switches), LIMIT, "both sides serve")
    for switch in pair.switches:
        write_differently(switch, marks[switch.node])
    join(pair)
    winner = await_winner(pair)
    loser = other(pair, winner)
    mark = marks[loser.node]

    head = await_ledger(pair, loser)
    assert head["exact"]
    assert (head["node"], head["peer"]) == (loser.node, winner.node)
    assert head["counts"] == {"inserted": ROWS, "changed": 1, "deleted": 1}
    told = shown(loser, head["id"])
    assert told == shown(winner, head["id"], "--peer"), "the other side can read it too"
    assert macs(told, "inserted") == {made_up(mark, number) for number in range(ROWS)}
    assert macs(told, "changed") == {seed.mac(2 * mark)}
    assert macs(told, "deleted") == {seed.mac(2 * mark + 1)}
    (problem,) = [each for each in status(loser)["problems"] if each["name"] == "divergence"]
    assert f"{ROWS + 2} acknowledged rows" in problem["what"]
    assert head["id"] in problem["what"]

    # Refused as a whole while one row has moved on, and then nothing is replayed.
    before = winner.rows()
    set_address(winner, seed.mac(2 * mark), "192.0.2.99")
    refused = loser.ovsha("ledger", "replay", head["id"], "--yes")
    assert refused.returncode == 1
    assert "moved on" in refused.stderr
    assert "192.0.2.99" in refused.stderr
    assert loser.ovsha("ledger", "replay", head["id"], "--dry-run").returncode == 1
    assert winner.rows() == before
    set_address(winner, seed.mac(2 * mark), "")

    assert loser.ovsha("ledger", "replay", head["id"], "--dry-run").returncode == 0
    assert winner.rows() == before, "a dry run changes nothing"
    replayed = loser.ovsha("ledger", "replay", head["id"], "--yes")
    assert replayed.returncode == 0, replayed.stderr
    assert f"{ROWS + 1} rows replayed; 1 left alone" in replayed.stdout
    wanted = before | macs(told, "inserted")
    assert winner.rows() == wanted, "nothing goes unasked"
    pair.wait_until(lambda: "1 row that was" in "".join(divergences(loser)), LIMIT, "the status tells what is left")
    (gone,) = [entry["uuid"] for entry in told["entries"] if entry["kind"] == "deleted"]
    replayed = loser.ovsha("ledger", "replay", head["id"], "--yes", "--deletions")
    assert replayed.returncode == 0, replayed.stderr
    assert f"delete Ucast_Macs_Remote {gone}: MAC: {seed.mac(2 * mark + 1)}" in replayed.stdout, "it is named"
    assert "1 row replayed" in replayed.stdout
    assert winner.rows() == wanted - macs(told, "deleted")
    assert address(winner, seed.mac(2 * mark)) == "192.0.2.1"
    for entry in told["entries"]:
        if entry["kind"] == "inserted":
            assert uuid_of(winner, entry["row"]["MAC"]) == entry["uuid"], "a row comes back as the row that it was"
    pair.wait_until(lambda: loser.rows() == winner.rows(), LIMIT, "the backup has them too")

    again = loser.ovsha("ledger", "replay", head["id"], "--yes")
    assert again.returncode == 1
    assert "settled" in again.stderr
    nothing = loser.ovsha("ledger", "replay", head["id"], "--yes", "--again")
    assert "0 rows replayed" in nothing.stdout, "what is there already is left alone"
    pair.wait_until(lambda: not divergences(loser), LIMIT, "the status is clear again")

    moved = winner.ovsha("switchover", "--yes", "--to", loser.node)
    assert moved.returncode == 0, moved.stderr
    loser.socket.unlink()
    nothing = loser.ovsha("ledger", "replay", head["id"], "--yes", "--again")
    assert "0 rows replayed" in nothing.stdout, f"on the active side, whose socket is lost: {nothing.stderr}"


def test_after_a_kill_under_load_the_ledger_has_exactly_the_acknowledged_rows_that_the_survivor_lacks(
    lab: MakeLab,
) -> None:
    pair = begin(lab, rate=200)
    # Replication is held up for a moment, so that there is something to lose.
    hold = f"add table netdev hold; add chain netdev hold lost {INGRESS % 'peerlink.4094'}"
    pair.sw2.run("nft", hold + "; add rule netdev hold lost tcp sport 9999 drop")
    await_rows(pair, 40)
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active", LIMIT, "the survivor is active")
    pair.sw2.run("nft", "delete table netdev hold")
    await_service(pair, pair.sw2)
    await_rows(pair, 50)
    gone = {ack.mac for ack in lost(pair, pair.sw2)}
    assert gone, "some rows are lost"
    said = log_length(pair.sw1)
    pair.sw1.server.start(wait=False)
    # The agent is killed as it lets the data be overwritten: the next one goes on with it.
    strike(pair.sw1, "step: follow the peer", said, pair.sw1.agent.kill)
    pair.sw1.agent.start()
    await_pair(pair, pair.sw1)

    told = shown(pair.sw1, await_ledger(pair, pair.sw1)["id"])
    assert told["exact"]
    assert gone <= macs(told, "inserted")
    # A row whose answer was lost with the server was never acknowledged there, and was written once more elsewhere.
    late = macs(told, "inserted") - gone
    assert late <= pair.sw1.rows()
    assert len(late) <= 1, "one row at a time is under way"
    assert set(told["counts"]) == {"inserted", "changed", "deleted"}
    assert told["counts"]["changed"] == told["counts"]["deleted"] == 0
    replayed = pair.sw1.ovsha("ledger", "replay", told["id"], "--yes")
    assert replayed.returncode == 0, replayed.stderr
    assert f"{len(gone)} rows replayed" in replayed.stdout
    assert not lost(pair, pair.sw1), "every acknowledged row is there again"


@pytest.mark.long
def test_planned_moves_leave_no_ledger(lab: MakeLab) -> None:
    pair = begin(lab, rate=200, overrides=SAME_TERM)
    for to in (pair.sw2, pair.sw1, pair.sw2, pair.sw1):
        switch_over(pair, to)
        await_pair(pair, to)
    # Killed before it follows, an agent knows nothing of the move any more, and the next one has the data compared.
    said = log_length(pair.sw1)
    switch_over(pair, pair.sw2)
    strike(pair.sw1, "the peer has only just begun to serve", said, pair.sw1.agent.kill)
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: not pending(pair), LIMIT, "every comparison is over")
    assert [ledgers(switch) for switch in pair.switches] == [[], []]
    assert not any(divergences(switch) for switch in pair.switches)
    assert not lost(pair, pair.sw2)


def test_a_ledger_can_be_dismissed_with_a_reason(lab: MakeLab) -> None:
    pair = begin(lab, overrides=SAME_TERM)
    pair.controller.stop()
    part(pair)
    pair.wait_until(lambda: all(open_here(switch) == SERVICE for switch in pair.switches), LIMIT, "both sides serve")
    for number, switch in enumerate(pair.switches):
        write_differently(switch, number)
    # The survivor's agent dies before it has kept its base, and the next one does it.
    for switch in pair.switches:
        switch.agent.kill()
        switch.agent.start()
    join(pair)
    loser = other(pair, await_winner(pair))
    head = await_ledger(pair, loser)
    assert head["exact"], head["why"]
    dismissed = loser.ovsha("ledger", "dismiss", head["id"], "--yes", "--reason", "made up by a test")
    assert dismissed.returncode == 0, dismissed.stderr
    assert "made up by a test" in loser.ovsha("ledger", "list").stdout
    assert loser.ovsha("ledger", "list").returncode == 0
    pair.wait_until(lambda: not divergences(loser), LIMIT, "the status is clear again")


# -- the partition -----------------------------------------------------------------------------------------------------


def part(pair: Lab) -> None:
    """Cut the two sides off from each other; both still reach everybody else."""
    for switch in pair.switches:
        switch.run("nft", f"add table netdev split; add chain netdev split lost {INGRESS % 'eth0'}")
        switch.run("nft", "add rule netdev split lost udp dport 5344 drop")
        switch.run("nft", "add rule netdev split lost icmp type { echo-request, echo-reply } drop")
    pair.network.cut("peer link")


def join(pair: Lab) -> None:
    pair.network.mend("peer link")
    for switch in pair.switches:
        switch.run("nft", "delete table netdev split")


def await_winner(pair: Lab) -> Switch:
    pair.wait_until(lambda: any(serves(pair, switch) for switch in pair.switches), LIMIT, "one has given in")
    winner = next(switch for switch in pair.switches if switch.role() == "active")
    await_copy(pair, other(pair, winner))
    return winner


# -- what is written ---------------------------------------------------------------------------------------------------


def write_differently(switch: Switch, mark: int) -> None:
    """Insert rows, change a seeded row and delete another one, each side its own."""
    like = row_of(switch, seed.mac(9))
    for number in range(ROWS):
        row = {"MAC": made_up(mark, number), "logical_switch": like["logical_switch"], "locator": like["locator"]}
        rpc.transact(switch.socket, {"op": "insert", "table": "Ucast_Macs_Remote", "row": row})
    set_address(switch, seed.mac(2 * mark), "192.0.2.1")
    where = [["MAC", "==", seed.mac(2 * mark + 1)]]
    rpc.transact(switch.socket, {"op": "delete", "table": "Ucast_Macs_Remote", "where": where})


def made_up(mark: int, number: int) -> str:
    return f"02:{mark:02x}:00:00:00:{number:02x}"


def set_address(switch: Switch, mac: str, address: str) -> None:
    update = {"op": "update", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", mac]], "row": {"ipaddr": address}}
    rpc.transact(switch.socket, update)


def row_of(switch: Switch, mac: str) -> dict[str, Any]:
    rows = rpc.select(switch.socket, "Ucast_Macs_Remote", "_uuid", "MAC", "ipaddr", "logical_switch", "locator")
    (row,) = (row for row in rows if row["MAC"] == mac)
    return row


def address(switch: Switch, mac: str) -> str:
    return str(row_of(switch, mac)["ipaddr"])


def uuid_of(switch: Switch, mac: str) -> str:
    return str(row_of(switch, mac)["_uuid"][1])


# -- what the ledgers say ----------------------------------------------------------------------------------------------


def ledgers(switch: Switch) -> list[dict[str, Any]]:
    listed = switch.ovsha("ledger", "list", "--json")
    found: list[dict[str, Any]] = json.loads(listed.stdout)["ledgers"]
    assert listed.returncode == int(any(not head["replayed"] and not head["dismissed"] for head in found))
    return found


def await_ledger(pair: Lab, switch: Switch) -> dict[str, Any]:
    """Wait for the one ledger of a switch and for the status to name it, and return its head."""
    pair.wait_until(lambda: divergences(switch), LIMIT, f"{switch.node} has a ledger")
    (head,) = ledgers(switch)
    return head


def divergences(switch: Switch) -> list[str]:
    return [each["what"] for each in status(switch)["problems"] if each["name"] == "divergence"]


def shown(switch: Switch, ident: str, *options: str) -> dict[str, Any]:
    answer = switch.ovsha("ledger", "show", ident, "--json", *options)
    assert answer.returncode == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def macs(told: dict[str, Any], kind: str) -> frozenset[str]:
    rows = (entry["row"] or entry["base"] for entry in told["entries"] if entry["kind"] == kind)
    return frozenset(row["MAC"] for row in rows if "MAC" in row)


def pending(pair: Lab) -> list[Path]:
    return [path for switch in pair.switches for path in (switch.directory / "state" / "ledgers").glob("*.pending")]


def switch_over(pair: Lab, to: Switch) -> None:
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both agents hold the copy to be in sync")
    moved = to.ovsha("switchover", "--yes")
    assert moved.returncode == 0, moved.stderr


def log_length(switch: Switch) -> int:
    return switch.agent.log.stat().st_size
