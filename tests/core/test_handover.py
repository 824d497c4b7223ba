"""The conversation by which one living side gives the service to the other loses and doubles nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ovsha.core import handover
from ovsha.core.election import Goal
from ovsha.core.facts import (
    Ask,
    Clag,
    Copy,
    Grant,
    Kind,
    Life,
    MlagRole,
    Presence,
    Role,
    Source,
    Stamp,
    Token,
    Vip,
    Written,
)
from ovsha.core.lineage import PARKED
from ovsha.core.situation import Situation
from ovsha.core.transition import Step
from ovsha.core.turn import turn
from ovsha.core.view import Memory, View
from tests.support.views import (
    NODE,
    NOW,
    PEER,
    SETTINGS,
    a_copy,
    a_peer,
    active_case,
    an_active,
    an_idle_peer,
    backup_case,
    cases,
    memories,
    views,
)  # fmt: skip

PRIMARY, SECONDARY = Clag(MlagRole.PRIMARY), Clag(MlagRole.SECONDARY)
THEIRS = "sw2-y-0"
OURS = "sw1-x-0"
CLOSED = an_active(managers_open=False, listener_open=False)
DARK: dict[str, object] = {"server": CLOSED, "vip": Vip()}


def granting(kind: Kind = Kind.RESTORE, **grant: object) -> dict[str, object]:
    return {"grant": replace(Grant(THEIRS, kind), **grant), "granted": THEIRS, "grant_term": 3}  # type: ignore[arg-type]


def asker(kind: Kind = Kind.RESTORE, **changed: object) -> dict[str, object]:
    """Return the record of a peer in step that asks for the service, as a part of a view."""
    usual = {"stamp": Stamp(3, NODE), "in_sync_for": 60.0, "ask": Ask(THEIRS, kind), "preferred": PEER}
    return {"record": an_idle_peer(**{**usual, **changed})}


# What is asked for, and why.


def test_an_operators_order_to_this_side_is_asked_for() -> None:
    ordered = {"wanted": "order", "wanted_until": NOW + 5}
    away = {"settings": replace(SETTINGS, preferred=PEER)}
    assert handover.wish(backup_case(away, ordered)) is Kind.SWITCHOVER
    assert handover.wish(backup_case({**away, "record": a_peer(offer="order")})) is Kind.SWITCHOVER
    assert handover.wish(backup_case(away)) is None


def test_the_preferred_side_asks_when_it_was_in_sync_for_the_delay_and_not_before() -> None:
    delay = SETTINGS.restore_delay
    assert handover.wish(backup_case({"copy": Copy(delay)})) is Kind.RESTORE
    assert handover.wish(backup_case({"copy": Copy(delay - 0.01)})) is None
    assert handover.wish(backup_case({"copy": Copy(None)})) is None


def test_a_side_that_has_only_just_become_the_preferred_one_waits_for_the_delay() -> None:
    assert handover.wish(backup_case(memory={"unpreferred_at": NOW - SETTINGS.restore_delay + 0.01})) is None
    assert handover.wish(backup_case(memory={"unpreferred_at": NOW - SETTINGS.restore_delay})) is Kind.RESTORE


def test_nothing_is_restored_by_itself_when_the_operator_wants_to_do_it() -> None:
    assert handover.wish(backup_case({"settings": replace(SETTINGS, restore_automatic=False)})) is None


def test_a_service_that_an_operator_moved_is_not_taken_back() -> None:
    chosen = Stamp(3, PEER, chosen=True)
    record, server = a_peer(stamp=chosen), a_copy(stamp=chosen)
    assert handover.wish(backup_case({"record": record, "server": server})) is None


def cut(held: float, record: object = None, **view: object) -> Situation:
    base: dict[str, object] = {
        "settings": replace(SETTINGS, preferred=PEER), "clag": PRIMARY, "server": a_copy(source=None),
        "record": record or a_peer(mlag=MlagRole.SECONDARY),
    }  # fmt: skip
    return backup_case({**base, **view}, {"link_lost_at": NOW - held})


def test_the_clagd_primary_asks_when_the_peer_link_was_cut_for_the_hold_time() -> None:
    hold = SETTINGS.link_cut_hold
    assert handover.wish(cut(hold)) is Kind.LINK_CUT
    assert handover.wish(cut(hold - 0.01)) is None
    assert handover.wish(cut(hold, clag=SECONDARY)) is None
    assert handover.wish(cut(hold, record=a_peer(mlag=None))) is None


def test_the_time_of_a_cut_goes_on_when_an_agent_is_started_anew_and_has_never_heard_the_link() -> None:
    never: dict[str, object] = {"link_silent_for": None}
    first = turn(backup_case(never).view, backup_case().memory)
    assert first.memory.link_lost_at == NOW
    later = turn(backup_case({**never, "now": NOW + 9}).view, first.memory)
    assert later.memory.link_lost_at == NOW
    healed = turn(backup_case({"link_silent_for": 0.1}).view, first.memory)
    assert healed.memory.link_lost_at is None


def test_of_two_idle_sides_the_one_with_the_newer_data_asks() -> None:
    older, newer = an_idle_peer(stamp=Stamp(2, PEER)), an_idle_peer(stamp=Stamp(4, PEER))
    own = a_copy(stamp=Stamp(3, NODE))
    assert handover.wish(backup_case({"server": own, "record": older})) is Kind.START
    assert handover.wish(backup_case({"server": own, "record": newer})) is None


@pytest.mark.parametrize("life", [Life.BUSY, Life.HUNG, Life.DOWN, Life.UNKNOWN])
def test_a_side_whose_server_does_not_answer_asks_for_nothing(life: Life) -> None:
    assert handover.wish(backup_case({"server": a_copy(life=life)})) is None


# What is given, and when.


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.RESTORE, Kind.LINK_CUT])
def test_a_serving_side_gives_the_service_to_a_copy_in_step(kind: Kind) -> None:
    view = {**asker(kind), "settings": replace(SETTINGS, preferred=PEER), "clag": SECONDARY}
    memory = handover.advance(active_case(view))
    assert memory.grant == Grant(THEIRS, kind)
    assert memory.granted == THEIRS


@pytest.mark.parametrize(
    ("kind", "changed", "view", "why"),
    [
        (Kind.RESTORE, {"in_sync_for": None}, {}, "the copy on the other side is not in sync"),
        (Kind.RESTORE, {}, {}, "this side is the preferred one"),
        (Kind.RESTORE, {"stamp": Stamp(2, NODE)}, {}, "not of this term"),
        (Kind.SWITCHOVER, {"life": Life.BUSY}, {}, "does not answer"),
        (Kind.SWITCHOVER, {}, DARK, "this side does not serve"),
        (Kind.LINK_CUT, {}, {"clag": PRIMARY}, "clagd says that this side is primary"),
        (Kind.START, {}, {}, "this side serves or is about to"),
        (Kind.START, {}, DARK, "this side comes first"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_is_told_to_the_asker(
    kind: Kind, changed: dict[str, object], view: dict[str, object], why: str
) -> None:
    memory = handover.advance(active_case({**asker(kind, **changed), **view}))
    assert memory.grant is None
    assert why in memory.refusal


@pytest.mark.parametrize(
    ("asks", "knows", "granted"),
    [
        ({"token": (3, 9)}, {"held": (3, 9), "peer_token": (3, 9)}, True),
        ({"token": (3, 8)}, {"held": (3, 9), "peer_token": (3, 9)}, False),
        ({"token": (3, 9)}, {"held": (3, 8), "peer_token": (3, 10)}, False),
        ({"token": (3, 9)}, {"held": (3, 9), "term": 4}, False),
        ({"token": (3, 9), "stamp": None}, {"held": (3, 9)}, False),
        ({"token": (3, 9)}, {"held": None}, False),
    ],
)
def test_a_side_whose_database_is_not_read_gives_way_to_one_that_lacks_nothing_known(
    asks: dict[str, object], knows: dict[str, object], granted: bool
) -> None:
    unread = a_copy(loaded=False, stamp=None, token=None)
    memory = handover.advance(backup_case({**asker(Kind.START, **asks), "server": unread}, knows))
    assert (memory.grant is not None) is granted, memory.refusal


@pytest.mark.parametrize("kind", handover.PLANNED)
def test_nothing_is_drained_while_the_barrier_could_not_arrive(kind: Kind) -> None:
    away = {**asker(kind), "settings": replace(SETTINGS, preferred=PEER)}
    cut_off = handover.advance(active_case(away, {"link_lost_at": NOW}))
    assert (cut_off.grant, "over the peer link" in cut_off.refusal) == (None, True)


def test_an_ask_is_answered_once() -> None:
    away = {"settings": replace(SETTINGS, preferred=PEER)}
    assert handover.advance(active_case({**asker(), **away}, {"granted": THEIRS})).grant is None


def test_a_side_that_grants_forgets_its_own_ask() -> None:
    away = {"settings": replace(SETTINGS, preferred=PEER)}
    memory = handover.advance(active_case({**asker(), **away}, {"ask": Ask(OURS, Kind.SWITCHOVER)}))
    assert memory.grant is not None
    assert memory.ask is None


@pytest.mark.parametrize(
    "still_open",
    [{"server": an_active(listener_open=False), "vip": Vip()}, {"server": an_active(managers_open=False), "vip": Vip()},
     {"server": CLOSED, "vip": Vip(present=True)}],
)  # fmt: skip
def test_there_is_no_barrier_before_everything_is_closed(still_open: dict[str, object]) -> None:
    memory = handover.advance(active_case({**asker(), **still_open}, granting()))
    assert memory.grant == Grant(THEIRS, Kind.RESTORE)


def test_the_barrier_leaves_out_the_token_that_may_be_under_way_already() -> None:
    """It was sent while writers were let in, so it may be ahead of their last writes."""
    memory = handover.advance(active_case({**asker(), **DARK}, granting()))
    assert memory.grant is not None
    assert memory.grant.barrier == (3, 12)
    under_way = an_active(managers_open=False, listener_open=False, token=(3, 11))
    memory = handover.advance(active_case({**asker(), "server": under_way, "vip": Vip()}, granting(barrier=(3, 12))))
    assert memory.grant is not None
    assert not memory.grant.drained


def test_a_side_says_that_it_has_drained_when_its_barrier_is_committed() -> None:
    committed = an_active(managers_open=False, listener_open=False, token=(3, 12))
    memory = handover.advance(active_case({**asker(), "server": committed, "vip": Vip()}, granting(barrier=(3, 12))))
    assert memory.grant == Grant(THEIRS, Kind.RESTORE, (3, 12), drained=True)


@pytest.mark.parametrize("role", [None, Role.BACKUP])
def test_a_planned_move_is_called_off_when_the_server_is_lost_before_its_barrier(role: Role | None) -> None:
    lost = an_active(managers_open=False, listener_open=False, role=role)
    assert handover.advance(active_case({**asker(), "server": lost, "vip": Vip()}, granting())).grant is None


# When the asker may open.


@pytest.mark.parametrize(
    ("grant", "token", "granted"),
    [
        (Grant(OURS, Kind.RESTORE, (3, 10), drained=True), (3, 10), True),
        (Grant(OURS, Kind.RESTORE, (3, 11), drained=True), (3, 10), False),
        (Grant(OURS, Kind.RESTORE, (3, 10), drained=False), (3, 10), False),
        (Grant("sw1-x-1", Kind.RESTORE, (3, 10), drained=True), (3, 10), False),
        (Grant(OURS, Kind.START, None, drained=True), (3, 10), True),
        (Grant(OURS, Kind.START, None, drained=True), (3, 2), False),
        (Grant(OURS, Kind.LINK_CUT, None, drained=True), (3, 2), True),
        (Grant(OURS, Kind.RESTORE, (1, 0), drained=True), None, False),
        (None, (3, 10), False),
    ],
)
def test_the_asker_opens_only_on_its_own_drained_grant_with_the_barrier_in_its_copy(
    grant: Grant | None, token: Token | None, granted: bool
) -> None:
    view = {"record": an_idle_peer(grant=grant), "server": a_copy(token=token)}
    assert backup_case(view, {"ask": Ask(OURS, Kind.RESTORE)}).granted is granted
    assert not backup_case(view).granted


def test_a_barrier_that_had_arrived_is_not_looked_for_again_once_our_server_is_active() -> None:
    """A client that clears the agents' keys then is no reason to wait until the grant ends."""
    grant = Grant(OURS, Kind.RESTORE, (3, 10), drained=True)
    cleared = Written(None, None)

    def granted(token: Token, role: Role) -> bool:
        server = a_copy(role=role, source=None, token=token, written=cleared)
        return backup_case(
            {"record": an_idle_peer(grant=grant), "server": server}, {"ask": Ask(OURS, Kind.RESTORE)}
        ).granted

    assert granted((3, 10), Role.ACTIVE)
    assert not granted((3, 9), Role.ACTIVE), "what is believed lacks it"
    assert not granted((3, 10), Role.BACKUP), "a backup has it when it is in its rows"


