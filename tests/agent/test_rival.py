"""Who serves answers a claim to the VIP, but never the peer while that serves or may; and seldom, whatever comes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovs.poller import Poller

from ovsha.agent.conflicts import Rivals
from ovsha.core.election import Goal
from ovsha.core.facts import Mode, Presence, Vip
from ovsha.core.situation import Situation
from ovsha.protocol import conflicts
from ovsha.protocol.conflicts import QUIET, Conflicts, Kind
from tests.agent.small_agent import settings
from tests.core.test_election import GONE
from tests.support.views import a_peer, active_case, an_idle_peer, backup_case, memories, views

PEERS, STRANGERS = "44:38:39:00:00:10", "02:00:00:00:00:99"
MACS = [PEERS, STRANGERS]


def beside(**peer: object) -> Situation:
    """Return the serving side's case, beside a peer that says this of itself."""
    return active_case({"record": an_idle_peer(mac=PEERS, **peer)})


def test_who_serves_answers_a_stranger_and_a_peer_that_says_that_it_does_not_serve() -> None:
    assert [conflicts.claim_answered(beside(), Goal.SERVE, mac) for mac in MACS] == [True, True]


@pytest.mark.parametrize("claim", [{"serving": True}, {"vip": True}])
def test_a_peer_that_says_that_it_serves_or_holds_the_vip_is_left_alone_and_a_stranger_is_not(
    claim: dict[str, bool],
) -> None:
    assert [conflicts.claim_answered(beside(**claim), Goal.SERVE, mac) for mac in MACS] == [False, True]


@pytest.mark.parametrize("goal", [goal for goal in Goal if goal is not Goal.SERVE])
def test_who_gives_the_service_away_answers_nobody(goal: Goal) -> None:
    assert [conflicts.claim_answered(beside(), goal, mac) for mac in MACS] == [False, False]


def test_who_does_not_hold_the_vip_answers_nobody() -> None:
    assert not any(conflicts.claim_answered(backup_case(), Goal.SERVE, mac) for mac in MACS)
    without = active_case({"vip": Vip(link_up=True)})
    assert not any(conflicts.claim_answered(without, Goal.SERVE, mac) for mac in MACS)


def test_a_peer_that_is_not_heard_any_more_but_claims_the_vip_is_left_alone() -> None:
    silent = active_case({**GONE, "record": an_idle_peer(mac=PEERS)})
    assert not silent.alive
    assert [conflicts.claim_answered(silent, Goal.SERVE, mac) for mac in MACS] == [False, True]


@pytest.mark.parametrize("presence", Presence)
def test_who_does_not_know_the_peers_mac_answers_only_when_the_peer_cannot_be_the_one(presence: Presence) -> None:
    unmet = active_case({"record": None})
    known = presence in (Presence.DEAD, Presence.NEVER)
    for mac in MACS:
        assert conflicts.claim_answered(replace(unmet, presence=presence), Goal.SERVE, mac) is known


def test_a_switch_that_stands_alone_answers_everybody() -> None:
    alone = beside(vip=True)
    settings = replace(alone.view.settings, peer="", source="")
    alone = replace(alone, view=replace(alone.view, settings=settings, record=None))
    assert conflicts.claim_answered(alone, Goal.SERVE, STRANGERS)


@given(views, memories, st.sampled_from(Presence), st.sampled_from(Goal), st.sampled_from(MACS))
def test_a_claim_of_the_peer_is_never_answered_while_it_says_that_it_serves(
    view: object, memory: object, presence: Presence, goal: Goal, mac: str
) -> None:
    case = Situation(view, memory, presence)  # type: ignore[arg-type]
    case = replace(case, view=replace(case.view, record=a_peer(mac=PEERS, serving=True)))
    if conflicts.claim_answered(case, goal, mac):
        assert mac != PEERS
        assert case.serving


# -- how often ---------------------------------------------------------------------------------------------------------


class Ear:
    """Hears what it is given."""

    trouble = ""

    def __init__(self) -> None:
        self.said: list[str] = []

    def run(self, now: float, holding: bool) -> list[str]:
        said, self.said = self.said, []
        return said if holding else []


