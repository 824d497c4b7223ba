"""What happened to a pair is told afterwards by either side, whatever became of its agent or its disk meanwhile."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

import disk
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    await_pair,
    await_problem,
    await_service,
    await_word,
    begin,
    in_sync,
    other,
    undisturbed,
)
from switch import Switch

QUICK = {"restore": {"delay": 1.0}, "hooks": {"hold": 0.5}}
TAKEN = ["promote", "managers", "VIP", "announce", "listener", "controller"]


def document(switch: Switch, *args: str) -> dict[str, Any]:
    result = switch.ovsha(*args, "--json")
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def moves(switch: Switch) -> list[dict[str, Any]]:
    """Return the moves of the service that `switch` tells, but for the first start."""
    rows = document(switch, "history", "--last", "0")["rows"]
    return [row for row in rows if row["kind"] == "move" and row["move"] != "start"]


def recorded(switch: Switch) -> list[dict[str, Any]]:
    """Return the moves without their price, for which the other side is asked."""
    return [{key: value for key, value in row.items() if key != "at_risk"} for row in moves(switch)]


def story(switch: Switch) -> list[tuple[str, str, str]]:
    return [(row["move"], row["from"], row["to"]) for row in moves(switch)]


def phases(row: dict[str, Any]) -> list[str]:
    return [phase["name"] for phase in row["phases"]]


def await_told(pair: Lab, switch: Switch, count: int) -> None:
    """Wait until `switch` has recorded so many moves: the last one is when its controller is there."""
    pair.wait_until(lambda: len(moves(switch)) == count, LIMIT, f"{switch.node} tells {count} moves")


def settle(pair: Lab, active: Switch) -> None:
    await_pair(pair, active)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")


@pytest.fixture
def told(lab: MakeLab) -> Lab:
    """Return a pair that went through a failover, a restore and a switchover, which both sides have recorded."""
    pair = begin(lab, overrides=QUICK)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_told(pair, pair.sw2, 1)
    pair.sw1.server.start()
    settle(pair, pair.sw1)
    answer = pair.sw1.ovsha("switchover", "--to", "sw2", "--reason", "new line card", "--yes")
    assert answer.returncode == 0, answer.stderr
    settle(pair, pair.sw2)
    for switch in pair.switches:
        await_told(pair, switch, 3)
    return pair


def test_both_sides_tell_the_same_story_each_with_its_phases(told: Lab) -> None:
    expected = [("failover", "sw1", "sw2"), ("restore", "sw2", "sw1"), ("switchover", "sw1", "sw2")]
    assert story(told.sw1) == story(told.sw2) == expected
    for switch in told.switches:
        failover, restore, switchover = moves(switch)
        assert [row["term"] for row in (failover, restore, switchover)] == [2, 3, 4]
        assert [row["planned"] for row in (failover, restore, switchover)] == [False, True, True]
        assert (switchover["operator"], switchover["operator_reason"]) == (True, "new line card"), switch.node
        assert not failover["operator"]
        assert all(row["at_risk"]["rows"] == 0 for row in (restore, switchover))
    taken, given = moves(told.sw2)[0], moves(told.sw1)[0]
    assert phases(taken) == ["detect", "decide", *TAKEN]
    assert phases(given) == ["fence", "peer"]
    assert taken["sign"] == "its ovsdb-server closed our session"
    assert 0 < taken["serving"] < LIMIT
    assert taken["controller"] is not None
    assert phases(moves(told.sw1)[1]) == ["decide", "fence", *TAKEN]
    assert phases(moves(told.sw2)[1]) == ["fence", "barrier", "peer"]
    text = told.sw2.ovsha("history").stdout
    assert "FAILOVER sw1 -> sw2, term 2, automatic\n    because the peer's ovsdb-server cannot serve: down\n" in text
    assert "SWITCHOVER sw1 -> sw2, term 4, by an operator: new line card\n" in text
    assert document(told.sw1, "history", "--peer")["node"] == "sw2"


def test_an_agent_that_was_killed_has_forgotten_nothing(told: Lab) -> None:
    before = {switch.node: recorded(switch) for switch in told.switches}
    why = document(told.sw2, "explain", "--at", "failover")
    assert (why["goal"], why["rule"]) == ("serve", "peer-cannot")
    with undisturbed(told):
        for switch in told.switches:
            switch.agent.kill()
            assert recorded(switch) == before[switch.node], "it needs no agent"
        silent = document(told.sw2, "explain")
        assert silent["goal"] == "serve"
        assert any("this is the last decision that was recorded" in note for note in silent["notes"])
        for switch in told.switches:
            with (switch.directory / "state" / "journal" / "events-00000001.jsonl").open("a") as file:
                file.write('{"schema": 1, "at": 17')
            switch.agent.start()
        told.wait_until(lambda: in_sync(told), LIMIT, "the pair is in sync")
    for switch in told.switches:
        assert recorded(switch) == before[switch.node]
        (trouble,) = document(switch, "history")["troubles"]
        assert trouble == "events-00000001.jsonl: 1 line is damaged, half written or of another release, and left out"
    again = document(told.sw2, "explain", "--at", "failover")
    assert (again["rule"], again["facts"], again["would_change"]) == (why["rule"], why["facts"], why["would_change"])
    assert again["same"]
    assert document(told.sw2, "explain")["rule"] == "we-serve"
    for switch in told.switches:
        replayed = document(switch, "simulate")
        assert replayed["same"] == replayed["decisions"] > 20


def test_a_full_disk_costs_the_recorder_some_lines_and_the_pair_nothing(lab: MakeLab, stack: ExitStack) -> None:
    pair = lab(overrides=QUICK)
    disks = {switch.node: disk.for_state(stack, switch) for switch in pair.switches}
    pair.start_controller(rate=200.0)
    pair.start(vtepds=True)
    settle(pair, pair.sw1)
    disks["sw2"].fill()
    with undisturbed(pair):
        answer = pair.sw2.ovsha("peer", "forget", "--yes")
        assert answer.returncode == 0
        await_problem(pair, pair.sw2, "recorder: ", "state/journal", "cannot be written: No space left on device")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    disks["sw2"].free()
    await_told(pair, pair.sw2, 1)
    assert story(pair.sw2) == [("failover", "sw1", "sw2")], "what waited for the disk is told"
    await_word(pair, pair.sw2, "failover: sw1 -> sw2 in term 2")
    assert document(pair.sw2, "history")["troubles"] == []
    pair.sw1.server.start()
    settle(pair, pair.sw1)


def test_a_side_that_was_away_tells_what_it_missed_and_what_that_may_have_cost(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**QUICK, "restore": {"mode": "manual"}})
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    await_told(pair, pair.sw2, 1)
    (row,) = moves(pair.sw2)
    assert (row["sign"], row["at_risk"]["rows"]) == ("its heartbeats stopped", None)
    detect = row["phases"][0]
    assert (detect["name"], detect["took"] > 0.3) == ("detect", True)
    pair.sw1.power_on()
    await_pair(pair, pair.sw2)
    (missed,) = moves(pair.sw1)
    assert (missed["move"], missed["from"], missed["to"], missed["term"]) == ("missed", "sw1", "sw2", 2)
    for switch in pair.switches:
        pair.wait_until(partial(cost_is_known, switch), LIMIT, f"{switch.node} knows the price")
    assert moves(pair.sw1)[0]["at_risk"] == moves(pair.sw2)[0]["at_risk"], "either side tells the same price"
    assert other(pair, pair.sw1) is pair.sw2


def cost_is_known(switch: Switch) -> bool:
    return moves(switch)[0]["at_risk"]["rows"] is not None