def test_an_ask_ends_when_it_is_served_when_it_is_late_and_when_its_reason_is_gone() -> None:
    asked: dict[str, object] = {"ask": Ask(OURS, Kind.RESTORE), "ask_deadline": NOW + 1}
    assert handover.advance(backup_case({"copy": Copy(60.0)}, asked)).ask == Ask(OURS, Kind.RESTORE)
    assert handover.advance(backup_case({"copy": Copy(None)}, asked)).ask is None
    assert handover.advance(backup_case({"copy": Copy(60.0)}, {**asked, "ask_deadline": NOW - 1})).ask is None
    served = handover.advance(active_case(memory=asked))
    assert served.ask is None
    assert served.ask_after == NOW + SETTINGS.restore_delay


def test_an_ask_that_is_being_carried_out_is_not_dropped_for_being_late() -> None:
    drained = an_idle_peer(grant=Grant(OURS, Kind.RESTORE, (3, 10), drained=True))
    asked = {"ask": Ask(OURS, Kind.RESTORE), "ask_deadline": NOW - 1}
    promoted = an_active(managers_open=False, listener_open=False)
    assert handover.advance(backup_case({"server": promoted, "record": drained}, asked)).ask is not None


def test_an_ask_ends_when_the_server_that_was_to_serve_has_ended() -> None:
    drained = an_idle_peer(grant=Grant(OURS, Kind.RESTORE, (3, 10), drained=True))
    asked = {"ask": Ask(OURS, Kind.RESTORE), "ask_deadline": NOW + 1}
    for life, kept in ((Life.UP, True), (Life.BUSY, True), (Life.HUNG, True), (Life.DOWN, False)):
        view = {"server": a_copy(life=life), "record": drained, "copy": Copy(60.0)}
        assert (handover.advance(backup_case(view, asked)).ask is not None) is kept, life


