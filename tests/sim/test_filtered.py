"""A copy falls behind while everything else is well: what then happens to a simulated pair."""

from __future__ import annotations

import pytest

from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import recover, rows

LONG = 8.0
"""Seconds, twice what the pair of the simulation takes of a copy that is served unasked."""


def lost_behind(seconds: float, **changed: object) -> Pair:
    """Return a pair whose copy has not moved for so long; the operator gives nothing back unasked."""
    pair = started(5, restore_automatic=False, **changed)
    pair.filter_copying("sw2")
    pair.run(seconds)
    assert pair.serving() == ["sw1"]
    return pair


def rule(pair: Pair, node: str) -> str:
    agent = pair.hosts[node].agent
    assert agent is not None
    assert agent.decision is not None
    return agent.decision.rule.name


def asks(pair: Pair, node: str) -> bool:
    agent = pair.hosts[node].agent
    return agent is not None and agent.waits_for_decision


def comes_back(pair: Pair) -> None:
    """Let everything be mended, and see that the newer data serves, complete and by itself."""
    recover(pair)
    assert pair.kept is None
    assert pair.acknowledged <= rows(pair)


def test_copy_that_lacks_little_takes_over_and_says_what_it_lacks() -> None:
    pair = lost_behind(2.0)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 2.0)
    assert any("it lacks tokens" in line for line in pair.log)


@pytest.mark.parametrize("death", ["power_off", "server_kill", "server_freeze"])
def test_copy_that_lacks_much_waits_until_the_newer_data_is_back(death: str) -> None:
    pair = lost_behind(LONG)
    getattr(pair, death)("sw1")
    wait_for(pair, lambda: asks(pair, "sw2"), 15.0)
    assert "sw2" not in pair.serving()
    assert rule(pair, "sw2") in ("copy-far-behind", "copy-behind")
    comes_back(pair)


def test_it_is_remembered_by_an_agent_that_is_started_when_the_other_side_is_gone() -> None:
    pair = lost_behind(LONG)
    pair.agent_kill("sw2")
    pair.power_off("sw1")
    pair.agent_start("sw2")
    wait_for(pair, lambda: asks(pair, "sw2"), 5.0)
    assert rule(pair, "sw2") == "copy-far-behind"
    comes_back(pair)


def test_what_was_written_while_the_agent_was_dead_counts() -> None:
    pair = lost_behind(2.0)
    pair.agent_kill("sw2")
    pair.run(LONG)
    pair.power_off("sw1")
    pair.agent_start("sw2")
    wait_for(pair, lambda: asks(pair, "sw2"), 5.0)
    comes_back(pair)


@pytest.mark.parametrize("clock", [0.0, 300.0, -300.0])
def test_it_outlives_a_reboot_whatever_the_clock_shows_then_and_lone_boot_does_not_overrule_it(clock: float) -> None:
    pair = lost_behind(LONG, lone_boot=1.0)
    pair.power_off("sw2")
    pair.power_off("sw1")
    pair.clock_error += clock
    pair.power_on("sw2")
    wait_for(pair, lambda: asks(pair, "sw2"), 5.0)
    pair.run(5.0)
    assert (pair.serving(), rule(pair, "sw2")) == ([], "copy-far-behind")
    assert pair.resolve("sw2") == ""
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)


def test_complete_copy_serves_after_a_boot_however_old_its_news_is() -> None:
    pair = started(5, restore_automatic=False, lone_boot=1.0)
    for node in ("sw2", "sw1"):
        pair.power_off(node)
    pair.clock_error += 1e6
    pair.power_on("sw2")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)


def test_both_sides_start_with_the_newer_data_and_nobody_is_asked() -> None:
    pair = lost_behind(LONG)
    for node in ("sw1", "sw2"):
        pair.power_off(node)
    pair.network.filtered.clear()
    for node in ("sw2", "sw1"):
        pair.power_on(node)
        pair.run(1.0)
    comes_back(pair)


def test_without_a_limit_it_takes_over_as_it_is() -> None:
    pair = lost_behind(LONG, max_behind=None)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 2.0)


def test_the_disk_is_not_written_for_each_token() -> None:
    pair = started(5)
    kept = []

    def look() -> None:
        for host in pair.hosts.values():
            if host.peer_token not in kept:
                kept.append(host.peer_token)

    pair.watched = look
    pair.run(60.0)
    assert len(kept) <= 6
    pair.filter_copying("sw2")
    pair.run(60.0)
    assert len(kept) <= 16
