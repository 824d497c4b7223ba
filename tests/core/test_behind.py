"""A copy that lacks too much of what is known of the peer's data is not served unasked, a complete one is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples

from ovsha.core import operator_orders, turn
from ovsha.core.election import Goal
from ovsha.core.facts import Copy, Life, Presence, Role, Source, Stamp, State
from ovsha.core.situation import Situation
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View
from tests.support.views import MEMORY, NODE, NOW, PEER, a_copy, a_peer, an_idle_peer, backup_case, memories, views

LIMIT, INTERVAL = 60.0, 2.0
SHUT = Source(closed=True)


def at(moment: float, **changed: object) -> View:
    """Return the view of a backup in its steady state at that moment, with what is named changed."""
    return replace(backup_case(changed).view, now=moment)


def filtered(moment: float, number: int, **changed: object) -> View:
    """Return it while heartbeats tell of token 3.`number` and the copy ends at 3.10."""
    return at(moment, source=Source(), copy=Copy(), record=a_peer(token=(3, number)), **changed)


def gone(moment: float, **changed: object) -> View:
    return at(moment, **{"heard_age": 5.0, "source": SHUT, **changed})


def played(*view: View, memory: Memory = MEMORY) -> Decision:
    """Return what is decided in the last of these moments."""
    memory = replace(memory, awake=NOW - 1000.0)
    for each in view:
        decision = turn.turn(each, memory)
        memory = decision.memory
    return decision


def lived(seconds: float) -> list[View]:
    """Return so many seconds of a replication that is filtered while heartbeats go on, a view for each token."""
    count = round(seconds / INTERVAL)
    return [filtered(NOW + INTERVAL * n, 11 + n) for n in range(count)]


def test_copy_that_lacks_less_than_the_limit_serves_and_says_what_it_lacks() -> None:
    decision = played(*lived(40.0), gone(NOW + 40.5, record=a_peer(token=(3, 30))))
    assert decision.rule.name == "peer-dead"
    assert "it lacks tokens 3.10 to 3.30" in decision.why


def test_copy_that_lacks_more_than_the_limit_waits_for_the_peer_or_an_operator() -> None:
    ended = gone(NOW + 80.5, record=a_peer(token=(3, 50)))
    decision = played(*lived(80.0), ended, replace(ended, now=NOW + 82.0))
    assert (decision.rule.name, decision.state) == ("copy-far-behind", State.NEEDS_DECISION)
    assert "our copy ends at token 3.10 and sw2 was seen at 3.50" in decision.record.decision
    assert "1 min 20 s" in decision.record.decision
    back = filtered(NOW + 100.0, 51, server=a_copy(token=(3, 51)))
    after = turn.turn(back, decision.memory)
    assert (after.rule.name, after.memory.lack) == ("peer-serves", None)


def test_age_does_not_grow_once_the_peer_can_write_no_more() -> None:
    dead = gone(NOW + 40.5, record=a_peer(token=(3, 30)), mode=backup_case().view.mode)
    decision = played(*lived(40.0), dead, replace(dead, now=NOW + 4000.0))
    assert decision.rule.name == "peer-dead"


def test_age_grows_while_nobody_watched() -> None:
    dead = gone(NOW + 40.5, record=a_peer(token=(3, 30)))
    decision = played(*lived(40.0), dead, replace(dead, now=NOW + 4000.0, woke=True), replace(dead, now=NOW + 4001.0))
    assert decision.rule.name == "copy-far-behind"


def test_complete_copy_is_complete_however_long_ago_the_last_news_was() -> None:
    decision = played(filtered(NOW, 10), gone(NOW + 3600.0, record=a_peer(token=(3, 10))))
    assert decision.rule.name == "peer-dead"


def test_many_tokens_weigh_as_much_as_the_time_in_which_they_are_committed() -> None:
    decision = played(filtered(NOW, 60), gone(NOW + 1.0, record=a_peer(token=(3, 60))))
    assert decision.rule.name == "copy-far-behind"


def test_what_was_under_way_when_the_server_died_keeps_nobody_from_serving() -> None:
    for number in (11, 12):  # a barrier leaves a number out
        decision = played(filtered(NOW, number), gone(NOW + 0.5, record=a_peer(token=(3, number))))
        assert decision.rule.name == "peer-dead"
        assert "lacks" not in decision.why


def test_copy_that_is_always_a_little_late_is_not_far_behind() -> None:
    turns = [filtered(NOW + INTERVAL * n, 13 + n, server=a_copy(token=(3, 10 + n))) for n in range(100)]
    end = NOW + 200.0
    decision = played(*turns, gone(end, record=a_peer(token=(3, 112)), server=a_copy(token=(3, 109))))
    assert decision.rule.name == "peer-dead"


def test_without_a_limit_any_copy_of_the_same_term_serves_but_none_of_an_older_one() -> None:
    limitless = replace(backup_case().view.settings, max_behind=None)
    ended = gone(NOW + 4000.0, record=a_peer(token=(3, 2000)), settings=limitless)
    assert played(*lived(80.0), ended).rule.name == "peer-dead"
    newer = gone(NOW, record=a_peer(term=4, stamp=Stamp(4, PEER), token=(4, 1)), settings=limitless)
    assert played(newer).rule.name == "copy-too-old"


@pytest.mark.parametrize(
    ("rule", "view"),
    [
        ("copy-behind", {"record": an_idle_peer(life=Life.DOWN, token=(3, 99)), "source": SHUT}),
        ("copy-behind", {"heard_age": 50.0, "record": a_peer(token=(3, 99)),
                         "source": Source(True, False, 0.0, 0.0, Role.BACKUP)}),
        ("copy-far-behind", {"heard_age": 5.0, "record": a_peer(token=(3, 99)), "source": SHUT}),
    ],
)  # fmt: skip
def test_the_limit_holds_whatever_the_peer_is_dead_of(rule: str, view: dict[str, object]) -> None:
    long_silent = replace(MEMORY, silent_since=NOW - 1000.0)
    assert played(at(NOW, **view), memory=long_silent).rule.name == rule


def test_lone_boot_does_not_overrule_the_limit_but_an_operator_does() -> None:
    settings = replace(backup_case().view.settings, lone_boot=1.0)
    known = Memory("x", term=3, peer_stamp=Stamp(3, PEER), peer_token=(3, 99), awake=NOW - 100.0)
    alone = at(NOW, settings=settings, record=None, heard_age=None, link_silent_for=None, source=Source())
    decision = turn.turn(alone, known)
    assert (decision.presence, decision.rule.name) == (Presence.NEVER, "copy-far-behind")
    assert operator_orders.force_refusal(Situation(alone, decision.memory, Presence.DEAD)) == ""
    forced = operator_orders.force_ordered(Situation(alone, decision.memory, Presence.NEVER))
    assert turn.turn(alone, forced).rule.name in ("forced", "resolved")


def test_side_whose_token_was_set_back_by_a_client_is_known_by_what_it_serves() -> None:
    absurd = filtered(NOW, 900_000)
    decision = played(absurd, filtered(NOW + 1.0, 10), gone(NOW + 2.0, record=a_peer(token=(3, 10))))
    assert decision.rule.name == "peer-dead"


def test_copy_that_somebody_else_has_opened_is_closed_when_it_is_far_behind() -> None:
    opened = a_copy(role=Role.ACTIVE, source=None, managers_open=True, listener_open=True)
    decision = played(gone(NOW, server=opened, record=a_peer(token=(3, 99))))
    assert (decision.rule.name, decision.rule.goal) == ("found-far-behind", Goal.PARK)


def test_peer_is_told_for_how_long_its_data_has_been_lacking_here() -> None:
    assert played(*lived(40.0)).record.behind == pytest.approx(38.0)
    assert played(filtered(NOW, 11)).record.behind is None


@examples(max_examples=200)
@given(views, memories)
def test_copy_that_is_too_far_behind_never_begins_to_serve_unasked(view: View, memory: Memory) -> None:
    decision = turn.turn(view, memory)
    case = Situation(view, decision.memory, decision.presence)
    if case.too_far_behind and not case.serving and decision.rule.goal is Goal.SERVE:
        assert decision.rule.name in ("granted", "forced", "resolved")
    if not view.settings.peer or view.settings.max_behind is None or case.keep == NODE:
        assert not case.too_far_behind
