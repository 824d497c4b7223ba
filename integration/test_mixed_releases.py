"""One switch runs the first release and the other one this: the pair does all that it does with two alike."""

from __future__ import annotations

from pathlib import Path

import pytest

import older
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    assert_little_was_lost_and_all_is_kept,
    await_pair,
    await_rows,
    await_service,
    await_word,
    begin,
    log,
    lost,
    named,
    other,
    problems,
    status,
    undisturbed,
)
from switch import Switch
from topology import SW1, SW2

IN_HISTORY = pytest.mark.skipif(bool(older.why_not()), reason=older.why_not() or "it is in the history")
NOT_READ = ("cannot be read", "cannot read", "is not usable")


def mixed(lab: MakeLab, directory: Path, node: str) -> Lab:
    """Return a pair that serves on sw1, the original primary, with the first release on `node`."""
    pair = begin(lab, rate=100, releases={node: older.extract(directory)})
    assert "words" in status(other(pair, named(pair, node)))["sides"][node], "the other one is of this release"
    assert "words" not in status(named(pair, node))["sides"][node], "and this one is not"
    return pair


def understood(pair: Lab) -> None:
    """Hold that each side could read all that the other one said."""
    for switch in pair.switches:
        said = [line for line in log(switch).splitlines() if any(word in line for word in NOT_READ)]
        assert said == []
        assert not any(word in problems(switch) for word in NOT_READ)


def switchover(pair: Lab, to: Switch, on: Switch) -> None:
    """Order the service to `to`, on `on`, as soon as the pair takes the order, and see it arrive."""
    command = ("switchover", "--yes", "--to", to.node)
    pair.wait_until(lambda: on.ovsha(*command).returncode == 0, LIMIT, f"{on.node} has moved the service")
    await_pair(pair, to)


def crash(pair: Lab) -> None:
    """Kill the server of sw1, see sw2 take over, and see the service restored when it returns."""
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)


def silent_death(pair: Lab) -> None:
    """Have sw1 lose its power, see sw2 take over, and see the service restored when it returns."""
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    pair.sw1.power_on()
    await_pair(pair, pair.sw1)


@IN_HISTORY
@pytest.mark.parametrize(
    "node", [pytest.param(SW1, id="active", marks=pytest.mark.long), pytest.param(SW2, id="backup")]
)
def test_a_crash_a_switchover_and_a_restore_with_an_older_agent(lab: MakeLab, tmp_path: Path, node: str) -> None:
    pair = mixed(lab, tmp_path, node)
    crash(pair)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    before = len(lost(pair, pair.sw1))
    switchover(pair, pair.sw2, on=pair.sw1)
    switchover(pair, pair.sw1, on=pair.sw2)
    assert len(lost(pair, pair.sw1)) == before, "a planned move loses nothing"
    understood(pair)


@IN_HISTORY
@pytest.mark.long
@pytest.mark.parametrize("node", [pytest.param(SW1, id="active"), pytest.param(SW2, id="backup")])
def test_a_silent_death_a_restore_and_many_switchovers_with_an_older_agent(
    lab: MakeLab, tmp_path: Path, node: str
) -> None:
    pair = mixed(lab, tmp_path, node)
    silent_death(pair)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    for number in range(6):
        to = pair.switches[1 - number % 2]
        switchover(pair, to, on=pair.switches[number // 2 % 2])
    newer = other(pair, named(pair, node))
    assert "without an order" not in problems(newer), "this release counts none of them, whatever the older one says"
    understood(pair)


@IN_HISTORY
@pytest.mark.long
def test_an_agent_that_is_upgraded_beside_an_older_one_takes_over_what_it_finds(lab: MakeLab, tmp_path: Path) -> None:
    pair = mixed(lab, tmp_path, SW1)
    for release in (None, pair.sw1.release):
        await_rows(pair, 25)
        pair.sw1.agent.stop()
        pair.sw1.release = release
        pair.sw1.agent.start()
        await_pair(pair, pair.sw1)
    crash(pair)
    understood(pair)


@IN_HISTORY
@pytest.mark.long
@pytest.mark.parametrize("node", [pytest.param(SW1, id="by it"), pytest.param(SW2, id="to it")])
def test_a_goodbye_that_an_older_agent_does_not_know_moves_nothing_and_keeps_nothing_from_moving(
    lab: MakeLab, tmp_path: Path, node: str
) -> None:
    pair = mixed(lab, tmp_path, node)
    said = len(log(pair.sw2))
    with undisturbed(pair):
        pair.sw1.agent.stop()
        await_word(pair, pair.sw2, "the peer is silent", since=said)
    pair.sw1.agent.start()
    await_pair(pair, pair.sw1)
    pair.sw1.agent.stop()
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active" and pair.sw2.vip_present(), LIMIT, "sw2 serves")
    pair.sw1.server.start()
    pair.sw1.agent.start()
    await_pair(pair, pair.sw1)
    understood(pair)