class Rig:
    """The serving side, which hears claims."""

    def __init__(self, directory: Path) -> None:
        self.ear, self.table = Ear(), Conflicts()
        self.rivals = Rivals(settings(directory), self.ear, self.table)  # type: ignore[arg-type]

    def turn(self, now: float, *claims: str, goal: Goal = Goal.SERVE, **view: object) -> bool:
        """Hear the claims, and say whether the VIP is announced."""
        case = beside()
        case = replace(case, view=replace(case.view, now=now, **view))  # type: ignore[arg-type]
        self.ear.said = list(claims)
        self.rivals.hear(now, case.view.vip.present, case.view.record)
        return self.rivals.owes(case, goal)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_the_first_claim_is_answered_at_once_and_what_comes_within_ten_seconds_at_their_end(rig: Rig) -> None:
    assert rig.turn(100.0, STRANGERS)
    assert not any(rig.turn(100.0 + second, STRANGERS) for second in range(1, 10))
    poller = Poller()
    rig.rivals.wait(poller, 109.0)
    assert 900 < poller.timeout <= 1002
    assert rig.turn(110.0)
    assert not rig.turn(125.0)
    assert rig.turn(126.0, STRANGERS)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.lists(st.sampled_from(MACS), max_size=3)), max_size=60))
def test_no_flood_is_answered_more_than_once_in_ten_seconds(flood: list[tuple[float, list[str]]]) -> None:
    rig, now, answers = Rig(Path("/nonexistent")), 0.0, []
    for pause, claims in flood:
        now += pause
        if rig.turn(now, *claims):
            answers.append(now)
    assert all(later - earlier >= conflicts.ANSWER_INTERVAL for earlier, later in pairwise(answers))


def test_a_side_that_carries_out_nothing_answers_when_it_acts_again(rig: Rig) -> None:
    assert not rig.turn(100.0, STRANGERS, mode=Mode.PAUSED)
    assert rig.turn(200.0)


def test_a_side_that_has_given_the_vip_away_meanwhile_answers_nobody(rig: Rig) -> None:
    rig.turn(100.0, STRANGERS)
    rig.turn(101.0, STRANGERS)
    rig.turn(102.0, goal=Goal.DRAIN)
    assert not rig.turn(111.0)


# -- when it is over ---------------------------------------------------------------------------------------------------


def over(rig: Rig, now: float) -> list[tuple[Kind, bool]]:
    return [(each.kind, each.over) for each in rig.table.listed(now)]


def test_that_the_peer_claims_the_vip_is_over_when_it_says_that_it_has_none_or_when_we_have_none(rig: Rig) -> None:
    rig.turn(100.0, PEERS)
    assert over(rig, 100.0) == [(Kind.PEER_VIP, False)]
    rig.rivals.met(a_peer(mac=PEERS), 100.1)
    assert over(rig, 100.1) == [(Kind.PEER_VIP, False)]
    rig.rivals.met(an_idle_peer(mac=PEERS), 100.2)
    assert over(rig, 100.2) == [(Kind.PEER_VIP, True)]
    rig.turn(101.0, PEERS)
    assert over(rig, 101.0) == [(Kind.PEER_VIP, False)]
    rig.rivals.hear(102.0, False, None)
    assert over(rig, 102.0) == [(Kind.PEER_VIP, True)]


def test_a_peer_that_was_taken_for_a_stranger_is_told_from_one_once_its_mac_is_known(rig: Rig) -> None:
    rig.turn(100.0, PEERS, STRANGERS, record=None)
    rig.rivals.met(a_peer(mac=PEERS), 100.1)
    assert {(each.kind, each.address) for each in rig.table.listed(101.0)} == {
        (Kind.PEER_VIP, PEERS),
        (Kind.VIP, STRANGERS),
    }
    assert {each.kind for each in rig.table.news(101.0)} == {Kind.PEER_VIP, Kind.VIP}


def test_that_the_two_prefer_different_sides_is_over_once_they_prefer_the_same(rig: Rig) -> None:
    rig.rivals.met(an_idle_peer(preferred="sw2"), 100.0)
    assert over(rig, 100.0) == [(Kind.PREFERRED, False)]
    rig.rivals.met(an_idle_peer(preferred="sw1"), 100.1)
    assert over(rig, 100.1) == [(Kind.PREFERRED, True)]


@pytest.mark.parametrize("kind", Kind)
def test_what_was_not_seen_for_a_while_is_over_and_is_kept_and_is_no_news_when_it_is_seen_again(kind: Kind) -> None:
    table = Conflicts()
    table.see(0.0, kind, STRANGERS, "peer-link")
    table.news(0.0)
    assert [each.over for each in table.listed(QUIET[kind] - 1.0)] == [False]
    assert [each.over for each in table.listed(QUIET[kind])] == [True]
    table.see(QUIET[kind] + 1.0, kind, STRANGERS, "peer-link")
    assert [(each.over, each.count) for each in table.listed(QUIET[kind] + 1.0)] == [(False, 2)]
    assert table.news(QUIET[kind] + 1.0) == ()