# When a promise ends.


def kept(view: dict[str, object], memory: dict[str, object] | None = None) -> bool:
    held = {**granting(drained=True, barrier=(3, 10)), "grant_since": NOW - 1, **(memory or {})}
    return handover.advance(active_case({**DARK, **view}, held)).grant is not None


def test_a_promise_is_kept_while_the_asker_asks() -> None:
    assert kept(asker())


def test_a_promise_to_a_side_whose_data_was_newer_from_the_start_is_kept() -> None:
    newer = asker(Kind.START, stamp=Stamp(4, PEER))
    memory = handover.advance(active_case({**newer, **DARK}))
    assert memory.grant == Grant(THEIRS, Kind.START, drained=True)
    now = Situation(active_case({**newer, **DARK}).view, memory, Presence.ALIVE)
    assert handover.advance(now).grant == memory.grant


@pytest.mark.parametrize(
    "over",
    [asker(ask=None), asker(ask=Ask("sw2-y-1", Kind.RESTORE)), asker(serving=True), asker(stamp=Stamp(4, PEER)),
     {**asker(), "source": Source(True, stamp=Stamp(4, PEER))}],
    ids=["dropped", "another ask", "served", "term opened", "term seen in the database"],
)  # fmt: skip
def test_a_promise_ends_when_the_asker_serves_or_dropped_the_ask(over: dict[str, object]) -> None:
    assert not kept(over)


