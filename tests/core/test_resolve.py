"""An operator's word settles whose data is kept, on whichever side it is said."""

from __future__ import annotations

from dataclasses import replace

from ovsha.cli import orders as command
from ovsha.core import handover, operator_orders, turn
from ovsha.core.facts import Ask, Grant, Kind, Life, Presence, Role, Source, Stamp, State
from ovsha.core.lineage import PARKED
from tests.support.views import (
    BACKUP_VIEW,
    MEMORY,
    NODE,
    NOW,
    PEER,
    a_copy,
    a_peer,
    active_case,
    an_idle_peer,
    backup_case,
)

BLANK = Source(True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE)
STUCK = {"server": a_copy(source=PARKED), "source": BLANK, "record": a_peer(stamp=None, empty=True)}
GONE = {"source": Source(closed=True), "heard_age": 9.0, "record": None}
WHY = "its data must not be copied"


def test_without_anything_to_decide_a_decision_is_refused() -> None:
    nothing = "nothing waits for a decision; see ovsha status"
    assert operator_orders.resolve_refusal(backup_case(), False, NODE) == nothing
    assert operator_orders.resolve_refusal(backup_case({"record": a_peer(decision=WHY)}), False, PEER) == ""


def test_only_a_node_of_the_pair_can_be_kept() -> None:
    assert "not of this pair" in operator_orders.resolve_refusal(backup_case(STUCK), True, "sw9")


def test_a_peer_that_is_not_heard_cannot_be_kept_and_one_whose_agent_alone_is_silent_must_be_asked_first() -> None:
    assert "bring it up first" in operator_orders.resolve_refusal(backup_case({**STUCK, **GONE}), True, PEER)
    assert operator_orders.resolve_refusal(backup_case({**STUCK, **GONE}), True, NODE) == ""
    unheard = backup_case({**STUCK, "heard_age": 9.0})
    assert "start ovsha there first" in operator_orders.resolve_refusal(unheard, True, NODE)


def test_the_side_whose_data_is_kept_asks_for_the_service_and_the_other_gives_it() -> None:
    ours = replace(MEMORY, keep=NODE, keep_until=NOW + 60)
    asking = turn.turn(replace(BACKUP_VIEW, **STUCK), ours)
    assert asking.record.ask is not None
    assert (asking.record.ask.kind, asking.record.keep) == (Kind.RESOLVE, NODE)
    asked = a_peer(serving=False, role=Role.BACKUP, ask=Ask("sw2-y-0", Kind.RESOLVE), keep=PEER)
    giving = turn.turn(active_case({"record": asked}).view, active_case().memory)
    assert giving.rule.name == "draining"


def test_nobody_gets_the_service_by_claiming_that_an_operator_said_so_of_another() -> None:
    case = active_case({"record": an_idle_peer(ask=Ask("sw2-y-0", Kind.RESOLVE))})
    assert handover.refusal(case, Kind.RESOLVE) == "no operator has decided that"


def test_a_side_that_is_alone_serves_its_old_data_when_the_operator_keeps_it() -> None:
    old = {**GONE, "server": a_copy(stamp=Stamp(2, PEER), token=(2, 1), source=PARKED)}
    stuck = backup_case(old, {"held": (3, 5)})
    assert turn.turn(stuck.view, stuck.memory).rule.name == "rolled-back"
    told = replace(stuck.memory, keep=NODE, keep_until=NOW + 60)
    assert turn.turn(stuck.view, told).rule.name == "resolved"


def test_the_other_sides_data_is_copied_over_ours_when_the_operator_keeps_it() -> None:
    view = replace(BACKUP_VIEW, **STUCK)
    assert turn.turn(view, MEMORY).rule.name == "source-refused"
    told = replace(MEMORY, keep=PEER, keep_until=NOW + 60)
    assert turn.turn(view, told).rule.name == "peer-serves"
    elsewhere = replace(view, record=a_peer(stamp=None, empty=True, keep=PEER))
    assert turn.turn(elsewhere, MEMORY).rule.name == "peer-serves"


def test_a_decision_that_was_not_carried_out_in_time_is_forgotten() -> None:
    told = replace(MEMORY, keep=PEER, keep_until=NOW)
    decision = turn.turn(replace(BACKUP_VIEW, **STUCK), told)
    assert (decision.rule.name, decision.memory.keep) == ("source-refused", None)


def test_a_decision_is_over_when_the_kept_data_is_served() -> None:
    case = active_case({"server": replace(active_case().view.server, stamp=Stamp(3, NODE))})
    told = replace(case.memory, keep=NODE, keep_until=NOW + 60, term=3)
    assert turn.turn(case.view, told).memory.keep is None


def test_a_server_that_is_found_serving_without_an_order_has_lapsed() -> None:
    case = active_case(memory={"active_since": None, "lapsed": False, "ordered": None})
    assert turn.turn(case.view, case.memory).memory.lapsed
    begun = replace(case.memory, ordered=Role.ACTIVE)
    assert not turn.turn(case.view, begun).memory.lapsed
    assert turn.turn(case.view, begun).presence is Presence.ALIVE


def test_a_copy_that_missed_much_serves_when_the_operator_no_longer_waits_for_the_other_server() -> None:
    behind = {"record": an_idle_peer(life=Life.DOWN, token=(3, 99))}
    waiting = turn.turn(backup_case(behind).view, backup_case(behind).memory)
    assert (waiting.rule.name, waiting.state is State.NEEDS_DECISION) == ("copy-behind", False)
    stuck = turn.turn(replace(backup_case(behind).view, now=NOW + 10), waiting.memory)
    assert (stuck.rule.name, stuck.state) == ("copy-behind", State.NEEDS_DECISION)
    asking = turn.turn(backup_case(behind).view, replace(waiting.memory, keep=NODE, keep_until=NOW + 60))
    assert asking.record.ask is not None
    assert asking.record.ask.kind is Kind.RESOLVE
    given = an_idle_peer(life=Life.DOWN, token=(3, 99), grant=Grant(asking.record.ask.ident, Kind.RESOLVE, None, True))
    assert turn.turn(replace(backup_case(behind).view, record=given), asking.memory).rule.name == "granted"


def test_the_command_says_what_becomes_of_both_sides_before_it_asks() -> None:
    sides = {NODE: {"stamp": {"term": 3}, "cells": 1177}, PEER: {"stamp": None, "cells": 213126}}
    intent = command._resolve_intent({"node": NODE, "peer": PEER, "sides": sides}, NODE)
    assert f"the data of {NODE} is kept (term 3, 1177 cells, rows times columns)" in intent
    assert f"the data of {PEER} is overwritten (term unknown, 213126 cells" in intent
