"""The operator's hooks are told each thing once, in its order, and nothing of what a move brings with it."""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import turn
from ovsha.core.facts import Life, Role, Server, Source, State
from ovsha.core.view import View
from ovsha.report.diagnosis import Level, Problem
from ovsha.report.notifications import Notifications
from tests.support.made_up_pair import ACTIVE_PEER, BACKUP_PEER, FOLLOWING, MEMORY, SERVING

HOLD = 5.0
DOWN = Problem("server-down", Level.BROKEN, "ovsdb-server on sw1 is not running", "start it")
PATH = Problem("path", Level.DEGRADED, "the backup path is down", "see its cable")
SPLIT = Problem("split-brain", Level.BROKEN, "both sides serve", "wait")

FALLEN = replace(BACKUP_PEER, state=State.FAULT, life=Life.DOWN, role=None, source=None, stamp=None, token=None)
TAKING_OVER = (
    replace(FOLLOWING, record=replace(FALLEN, term=7), source=Source(closed=True)),
    replace(
        SERVING,
        server=replace(SERVING.server, managers_open=False, listener_open=False, stamp=FOLLOWING.server.stamp),
        vip=FOLLOWING.vip,
        record=FALLEN,
    ),
    replace(SERVING, record=FALLEN),
)
"""The peer's server has died; ours is active, and nothing is open yet; the whole service is here."""


def roles(occasions: Notifications, *views: View) -> list[tuple[str, str | None, str | None]]:
    """Take the turns, and return what was told of roles."""
    told = []
    memory = replace(MEMORY, active_since=None)
    for view in views:
        decision = turn.turn(view, memory)
        memory = decision.memory
        told += [(each.event, each.before, each.to) for each in occasions.roles(view.now, decision)]
    return told


def problems(occasions: Notifications, now: float, *found: Problem) -> list[tuple[str, str | None]]:
    return [(each.event, each.problem) for each in occasions.problems(now, found)]


def test_the_first_role_is_told_once_and_comes_from_the_start() -> None:
    occasions = Notifications(HOLD)
    assert roles(occasions, FOLLOWING, FOLLOWING) == [
        ("before-role-change", "start", "backup"),
        ("after-role-change", "start", "backup"),
    ]
    assert roles(occasions, FOLLOWING) == []


def test_a_failover_is_told_when_it_begins_and_when_it_is_over() -> None:
    occasions = Notifications(HOLD)
    roles(occasions, FOLLOWING)
    begun, open_, over = (roles(occasions, view) for view in TAKING_OVER)
    assert begun == [("before-role-change", "backup", "active")]
    assert open_ == [], "on the way it is between two roles, and nobody is told of that"
    assert over == [("after-role-change", "backup", "active")]


def test_a_role_is_told_with_the_reason_and_the_rule_that_began_the_move() -> None:
    occasions = Notifications(HOLD)
    roles(occasions, FOLLOWING)
    told = [
        each
        for view in TAKING_OVER
        for each in occasions.roles(view.now, turn.turn(view, replace(MEMORY, active_since=None)))
    ]
    assert [(each.rule, each.reason) for each in told] == [
        ("peer-cannot", "the peer's ovsdb-server cannot serve: down"),
        ("peer-cannot", "the peer's ovsdb-server cannot serve: down"),
    ]


def test_what_the_agent_finds_when_it_starts_is_said_to_be_found() -> None:
    decision = turn.turn(SERVING, MEMORY)
    assert {each.reason for each in Notifications(HOLD).roles(1.0, replace(decision, step=None))} == {
        "the agent has started and found it so"
    }


def test_a_server_that_dies_is_told_as_one_change() -> None:
    occasions = Notifications(HOLD)
    roles(occasions, SERVING)
    dead = replace(SERVING, server=Server(Life.DOWN))
    assert roles(occasions, dead, dead) == [
        ("before-role-change", "active", "fault"),
        ("after-role-change", "active", "fault"),
    ]


def test_to_be_between_two_roles_is_told_when_it_lasts() -> None:
    occasions = Notifications(HOLD)
    roles(occasions, FOLLOWING)
    idle = replace(
        FOLLOWING,
        server=replace(FOLLOWING.server, source="tcp:192.0.2.254:9999", replicating=False),
        record=replace(ACTIVE_PEER, state=State.INIT, serving=False, role=Role.BACKUP, active_for=None),
    )
    assert roles(occasions, idle, replace(idle, now=idle.now + HOLD - 0.1)) == []
    assert roles(occasions, replace(idle, now=idle.now + HOLD)) == [
        ("before-role-change", "backup", "init"),
        ("after-role-change", "backup", "init"),
    ]


def test_a_problem_is_told_when_it_has_stood_and_once() -> None:
    occasions = Notifications(HOLD)
    assert problems(occasions, 100.0, DOWN, PATH) == []
    assert problems(occasions, 104.9, DOWN, PATH) == []
    assert problems(occasions, 105.0, DOWN, PATH) == [("alarm", "server-down"), ("degraded", "path")]
    assert problems(occasions, 200.0, DOWN, PATH) == []


def test_what_passes_by_is_not_told() -> None:
    occasions = Notifications(HOLD)
    assert problems(occasions, 100.0, DOWN) == []
    assert problems(occasions, 101.0) == []
    assert problems(occasions, 105.5, DOWN) == [], "it began anew"
    assert problems(occasions, 110.4, DOWN) == []
    assert problems(occasions, 110.5, DOWN) == [("alarm", "server-down")]


def test_what_is_over_is_told_when_it_has_stayed_away_and_then_may_come_again() -> None:
    occasions = Notifications(HOLD)
    problems(occasions, 100.0, PATH)
    problems(occasions, 105.0, PATH)
    assert problems(occasions, 106.0) == []
    assert problems(occasions, 107.0, PATH) == [], "it only flickered"
    assert problems(occasions, 111.9) == []
    assert problems(occasions, 112.0) == [("cleared", "path")]
    assert problems(occasions, 113.0) == []
    problems(occasions, 120.0, PATH)
    assert problems(occasions, 125.0, PATH) == [("degraded", "path")]


def test_a_split_brain_is_told_at_once() -> None:
    assert problems(Notifications(HOLD), 100.0, SPLIT) == [("alarm", "split-brain")]


def test_what_is_told_names_the_problem_and_what_to_do() -> None:
    occasions = Notifications(0.0)
    (told,) = occasions.problems(100.0, [DOWN])
    assert (told.reason, told.level, told.remedy) == (DOWN.what, "broken", "start it")
    assert told.before is told.to is None