SILENT: dict[str, object] = {**asker(), "heard_age": 5.0}


def test_a_promise_ends_with_the_death_of_the_asker_and_not_with_its_silence() -> None:
    answers = Source(True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, stamp=Stamp(3, NODE))
    assert kept({**SILENT, "source": answers})
    assert not kept({**SILENT, "source": Source(closed=True)})


def test_a_promise_ends_when_a_silent_asker_is_read_only_for_twice_the_timeout() -> None:
    limit = 2 * SETTINGS.handover_timeout
    answers = Source(True, life_age=0.0, answer_age=0.0, role=Role.BACKUP, stamp=Stamp(3, NODE))
    assert kept({**SILENT, "source": answers}, {"grant_since": NOW - limit})
    assert not kept({**SILENT, "source": answers}, {"grant_since": NOW - limit - 0.01})


@pytest.mark.parametrize(("token", "due"), [(None, (3, 1)), ((3, 41), (3, 42)), ((2, 41), (3, 1))])
def test_who_serves_commits_tokens_that_only_grow_within_its_term(token: Token | None, due: Token) -> None:
    serving = turn(*looked_at(active_case({"server": an_active(token=token)})))
    assert handover.periodic_token(serving.record, serving.opening) == due


@pytest.mark.parametrize(
    "case",
    [backup_case(), active_case({"server": an_active(stamp=None)}),
     active_case({"server": an_active(stamp=Stamp(3, PEER))}), active_case(asker(), granting())],
    ids=["backup", "not stamped yet", "stamped by the peer", "gives the service away"],
)  # fmt: skip
def test_nobody_else_commits_a_token(case: Situation) -> None:
    decision = turn(*looked_at(case))
    assert handover.periodic_token(decision.record, decision.opening) is None


