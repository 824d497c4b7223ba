"""Stories of the simulated pair, most of them once found by the searches of test_pair.py."""

from __future__ import annotations

import pytest

from ovsha.core.facts import MlagRole
from tests.sim.network import BACKUP, LINK, NODES
from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import recover, rows


@pytest.mark.parametrize("claim", list(MlagRole), ids=lambda role: role.value)
def test_pair_comes_up_although_both_clagds_claim_the_same_role(claim: MlagRole) -> None:
    pair = Pair(preferred="clag")
    for node in NODES:
        pair.power_on(node)
        pair.server_kill(node)
    pair.clag_roles(claim, claim)
    pair.run(1.0)
    for node in NODES:
        pair.server_start(node)
    wait_for(pair, lambda: len(pair.serving()) == 1, 5.0)
    pair.run(5.0)
    assert len(pair.serving()) == 1


@pytest.mark.parametrize("node", NODES)
def test_clagd_primary_gets_the_service_of_a_cut_pair_even_when_an_agent_is_restarted_meanwhile(node: str) -> None:
    pair = started()
    pair.clag_roles(MlagRole.SECONDARY, MlagRole.PRIMARY)
    pair.cut(LINK)
    pair.run(0.5)
    pair.agent_kill(node)
    pair.agent_start(node)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)


@pytest.mark.parametrize("seed", range(5))
def test_sides_that_promoted_in_the_same_moment_agree_who_goes_on(seed: int) -> None:
    pair = started(seed)
    for node in NODES:
        pair.server_kill(node)
    pair.cut(LINK)
    pair.cut(BACKUP)
    pair.run(1.0)
    for node in NODES:
        pair.server_start(node)
    wait_for(pair, lambda: len(pair.serving()) == 2, 5.0)
    pair.run(1.0)
    recover(pair)


def test_side_that_was_active_comes_up_first_after_a_loss_of_power_and_no_write_is_lost() -> None:
    pair = started()
    pair.switchover("sw2")
    wait_for(pair, lambda: pair.settled("sw2"), 5.0)
    pair.power_off("sw1")
    pair.run(1.0)  # writes that only sw2 has
    pair.power_off("sw2")
    for node in NODES:
        pair.power_on(node)
    recover(pair)
    assert pair.acknowledged <= rows(pair)


def test_old_copy_does_not_serve_while_the_other_side_is_heard_but_has_no_server_yet() -> None:
    """Its agent has kept the term of the data that its server is still to bring."""
    pair = started()
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)
    pair.run(1.0)
    pair.power_off("sw2")
    pair.power_on("sw2")
    pair.server_kill("sw2")
    pair.power_on("sw1")
    pair.run(5.0)
    assert pair.serving() == []
    recover(pair)


@pytest.mark.parametrize("step", range(0, 150, 5))
def test_server_that_dies_at_any_moment_of_a_planned_move_is_replaced(step: int) -> None:
    pair = started(step, lag=0.05)
    pair.switchover("sw2")
    pair.run(step / 1000)
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)
    recover(pair)


def test_same_seed_gives_the_same_run() -> None:
    one, other = started(7), started(7)
    for pair in (one, other):
        pair.power_off("sw1")
        pair.run(2.0)
        pair.power_on("sw1")
        pair.run(5.0)
    assert one.log == other.log


@pytest.mark.parametrize("node", NODES)
def test_agent_that_is_started_anew_takes_over_what_it_finds(node: str) -> None:
    pair = started()
    for pause in (0.0, 0.03, 0.5):
        before = pair.outline()
        pair.agent_kill(node)
        pair.run(pause)
        pair.agent_start(node)
        pair.run(2.0)
        assert pair.outline() == before


def test_agent_that_is_started_anew_listens_before_it_decides() -> None:
    """Nothing is heard in its first moments, and the agent of the backup does not take that for a sign."""
    pair = started()
    before = pair.outline()
    pair.agent_kill("sw2")
    pair.cut(LINK)
    pair.cut(BACKUP)
    pair.agent_start("sw2")
    pair.run(0.3)
    assert pair.outline() == before
    pair.heal(LINK)
    pair.heal(BACKUP)
    pair.run(2.0)
    assert pair.outline() == before


def test_side_of_a_hanging_server_lets_go_of_the_vip_before_the_other_takes_it() -> None:
    pair = started()
    pair.server_freeze("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw1", "sw2"] or pair.hosts["sw2"].vip, 5.0)
    assert not pair.hosts["sw1"].vip
    pair.run(2.0)
    recover(pair)


def test_silent_agent_of_a_serving_server_is_waited_for() -> None:
    pair = started()
    pair.agent_kill("sw1")
    before = pair.outline()[0]
    pair.run(10.0)
    assert pair.outline()[0] == before
    assert pair.serving() == ["sw1"]
    recover(pair)


def test_two_histories_are_told_apart_after_a_split_and_what_is_given_up_is_in_a_snapshot() -> None:
    pair = started()
    pair.cut(LINK)
    pair.cut(BACKUP)
    wait_for(pair, lambda: len(pair.serving()) == 2, 5.0)
    pair.run(3.0)
    recover(pair)
    kept = {number for host in pair.hosts.values() for data in host.all_snapshots() for number in data.rows}
    assert pair.acknowledged <= rows(pair) | kept


def test_every_decision_of_a_run_can_be_taken_again_from_what_was_known() -> None:
    pair = started()
    pair.laws.replays_all = True
    pair.switchover("sw2")
    pair.run(5.0)
    pair.power_off("sw2")
    pair.run(5.0)
    recover(pair)
