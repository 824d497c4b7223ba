from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

import demo_table
from demo_table import Record, Step
from demo_words import Agent, Controller, Heard, Line, Told, Vtepd
from history import Event
from topology import MANAGEMENT_ADDRESS

FAULT, RETURN, RESTORE, END = 10.0, 14.0, 16.0, 20.0
STEPS = (
    Step("start", "start", 0.0, FAULT, "", "sw1", ("sw1",)),
    Step("silent death of sw1", "fault", FAULT, RETURN, "sw1", "sw2", ("sw2",), died="sw1", dark="sw1"),
    Step("return of sw1", "return", RETURN, RESTORE, "sw2", "sw2", ("sw2",)),
    Step("restore of sw1", "move", RESTORE, END, "sw2", "sw1", ("sw1",)),
)


def ack(t: float, row: int, node: str) -> Event:
    fields = {"row": row, "mac": f"mac{row}", "switch": MANAGEMENT_ADDRESS[node], "session": row, "late": False}
    return Event(t, "acked", fields)


def record(*acks: Event, without: Sequence[int] = (), kept: Sequence[int] = ()) -> Record:
    """Return the record of a run in which nothing went wrong but that rows are missing at the end."""
    found = {each.fields["mac"] for each in acks} - {f"mac{row}" for row in without}
    return Record(
        steps=STEPS,
        controller=acks,
        vtepds={"sw1": (), "sw2": ()},
        heard=(Heard(0.1, "sw1", True), Heard(0.1, "sw2", True), Heard(10.4, "sw2", False), Heard(14.1, "sw2", True)),
        both=(),
        looks=400,
        found={"sw1": found, "sw2": found},
        kept={"sw1": {f"mac{row}" for row in kept}, "sw2": ()},
        differing=(),
    )


GOOD = record(ack(9.0, 1, "sw1"), ack(9.99, 2, "sw1"), ack(11.0, 3, "sw2"), ack(17.0, 4, "sw2"), ack(18.0, 5, "sw1"))


def broken(record: Record) -> list[str]:
    return [law.broken for law in demo_table.laws(record) if law.broken]


def test_a_run_in_which_nothing_went_wrong_breaks_no_law() -> None:
    assert broken(GOOD) == []


def test_a_write_lost_in_a_planned_move_breaks_a_law_and_is_counted_for_the_move() -> None:
    bad = record(*GOOD.controller, without=[4])
    assert len(broken(bad)) == 1
    assert "row 4 (mac4), acknowledged by sw2" in broken(bad)[0]
    assert [line.split()[-2] for line in demo_table.table(bad).splitlines()[2:]] == ["0", "0", "0", "1"]


def test_a_write_that_the_surviving_side_lost_breaks_a_law() -> None:
    assert len(broken(record(*GOOD.controller, without=[3]))) == 1


def test_a_write_that_the_dying_side_acknowledged_at_last_is_named_as_exposed_if_a_snapshot_has_it() -> None:
    exposed = record(*GOOD.controller, without=[2], kept=[2])
    assert broken(exposed) == []
    assert "1 of the rows that sw1 acknowledged" in next(demo_table.losses(exposed))
    assert [line.split()[-2] for line in demo_table.table(exposed).splitlines()[2:]] == ["0", "1", "0", "0"]


def test_an_exposed_write_that_no_snapshot_has_breaks_a_law() -> None:
    assert len(broken(record(*GOOD.controller, without=[2]))) == 1


def test_a_write_lost_long_before_the_fault_breaks_a_law() -> None:
    assert len(broken(record(ack(5.0, 9, "sw1"), *GOOD.controller, without=[9], kept=[9]))) == 1


@pytest.mark.parametrize(("moment", "count"), [(5.0, 1), (11.0, 0), (14.2, 0), (15.5, 1)])
def test_both_servers_may_be_open_only_while_the_two_do_not_hear_each_other_or_settle_it(
    moment: float, count: int
) -> None:
    assert len(broken(replace(GOOD, both=[moment]))) == count


def test_sessions_with_both_switches_while_they_hear_each_other_break_a_law() -> None:
    overlap = Event(17.5, "overlap", {"from": 17.0, "until": 17.5, "switches": ["sw1", "sw2"]})
    assert len(broken(replace(GOOD, controller=[*GOOD.controller, overlap]))) == 1


@pytest.mark.parametrize("vip", [(), ("sw1", "sw2")])
def test_the_vip_on_no_side_or_on_both_breaks_a_law(vip: tuple[str, ...]) -> None:
    assert len(broken(replace(GOOD, steps=[*STEPS[:-1], replace(STEPS[-1], vip=vip)]))) == 1


def test_databases_that_differ_and_a_primary_that_was_not_restored_break_laws() -> None:
    assert len(broken(replace(GOOD, differing=["Logical_Switch"]))) == 1
    assert len(broken(replace(GOOD, steps=[*STEPS[:-1], replace(STEPS[-1], after="sw2")]))) == 1


def test_no_line_of_the_table_is_wider_than_a_hundred_columns() -> None:
    assert max(map(len, demo_table.table(GOOD).splitlines())) <= demo_table.WIDTH


def test_a_decision_is_told_with_its_steps_and_with_what_the_side_is_afterwards() -> None:
    log = [
        Line(1.000, "INFO", "serve, because the peer is silent on every path: for 0.40 s"),
        Line(1.000, "INFO", "the peer is dead"),
        Line(1.001, "INFO", "step: make ovsdb-server active"),
        Line(1.002, "INFO", "backup -> init, because we have begun to take over"),
        Line(1.003, "INFO", "serve, because we are the active side"),
        Line(1.004, "INFO", "step: add the VIP and announce it"),
        Line(1.006, "INFO", "init -> active, because we are the active side"),
    ]
    agent = Agent("sw2")
    assert agent.feed(log, 1.01) == []
    assert agent.feed([], 1.2) == [
        Told(
            1.0,
            "sw2 agent",
            "the peer is dead\nserve, because the peer is silent on every path: for 0.40 s\n"
            "make ovsdb-server active; add the VIP and announce it",
        ),
        Told(1.006, "sw2 agent", "start -> active"),
    ]
    assert agent.heard == [Heard(1.0, "sw2", False)]


def test_a_warning_stands_alone() -> None:
    log = [Line(1.0, "WARNING", "incident: x"), Line(1.0, "INFO", "active -> fault, because our ovsdb-server is down")]
    assert [told.text for told in Agent("sw1").feed(log, 2.0)] == [
        "warning: incident: x",
        "start -> fault, because our ovsdb-server is down",
    ]


def test_the_controller_tells_who_writes_when_that_changes() -> None:
    told = Controller().feed([ack(1.0, 1, "sw1"), ack(1.1, 2, "sw1"), ack(1.5, 3, "sw2")])
    assert [each.text for each in told] == [
        "the first row is acknowledged, by sw1",
        "rows are acknowledged by sw2, the first 0.400 s after the last one by sw1",
    ]


def test_a_vtep_daemon_tells_one_loss_however_many_attempts_follow() -> None:
    events = [
        Event(1.0, "dumped", {"rows": 10}),
        Event(2.0, "lost", {"how": "fin", "heard": 1.9}),
        Event(2.1, "lost", {"how": "reset", "heard": 2.05}),
        Event(2.4, "dumped", {"rows": 11}),
    ]
    assert [each.text for each in Vtepd("sw1").feed(events)] == [
        "has read 10 rows over the VIP",
        "has lost its session (fin)",
        "has read 11 rows over the VIP, 0.500 s after the last word",
    ]