def looked_at(case: Situation) -> tuple[View, Memory]:
    return case.view, case.memory


# For every view and memory there can be.


@settings(max_examples=200)
@given(cases)
def test_a_side_that_has_granted_never_has_an_ask_of_its_own(case: Situation) -> None:
    memory = handover.advance(case)
    assert memory.grant is None or memory.ask is None


@settings(max_examples=200)
@given(cases)
def test_a_name_of_an_ask_is_never_used_again(case: Situation) -> None:
    memory = handover.advance(case)
    if memory.ask is not None and memory.ask != case.memory.ask:
        assert memory.asks == case.memory.asks + 1
        assert memory.ask.ident == f"{NODE}-x-{case.memory.asks}"


@settings(max_examples=200)
@given(views, memories)
def test_nothing_is_drained_while_something_is_open(view: View, memory: Memory) -> None:
    decision = turn(view, memory)
    grant, before = decision.memory.grant, memory.grant
    if grant is not None and grant.drained and not (before is not None and before.drained):
        assert not decision.record.vip
        assert not decision.record.managers
        assert not decision.record.listener


def test_a_session_that_was_lost_while_we_only_listened_is_remembered_until_the_server_is_parked() -> None:
    lost = backup_case({"source": Source(closed=True), "woke": True, "heard_age": 5.0})
    listening = turn(lost.view, lost.memory)
    assert (listening.rule.goal, listening.step) == (Goal.KEEP, None)
    back = backup_case({"now": NOW + 5})
    later = turn(back.view, listening.memory)
    assert (later.rule.goal, later.step) == (Goal.FOLLOW, Step.PARK_SERVER)
    parked = backup_case({"now": NOW + 5, "server": replace(back.view.server, source=PARKED)})
    assert not turn(parked.view, later.memory).memory.severed
