"""The steps of every goal stand in the order that the laws need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ovsha.core.election import Goal
from ovsha.core.facts import Grant, Kind, Life, Presence, Role, Source, Stamp
from ovsha.core.lineage import PARKED
from ovsha.core.situation import Situation
from ovsha.core.transition import PLANS, Step, next_step, opening_term
from ovsha.core.view import Memory, View
from tests.support.views import BACKUP_VIEW, MEMORY, SERVING, memories, views

ORDERS = [
    (Goal.SERVE, Step.RESERVE_TERM, Step.PROMOTE),
    (Goal.SERVE, Step.PROMOTE, Step.STAMP),
    (Goal.SERVE, Step.STAMP, Step.OPEN_MANAGERS),
    (Goal.SERVE, Step.OPEN_MANAGERS, Step.ADD_VIP),
    (Goal.SERVE, Step.ADD_VIP, Step.OPEN_LISTENER),
    (Goal.SERVE, Step.OPEN_LISTENER, Step.CUT_STALE),
    (Goal.DRAIN, Step.CLOSE_MANAGERS, Step.DROP_VIP),
    (Goal.DRAIN, Step.CLOSE_LISTENER, Step.DROP_VIP),
    (Goal.DRAIN, Step.DROP_VIP, Step.COMMIT_TOKEN),
    (Goal.FOLLOW, Step.DROP_VIP, Step.PARK_SERVER),
    (Goal.FOLLOW, Step.PARK_SERVER, Step.SNAPSHOT),
    (Goal.FOLLOW, Step.SNAPSHOT, Step.CONNECT),
    (Goal.PARK, Step.CLOSE_MANAGERS, Step.PARK_SERVER),
]


def case(view: View, memory: Memory = MEMORY) -> Situation:
    return Situation(view, memory, Presence.ALIVE)


@pytest.mark.parametrize(("goal", "first", "then"), ORDERS, ids=lambda value: value.value)
def test_step_comes_before_the_one_that_relies_on_it(goal: Goal, first: Step, then: Step) -> None:
    steps = [row.step for row in PLANS[goal]]
    assert steps.index(first) < steps.index(then)


@pytest.mark.parametrize("goal", [goal for goal in Goal if goal is not Goal.SERVE], ids=lambda goal: goal.value)
def test_only_serving_opens_anything(goal: Goal) -> None:
    opening = {Step.PROMOTE, Step.STAMP, Step.OPEN_MANAGERS, Step.ADD_VIP, Step.OPEN_LISTENER}
    assert not opening & {row.step for row in PLANS[goal]}


@pytest.mark.parametrize("goal", [Goal.SERVE, Goal.DRAIN, Goal.PARK, Goal.FENCE, Goal.KEEP])
def test_only_following_ever_connects_to_a_source(goal: Goal) -> None:
    assert Step.CONNECT not in {row.step for row in PLANS[goal]}


@settings(max_examples=200)
@given(views, memories)
def test_nothing_is_connected_that_is_not_parked_and_saved(view: View, memory: Memory) -> None:
    if next_step(Goal.FOLLOW, case(view, memory)) is Step.CONNECT:
        assert view.server.role is Role.BACKUP
        assert view.server.source == PARKED
        assert view.server.saved or view.server.cells == 0, "there is nothing to save"


@settings(max_examples=200)
@given(views, memories)
def test_vip_is_only_added_to_a_stamped_active_server_with_its_managers_open(view: View, memory: Memory) -> None:
    if next_step(Goal.SERVE, case(view, memory)) is Step.ADD_VIP:
        server = view.server
        assert server.role is Role.ACTIVE
        assert server.managers_open
        assert server.stamp is not None
        assert server.stamp.node == "sw1"


@settings(max_examples=200)
@given(views, memories)
def test_dead_server_is_asked_for_nothing(view: View, memory: Memory) -> None:
    dead = replace(view, server=replace(view.server, life=Life.DOWN))
    assert next_step(Goal.FENCE, case(dead, memory)) in (None, Step.DROP_VIP)


def test_side_that_serves_has_nothing_to_do() -> None:
    held = replace(BACKUP_VIEW.vip, present=True)
    view = replace(BACKUP_VIEW, server=SERVING, vip=held, record=None, source=Source())
    assert next_step(Goal.SERVE, case(view)) is None


def test_promotion_opens_a_term_above_all_that_were_seen_and_reserved_on_disk() -> None:
    view = replace(BACKUP_VIEW, reserved=9)
    assert opening_term(case(view)) == 9
    assert opening_term(case(replace(view, reserved=0))) == 4
    assert next_step(Goal.SERVE, case(replace(view, reserved=0))) is Step.RESERVE_TERM
    assert next_step(Goal.SERVE, case(view)) is Step.PROMOTE


def test_restarted_agent_does_not_open_a_new_term_for_a_service_that_stands() -> None:
    view = replace(BACKUP_VIEW, server=SERVING, record=None, source=replace(BACKUP_VIEW.source, stamp=None))
    assert opening_term(case(view, replace(MEMORY, peer_stamp=Stamp(2, "sw2")))) == 3


def test_token_is_committed_only_for_a_grant_with_a_barrier() -> None:
    closed = replace(SERVING, managers_open=False, listener_open=False)
    view = replace(BACKUP_VIEW, server=closed)
    waiting = replace(MEMORY, grant=Grant("a", Kind.RESTORE, barrier=(3, 11)))
    assert next_step(Goal.DRAIN, case(view, waiting)) is Step.COMMIT_TOKEN
    assert next_step(Goal.DRAIN, case(view, replace(MEMORY, grant=Grant("a", Kind.RESTORE)))) is None


def test_hanging_server_that_serves_is_fenced_and_a_hanging_copy_is_left_alone() -> None:
    hanging = replace(BACKUP_VIEW, server=replace(SERVING, life=Life.HUNG))
    assert next_step(Goal.FENCE, case(hanging)) is Step.FENCE_SERVER
    copy = replace(BACKUP_VIEW, server=replace(BACKUP_VIEW.server, life=Life.HUNG))
    assert next_step(Goal.FENCE, case(copy)) is None


@pytest.mark.parametrize(("role", "term"), [(Role.ACTIVE, 3), (Role.BACKUP, 6)], ids=["serving", "parked"])
def test_serving_side_outbids_a_silent_peer_only_when_that_is_active_no_more(role: Role, term: int) -> None:
    theirs = Source(True, False, 0.0, 0.0, role, Stamp(5, "sw2"), (5, 0), empty=False)
    view = replace(BACKUP_VIEW, server=SERVING, record=None, heard_age=None, source=theirs)
    assert opening_term(Situation(view, replace(MEMORY, term=5), Presence.SILENT)) == term
