"""One rule decides every moment, and the order of the rules holds the laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ovsha.core import turn
from ovsha.core.election import RULES, Goal, decide
from ovsha.core.facts import Ask, Grant, Kind, Life, Presence, Role, Source, Stamp, State, Vip
from ovsha.core.lineage import PARKED
from ovsha.core.situation import Situation
from ovsha.core.view import Memory, Settings, View
from tests.support.views import (
    BACKUP_VIEW,
    MEMORY,
    NODE,
    NOW,
    PEER,
    PEER_SERVES,
    SERVING,
    a_copy,
    a_peer,
    active_case,
    an_active,
    an_idle_peer,
    backup_case,
    memories,
    views,
)  # fmt: skip

GONE = {"heard_age": 5.0, "source": Source(closed=True)}
READ_ONLY = {"heard_age": 5.0, "source": Source(True, life_age=0.0, answer_age=0.0, role=Role.BACKUP)}
ANSWERS = Source(True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, stamp=Stamp(3, PEER), empty=False, role_age=0.1)
BLANK = Source(True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE)
ALONE = {"settings": Settings(NODE, "", NODE, ""), "record": None, "heard_age": None, "source": Source()}
DARK = {"server": an_active(managers_open=False, listener_open=False), "vip": Vip()}
WAITING = {"ask": Ask("sw1-x-0", Kind.START), "ask_deadline": NOW + 5}
NOT_MET = {"met": False, "peer_stamp": None}

ONE_CASE_A_RULE = {
    "server-down": backup_case({"server": a_copy(life=Life.DOWN)}),
    "server-hung": backup_case({"server": a_copy(life=Life.HUNG)}),
    "server-undriven": active_case({"server": an_active(life=Life.UNKNOWN, undriven="no control socket")}),
    "server-unknown": backup_case({"server": a_copy(life=Life.UNKNOWN)}),
    "server-unread": backup_case({"server": a_copy(loaded=False)}),
    "listening": backup_case({**GONE, "woke": True, "heard_age": None}),
    "draining": active_case({"record": an_idle_peer(ask=Ask("sw2-y-0", Kind.RESTORE))},
                            {"grant": Grant("sw2-y-0", Kind.RESTORE), "granted": "sw2-y-0", "grant_term": 3}),
    "granted": backup_case({"record": an_idle_peer(grant=Grant("sw1-x-0", Kind.START, None, True))}, WAITING),
    "resolved": backup_case({**GONE, "heard_age": None, "record": None},
                            {**NOT_MET, "keep": NODE, "keep_until": NOW + 1}),
    "forced": backup_case({"heard_age": 5.0}, {"keep": NODE, "keep_until": NOW + 1, "forced": True}),
    "rolled-back": backup_case({**GONE, "server": a_copy(token=(3, 1), source=PARKED)}, {"held": (3, 90)}),
    "upgrade-both": backup_case({"upgrade": 60.0, "record": an_idle_peer(upgrade=50.0)}),
    "upgrade-silent": backup_case({**READ_ONLY, "upgrade": 60.0}),
    "upgrade-alone": backup_case({**GONE, "upgrade": 60.0}),
    "found-unstamped": active_case({"server": an_active(stamp=None)}, {"ordered": None}),
    "split-lost": active_case({"record": a_peer(lapsed=False)}, {"lapsed": True, "awake": NOW}),
    "split-won": active_case({"record": a_peer(lapsed=True)}),
    "we-serve": active_case(),
    "being-granted": backup_case({"record": an_idle_peer(grant=Grant("sw1-x-0", Kind.START))}, WAITING),
    "source-lost": backup_case({"source": Source(closed=True)}),
    "source-unread": backup_case({"server": a_copy(source=PARKED), "source": Source()}),
    "source-refused": backup_case({"server": a_copy(source=PARKED), "source": BLANK}),
    "peer-settling": backup_case({"server": a_copy(source=PARKED), "record": a_peer(active_for=0.1)}),
    "peer-serves": backup_case(),
    "begun": active_case(DARK, {"ordered": Role.ACTIVE}),
    "copy-too-old": backup_case({**GONE, "server": a_copy(stamp=Stamp(2, PEER))}),
    "copy-outdated": backup_case({"record": an_idle_peer(life=Life.DOWN), "server": a_copy(stamp=Stamp(2, PEER))}),
    "copy-far-behind": backup_case({**GONE, "record": an_idle_peer(token=(3, 99))}),
    "copy-behind": backup_case({"record": an_idle_peer(life=Life.DOWN, token=(3, 99))}),
    "found-far-behind": active_case({"server": an_active(stamp=Stamp(3, PEER)), "record": an_idle_peer(token=(3, 99))},
                                    {"ordered": None}),
    "standalone-copies": backup_case(ALONE, NOT_MET),
    "standalone": backup_case({**ALONE, "server": a_copy(source=PARKED, replicating=False)}, NOT_MET),
    "peer-seen-active": backup_case({"record": an_idle_peer(life=Life.DOWN), "source": ANSWERS}),
    "peer-cannot": backup_case({"record": an_idle_peer(life=Life.DOWN), "source": Source(closed=True)}),
    "peer-barred": backup_case({"record": an_idle_peer(estranged=True, stamp=Stamp(2, PEER)),
                                "source": READ_ONLY["source"]}),
    "nobody-serves": backup_case({"record": an_idle_peer()}),
    "peer-read-only": backup_case(READ_ONLY),
    "founding": backup_case({**GONE, "heard_age": None, "record": None}, {**NOT_MET, "founding": True}),
    "silent-refused": backup_case({"heard_age": 5.0, "source": BLANK, "server": a_copy(source=PARKED)}),
    "peer-silent": backup_case({"heard_age": 5.0}),
    "peer-dead": backup_case(GONE),
    "lone-boot": backup_case({**GONE, "heard_age": None, "record": None,
                              "settings": replace(BACKUP_VIEW.settings, lone_boot=60.0)}, NOT_MET),
    "lone-wait": backup_case({**GONE, "heard_age": None, "record": None}, NOT_MET),
}  # fmt: skip


@pytest.mark.parametrize("name", [each.name for each in RULES])
def test_every_rule_is_the_one_that_decides_in_some_moment(name: str) -> None:
    case = ONE_CASE_A_RULE[name]
    assert turn.turn(case.view, case.memory).rule.name == name


def rule(view: View, memory: Memory = MEMORY) -> str:
    return turn.turn(view, memory).rule.name


@settings(max_examples=200)
@given(views, memories)
def test_every_moment_has_exactly_one_decision_and_the_same_again(view: View, memory: Memory) -> None:
    first = turn.turn(view, memory)
    assert first == turn.turn(view, memory)
    assert first.rule in RULES
    assert first.why.startswith(first.rule.why)


@settings(max_examples=200)
@given(views, memories)
def test_side_that_hears_an_active_peer_never_begins_to_serve(view: View, memory: Memory) -> None:
    decision = turn.turn(view, memory)
    hears = decision.presence is Presence.ALIVE and view.record is not None and view.record.serving
    began = memory.ordered is Role.ACTIVE or decision.record.serving or decision.rule.name == "granted"
    if hears and not began:
        assert decision.rule.goal is not Goal.SERVE


@settings(max_examples=200)
@given(views, memories)
def test_side_that_has_promised_not_to_serve_does_not(view: View, memory: Memory) -> None:
    decision = turn.turn(view, memory)
    if decision.memory.grant is not None:
        assert decision.rule.goal is not Goal.SERVE
        assert decision.memory.ask is None


@settings(max_examples=200)
@given(views, memories)
def test_side_in_an_upgrade_never_begins_to_serve_and_asks_for_nothing(view: View, memory: Memory) -> None:
    decision = turn.turn(replace(view, upgrade=60.0), memory)
    if decision.rule.name not in ("forced", "resolved"):
        assert decision.rule.goal is not Goal.SERVE or decision.record.serving
    assert decision.memory.ask is None


@settings(max_examples=200)
@given(views, memories)
def test_copy_known_to_be_old_never_begins_to_serve(view: View, memory: Memory) -> None:
    decision = turn.turn(view, memory)
    case = Situation(view, decision.memory, decision.presence)
    if case.outdated and not case.serving and not case.granted:
        assert decision.rule.goal is not Goal.SERVE


@pytest.mark.parametrize("life", [Life.DOWN, Life.HUNG])
def test_side_without_a_server_lets_go_whatever_else_is_so(life: Life) -> None:
    view = replace(BACKUP_VIEW, server=replace(SERVING, life=life))
    assert turn.turn(view, MEMORY).rule.goal is Goal.FENCE


def test_backup_follows_an_active_peer() -> None:
    assert rule(BACKUP_VIEW) == "peer-serves"


def test_peer_whose_server_crashed_is_replaced_at_once() -> None:
    crashed = replace(PEER_SERVES, serving=False, vip=False, life=Life.DOWN, role=None)
    assert rule(replace(BACKUP_VIEW, record=crashed, source=Source(closed=True))) == "peer-cannot"


@pytest.mark.parametrize("life", [Life.DOWN, Life.HUNG])
def test_word_of_the_peers_agent_counts_for_nothing_against_an_answer_of_its_active_server(life: Life) -> None:
    said = replace(BACKUP_VIEW, record=an_idle_peer(life=life), source=ANSWERS)
    assert rule(said) == "peer-seen-active"
    interval = said.settings.dead_interval
    for no_longer in (
        replace(ANSWERS, role_age=interval),
        replace(ANSWERS, answer_age=interval / 2),
        replace(ANSWERS, role=Role.BACKUP),
        replace(ANSWERS, life_age=None),
    ):
        assert rule(replace(said, source=no_longer)) == "peer-cannot"


def test_side_that_an_active_server_holds_back_asks_an_operator_whose_word_it_carries_out() -> None:
    said = replace(BACKUP_VIEW, record=an_idle_peer(life=Life.DOWN), source=ANSWERS)
    waited = turn.turn(said, replace(MEMORY, stuck_since=NOW - 10.0))
    assert waited.state is State.NEEDS_DECISION
    decided = turn.turn(said, replace(MEMORY, keep=NODE, keep_until=NOW + 1))
    ask = decided.memory.ask
    assert ask is not None
    assert ask.kind is Kind.RESOLVE
    gave_way = an_idle_peer(life=Life.DOWN, grant=Grant(ask.ident, Kind.RESOLVE, None, True), keep=NODE)
    assert rule(replace(said, record=gave_way), decided.memory) == "granted"


def test_side_whose_server_takes_no_orders_stays_as_it_is_and_gives_way_to_nobody_while_it_serves() -> None:
    bound = active_case({"server": an_active(life=Life.UNKNOWN, undriven="no control socket"),
                         "record": an_idle_peer(ask=Ask("sw2-y-0", Kind.SWITCHOVER), in_sync_for=9.0)})  # fmt: skip
    decision = turn.turn(bound.view, bound.memory)
    assert (decision.rule.goal, decision.step, decision.record.serving) == (Goal.KEEP, None, True)
    assert (decision.state, decision.record.undriven, decision.memory.grant) == (State.ACTIVE, True, None)
    assert "takes no orders" in decision.record.refusal


def test_side_whose_server_takes_no_orders_leaves_the_service_to_the_other_when_nobody_serves() -> None:
    asks = an_idle_peer(ask=Ask("sw2-y-0", Kind.START))
    bound = backup_case({"server": a_copy(life=Life.UNKNOWN, undriven="no control socket", source=None),
                         "record": asks, "source": READ_ONLY["source"]})  # fmt: skip
    grant = turn.turn(bound.view, bound.memory).memory.grant
    assert grant is not None
    assert grant.drained
    other = backup_case({"record": an_idle_peer(life=Life.UNKNOWN, undriven=True), "source": READ_ONLY["source"]})
    ask = turn.turn(other.view, other.memory).memory.ask
    assert ask is not None
    assert ask.kind is Kind.START
    answers = backup_case({"record": an_idle_peer(life=Life.UNKNOWN, undriven=True), "source": ANSWERS})
    assert turn.turn(answers.view, answers.memory).memory.ask is None, "its active server answers"


@settings(max_examples=200)
@given(views, memories)
def test_nothing_begins_unasked_while_an_active_server_of_the_peer_answers(view: View, memory: Memory) -> None:
    answers = replace(view.source, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, role_age=0.1)
    assert not turn.turn(replace(view, source=answers), memory).rule.unasked


def test_peer_whose_server_is_down_but_holds_the_vip_is_waited_for() -> None:
    holding = replace(PEER_SERVES, life=Life.DOWN, role=None)
    assert turn.turn(replace(BACKUP_VIEW, record=holding), MEMORY).rule.goal is not Goal.SERVE


def test_busy_peer_is_not_taken_for_dead() -> None:
    busy = replace(PEER_SERVES, life=Life.BUSY)
    assert rule(replace(BACKUP_VIEW, record=busy)) == "peer-serves"
    assert rule(replace(BACKUP_VIEW, record=an_idle_peer(life=Life.BUSY))) == "nobody-serves"


def test_silent_agent_with_a_living_server_is_not_replaced() -> None:
    assert rule(replace(BACKUP_VIEW, heard_age=5.0)) == "peer-silent"


def test_peer_that_nothing_answers_for_is_replaced() -> None:
    gone = replace(BACKUP_VIEW.source, loaded=False, life_age=None, answer_age=None)
    assert rule(replace(BACKUP_VIEW, heard_age=0.5, source=gone)) == "peer-dead"


def test_peer_that_was_never_met_is_waited_for_unless_the_operator_set_a_time() -> None:
    view = View(100.0, BACKUP_VIEW.settings, server=replace(BACKUP_VIEW.server, source=None))
    stranger = Memory("b007", awake=0.0)
    assert rule(view, stranger) == "lone-wait"
    alone = replace(view, settings=replace(view.settings, lone_boot=60.0))
    assert rule(alone, stranger) == "lone-boot"
    assert rule(replace(alone, now=59.0), stranger) == "lone-wait"


def test_blank_database_never_serves_when_the_peer_was_seen_with_data() -> None:
    blank = replace(BACKUP_VIEW.server, stamp=None, token=None, empty=True)
    gone = replace(BACKUP_VIEW.source, loaded=False, life_age=None, answer_age=None, stamp=None)
    view = replace(BACKUP_VIEW, server=blank, source=gone, heard_age=5.0, record=None)
    memory = replace(MEMORY, peer_stamp=Stamp(3, "sw2"))
    assert rule(view, memory) == "copy-too-old"


def test_stranger_in_the_peers_place_who_says_that_he_serves_holds_us_back_and_nothing_more() -> None:
    gone = replace(BACKUP_VIEW, **GONE)
    assert rule(gone) == "peer-dead"
    assert rule(replace(gone, estranged=PEER_SERVES)) == "peer-silent"
    assert rule(replace(gone, estranged=replace(PEER_SERVES, serving=False))) == "peer-dead"
    assert rule(replace(BACKUP_VIEW, **READ_ONLY, estranged=PEER_SERVES)) == "peer-silent"
    poison = replace(PEER_SERVES, serving=False, term=10**9, stamp=Stamp(10**9, PEER), token=(10**9, 1))
    assert turn.turn(replace(gone, estranged=poison), MEMORY) == turn.turn(
        replace(gone, estranged=replace(PEER_SERVES, serving=False)), MEMORY
    )


def test_side_that_the_peer_takes_for_a_stranger_yields_to_it_whatever_speaks_for_the_side_itself() -> None:
    better = active_case({"record": a_peer(lapsed=True)})
    assert rule(better.view, better.memory) == "split-won"
    assert rule(replace(better.view, record=a_peer(lapsed=True, estranged=True)), better.memory) == "split-lost"


def test_agent_that_woke_listens_before_it_acts() -> None:
    gone = replace(BACKUP_VIEW.source, loaded=False, life_age=None, answer_age=None)
    assert rule(replace(BACKUP_VIEW, woke=True, heard_age=None, source=gone)) == "listening"


def test_source_that_hung_up_is_not_copied_from_again_before_it_was_looked_at() -> None:
    closed = replace(BACKUP_VIEW.source, loaded=False, closed=True, life_age=None)
    decision = turn.turn(replace(BACKUP_VIEW, source=closed), MEMORY)
    assert (decision.rule.name, decision.rule.goal) == ("source-lost", Goal.PARK)


def test_every_rule_has_a_name_of_its_own_and_the_last_always_holds() -> None:
    assert len({each.name for each in RULES}) == len(RULES)
    nothing = Situation(View(0.0, BACKUP_VIEW.settings), MEMORY, Presence.NEVER)
    assert RULES[-1].holds(nothing)
    assert decide(nothing) in RULES


@settings(max_examples=200)
@given(views, memories)
def test_nothing_but_evidence_of_death_or_a_promise_makes_a_side_begin_to_serve(view: View, memory: Memory) -> None:
    decision = turn.turn(view, memory)
    if decision.rule.goal is not Goal.SERVE or decision.record.serving:
        return
    evidence = {
        "granted", "forced", "resolved", "begun",
        "peer-cannot", "peer-barred", "peer-read-only", "peer-dead", "lone-boot",
    }  # fmt: skip
    assert decision.rule.name in evidence
    assert decision.rule.unasked is (decision.rule.name not in ("granted", "forced", "resolved", "begun"))
    if decision.rule.name == "forced":
        assert decision.presence is not Presence.ALIVE
    if decision.rule.name == "peer-cannot":
        assert view.record is not None
        assert view.record.life in (Life.DOWN, Life.HUNG)
    if decision.rule.name == "peer-dead":
        assert decision.presence is Presence.DEAD


def test_silent_agent_of_a_read_only_server_is_replaced_at_once_only_by_the_preferred_side() -> None:
    away = replace(BACKUP_VIEW.settings, preferred=PEER)
    view = replace(BACKUP_VIEW, **READ_ONLY, settings=away)
    waited = replace(MEMORY, silent_since=NOW - away.stall_interval)
    assert rule(view, replace(MEMORY, silent_since=NOW - away.stall_interval + 0.01)) == "peer-silent"
    assert rule(view, waited) == "peer-read-only"
