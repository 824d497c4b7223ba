"""A side that is paused or only advises decides like any other, and moves, asks for and gives away nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ovsha.core import handover, turn
from ovsha.core.facts import Ask, Kind, Life, Mode, Presence, Role, Source, Vip
from ovsha.core.lineage import PARKED
from ovsha.core.transition import Step
from ovsha.core.view import Memory, View
from tests.core.test_election import GONE
from tests.support.views import (
    NOW,
    a_copy,
    a_peer,
    active_case,
    an_active,
    an_idle_peer,
    backup_case,
    memories,
    views,
)  # fmt: skip

IDLE = [Mode.PAUSED, Mode.ADVISE]
WANTED = {"wanted": "order-1", "wanted_until": NOW + 5}


@pytest.mark.parametrize("mode", IDLE)
@settings(max_examples=200)
@given(views, memories)
def test_nothing_is_carried_out_asked_for_or_begun(mode: Mode, view: View, memory: Memory) -> None:
    decision = turn.turn(replace(view, mode=mode), memory)
    assert decision.step is None
    assert decision.record.mode is mode
    assert decision.memory.ask is None
    assert decision.memory.ordered is None


@settings(max_examples=200)
@given(views, memories)
def test_what_it_would_do_is_what_it_does_when_it_acts(view: View, memory: Memory) -> None:
    """Without a conversation, which an idle side does not hold, what it names first is the step that it would take."""
    quiet = replace(memory, ask=None, grant=None, wanted=None, offer=None, keep=None)
    alone = replace(view, record=None)
    acting = turn.turn(replace(alone, mode=Mode.ACTIVE), quiet)
    advising = turn.turn(replace(alone, mode=Mode.ADVISE), quiet)
    assert advising.rule is acting.rule
    if acting.memory.claim == advising.memory.claim:
        assert (advising.would[0] if advising.would else None) is acting.step


def test_a_paused_backup_says_that_it_would_take_over_from_a_dead_peer() -> None:
    case = backup_case({**GONE, "mode": Mode.PAUSED})
    decision = turn.turn(case.view, case.memory)
    assert (decision.rule.name, decision.step) == ("peer-dead", None)
    assert decision.would[0] is Step.PROMOTE


def test_a_paused_active_side_refuses_whoever_asks_and_a_living_peer_of_it_asks_for_nothing() -> None:
    asked = active_case({"record": an_idle_peer(ask=Ask("sw2-y-0", Kind.SWITCHOVER)), "mode": Mode.PAUSED})
    assert turn.turn(asked.view, asked.memory).record.refusal == "this side is in mode paused and gives nothing away"
    ordered = backup_case({"record": a_peer(mode=Mode.PAUSED)}, WANTED)
    assert handover.wish(ordered) is None
    assert handover.wish(backup_case(memory=WANTED)) is Kind.SWITCHOVER


def test_a_paused_side_that_holds_nothing_still_promises_not_to_serve() -> None:
    """Otherwise the other side could not begin to serve after both were started."""
    idle = {"server": a_copy(source=PARKED, token=(3, 9)), "vip": Vip(), "mode": Mode.PAUSED}
    case = backup_case({**idle, "record": an_idle_peer(ask=Ask("sw2-y-0", Kind.START))})
    decision = turn.turn(case.view, case.memory)
    assert decision.record.grant is not None
    assert decision.record.grant.drained


def test_the_living_peer_of_a_paused_side_whose_server_died_leaves_it_what_it_holds() -> None:
    down = a_peer(life=Life.DOWN, role=None, listener=False, managers=False, mode=Mode.PAUSED)
    case = backup_case({"record": down})
    assert turn.turn(case.view, case.memory).rule.name == "peer-serves"
    let_go = backup_case({"record": replace(down, serving=False, vip=False), "source": Source(closed=True)})
    assert turn.turn(let_go.view, let_go.memory).rule.name == "peer-cannot"


def test_the_peer_of_a_paused_side_that_dies_takes_over_as_ever() -> None:
    case = backup_case({**GONE, "record": a_peer(mode=Mode.PAUSED)})
    decision = turn.turn(case.view, case.memory)
    assert (decision.presence, decision.rule.name) == (Presence.DEAD, "peer-dead")


def test_a_pause_in_the_middle_of_a_handover_drops_the_ask() -> None:
    asking = backup_case({"mode": Mode.PAUSED}, {"ask": Ask("sw1-x-0", Kind.SWITCHOVER), "ask_deadline": NOW + 5})
    assert turn.turn(asking.view, asking.memory).memory.ask is None


def test_after_a_pause_the_active_side_goes_on_without_having_lapsed() -> None:
    paused = active_case({"mode": Mode.PAUSED}, {"active_since": NOW - 100, "ordered": Role.ACTIVE})
    then = turn.turn(paused.view, paused.memory).memory
    after = turn.turn(replace(paused.view, mode=Mode.ACTIVE, now=NOW + 1), then)
    assert (after.rule.name, after.step, after.memory.lapsed) == ("we-serve", None, False)


def test_a_restore_ordered_by_hand_is_asked_for_at_once_and_given_by_the_side_that_an_operator_had_chosen() -> None:
    manual = replace(backup_case().view.settings, restore_automatic=False)
    asks = backup_case({"settings": manual}, {**WANTED, "restore": True, "ask_after": NOW + 9})
    ask = turn.turn(asks.view, asks.memory).record.ask
    assert ask is not None
    assert ask.kind is Kind.RESTORE
    chosen = replace(an_active().stamp, chosen=True)  # type: ignore[type-var]
    follower = an_idle_peer(stamp=chosen, in_sync_for=60.0, source="tcp:169.254.0.9:9999", ask=ask)
    giver = active_case({"server": an_active(stamp=chosen), "record": follower}, {"peer_stamp": chosen})
    assert turn.turn(giver.view, giver.memory).record.refusal == "this side is the preferred one"
    told = replace(giver.view, record=replace(follower, restore=True))
    assert turn.turn(told, giver.memory).rule.name == "draining"


def test_an_order_to_restore_is_forgotten_with_its_time() -> None:
    late = backup_case(memory={"wanted": "order-1", "wanted_until": NOW - 1, "restore": True})
    then = turn.turn(late.view, late.memory).memory
    assert (then.wanted, then.restore) == (None, False)


def test_an_advising_side_says_that_it_would_ask_for_the_service() -> None:
    idle = {"server": a_copy(source=PARKED), "record": an_idle_peer(token=(3, 9)), "mode": Mode.ADVISE}
    case = backup_case(idle)
    decision = turn.turn(case.view, case.memory)
    assert (decision.would_ask, decision.record.ask) == (Kind.START, None)
