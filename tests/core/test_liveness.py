"""What the witnesses together say of the peer, at each deadline and just before it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from ovsha.core.facts import Clag, Presence, Source, Vip
from ovsha.core.liveness import only_the_agent_is_silent, presence
from ovsha.core.view import Memory, View
from tests.support.views import NOW, SETTINGS, backup_case, memories, views

DEAD, STALL = SETTINGS.dead_interval, SETTINGS.stall_interval
HEARD = backup_case()
JUST = 1e-6


def see(view: dict[str, object], **memory: object) -> Presence:
    quiet: dict[str, object] = {"heard_age": DEAD, "source": Source(closed=True)}
    changed = replace(HEARD.view, **{**quiet, **view})  # type: ignore[arg-type]
    return presence(changed, replace(HEARD.memory, **memory))  # type: ignore[arg-type]


def test_a_peer_is_alive_until_the_dead_interval_is_over() -> None:
    assert see({"heard_age": DEAD - JUST}) is Presence.ALIVE
    assert see({"heard_age": DEAD}) is Presence.DEAD


def test_a_peer_that_was_never_met_is_not_dead() -> None:
    assert see({"heard_age": None}, met=False) is Presence.NEVER


@pytest.mark.parametrize("life_age", [0.0, DEAD / 2 - JUST])
def test_a_host_that_acknowledges_is_not_dead(life_age: float) -> None:
    assert see({"source": Source(life_age=life_age, answer_age=0.0)}) is Presence.SILENT


def test_a_host_that_acknowledges_nothing_for_half_the_dead_interval_is_no_witness() -> None:
    assert see({"source": Source(life_age=DEAD / 2, answer_age=0.0)}) is Presence.DEAD


def test_a_busy_server_is_not_dead_before_the_stall_interval_is_over() -> None:
    assert see({"source": Source(life_age=0.0, answer_age=STALL - JUST)}) is Presence.SILENT
    assert see({"source": Source(life_age=0.0, answer_age=STALL)}) is Presence.DEAD


def test_a_link_lost_while_only_the_agent_was_silent_is_no_death() -> None:
    down = Vip(link_up=False)
    assert see({"vip": down}, silent_since=NOW - 5) is Presence.SILENT
    assert see({"vip": Vip(link_up=True)}, silent_since=NOW - 5) is Presence.DEAD
    assert see({"vip": Vip(link_up=None)}, silent_since=NOW - 5) is Presence.DEAD
    assert see({"vip": down}) is Presence.DEAD


def test_a_link_lost_while_only_the_agent_was_silent_is_a_death_when_clagd_confirms_it() -> None:
    gone = Clag(peer_alive=False, backup_active=False)
    assert see({"vip": Vip(link_up=False), "clag": gone}, silent_since=NOW - 5) is Presence.DEAD


def test_the_agent_alone_counts_as_silent_only_after_twice_the_dead_interval() -> None:
    answers = Source(life_age=0.0, answer_age=0.0)
    assert not only_the_agent_is_silent(replace(HEARD.view, heard_age=2 * DEAD - JUST, source=answers))
    assert only_the_agent_is_silent(replace(HEARD.view, heard_age=2 * DEAD, source=answers))
    assert only_the_agent_is_silent(replace(HEARD.view, heard_age=None, source=answers))
    assert not only_the_agent_is_silent(replace(HEARD.view, heard_age=None, source=Source(closed=True)))


@given(views, memories)
def test_nothing_is_dead_that_gave_a_sign_of_life(view: View, memory: Memory) -> None:
    if presence(view, memory) is Presence.DEAD:
        assert memory.met
        assert view.heard_age is None or view.heard_age >= DEAD
        life = view.source.life_age
        assert life is None or life >= DEAD / 2 or (view.source.answer_age or 0.0) >= STALL
