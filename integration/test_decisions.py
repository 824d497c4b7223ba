"""Where the pair cannot tell whose data is right it stops, says so, and an operator's word settles it."""

from __future__ import annotations

import json
from typing import Any

import rpc
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_copy,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    begin,
    counter,
    log,
    snapshots,
    status,
    undisturbed,
)
from switch import Switch

MANUAL: dict[str, Any] = {"restore": {"mode": "manual"}}
REASON = "the change of tonight was meant"


def without_memory(switch: Switch) -> None:
    """Take agent and server of a switch down."""
    switch.agent.kill()
    switch.server.kill()


def up_again(switch: Switch) -> None:
    """Bring server and agent of a switch back."""
    switch.server.start()
    switch.agent.start()


def await_decision(pair: Lab, switch: Switch, *words: str) -> None:
    """Wait until the agent says that it needs a decision, for the reason that has these words."""
    pair.wait_until(lambda: status(switch)["state"] == "needs-decision", LIMIT, f"{switch.node} needs a decision")
    await_problem(pair, switch, f"{switch.node} needs a decision", *words, "ovsha resolve --keep")
    assert "needs-decision, because" in log(switch)
    assert counter(switch, "decisions") >= 1


def resolve(switch: Switch, keep: str) -> str:
    """Settle it; return what the command printed."""
    ran = switch.ovsha("resolve", "--yes", "--keep", keep, "--reason", REASON, limit=90.0)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    assert REASON in log(switch)
    return ran.stdout


def let_rows_collapse(pair: Lab) -> frozenset[str]:
    """Delete nearly all rows of the active side while the other one is away, and bring that back; return its rows."""
    pair.wait_until(lambda: pair.sw1.rows() <= pair.sw2.rows(), LIMIT, "sw2 has what sw1 has")
    without_memory(pair.sw2)
    rpc.transact(pair.sw1.socket, {"op": "delete", "table": "Ucast_Macs_Remote", "where": []})
    pair.wait_until(lambda: status(pair.sw1)["sides"]["sw1"]["cells"] < 1000, LIMIT, "sw1 has counted what is left")
    up_again(pair.sw2)
    await_decision(pair, pair.sw2, "has shrunk to", "`ovsha resolve --keep peer")
    return pair.sw2.rows()


def test_a_source_whose_rows_collapsed_is_copied_only_when_an_operator_says_so(lab: MakeLab) -> None:
    pair = begin(lab, rate=20, rows=400, overrides=MANUAL)
    with undisturbed(pair, rows=10):
        assert pair.seeded <= let_rows_collapse(pair)
    assert "sw1 is active" in resolve(pair.sw2, "peer")
    await_copy(pair, pair.sw2)
    assert not pair.seeded & pair.sw2.rows()
    assert snapshots(pair.sw2)

    pair.controller.stop()
    inserts = [{"op": "insert", "table": "Ucast_Macs_Remote", "row": row} for row in many_rows(pair)]
    rpc.transact(pair.sw1.socket, *inserts)
    await_copy(pair, pair.sw2)
    there = let_rows_collapse(pair)
    assert "sw2 is active" in resolve(pair.sw2, "self")
    await_pair(pair, pair.sw2)
    assert there == pair.sw2.rows() == pair.sw1.rows()


def many_rows(pair: Lab) -> list[dict[str, Any]]:
    """Return rows that fill the table again."""
    switch = rpc.select(pair.sw1.socket, "Logical_Switch", "_uuid")[0]["_uuid"]
    locator = rpc.select(pair.sw1.socket, "Physical_Locator", "_uuid")
    assert locator, "the controller's rows left a locator"
    return [
        {"MAC": f"06:00:00:00:{n // 256:02x}:{n % 256:02x}", "logical_switch": switch, "locator": locator[0]["_uuid"]}
        for n in range(400)
    ]


def test_old_data_alone_does_not_serve_until_an_operator_says_so(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    newer = pair.sw2.rows()
    pair.wait_until(lambda: kept_term(pair.sw1) >= 2, LIMIT, "sw1 has noted that sw2 has the newer data")
    for switch in reversed(pair.switches):
        switch.power_off("kill")
    pair.sw1.power_on()
    pair.sw1.server.start()
    await_decision(pair, pair.sw1, "only the peer has the newest data", "bring sw2 back")
    written = len(acks(pair))
    refused = pair.sw1.ovsha("resolve", "--yes", "--keep", "peer", "--reason", REASON)
    assert (refused.returncode, "bring it up first" in refused.stderr) == (1, True)
    assert len(acks(pair)) == written
    assert "sw1 is active" in resolve(pair.sw1, "self")
    await_service(pair, pair.sw1)
    await_rows(pair, 10)
    pair.sw2.power_on()
    await_pair(pair, pair.sw1)
    assert not newer <= pair.sw2.rows(), "what the operator gave up is not served"


def kept_term(switch: Switch) -> int:
    """Return the highest term that the agent has on disk."""
    return int(json.loads((switch.directory / "state" / "state.json").read_text(encoding="utf-8"))["term"])


def test_a_service_that_moves_again_and_again_is_no_longer_given_back(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"damping": {"moves": 3}, "restore": {"delay": 0.5}})
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw2)
    await_problem(pair, pair.sw1, "moved 3 times", "not given back", "ovsha switchover")
    with undisturbed(pair):
        await_copy(pair, pair.sw1)
    assert pair.sw1.ovsha("switchover", "--yes", "--to", "sw1").returncode == 0
    await_pair(pair, pair.sw1)



def test_what_a_client_deletes_is_gone_on_both_sides_at_once(lab: MakeLab) -> None:
    pair = begin(lab, rows=400)
    pair.controller.stop()
    pair.wait_until(lambda: pair.sw1.rows() == pair.sw2.rows(), LIMIT, "sw2 has what sw1 has")
    assert pair.seeded <= pair.sw2.rows()
    rpc.transact(pair.sw1.socket, {"op": "delete", "table": "Ucast_Macs_Remote", "where": []})
    pair.wait_until(lambda: not pair.sw2.rows(), LIMIT, "they are gone on sw2 as well")
    pair.wait_until(lambda: status(pair.sw2)["in_sync"], LIMIT, "and that is in sync")
