"""What the simulated pair does when ovsdb-server springs one of its traps, or somebody changes its file.

Each is a story that a search of test_pair.py has found, or that the facts of replication tell.
"""

from __future__ import annotations

import pytest

from ovsha.core.facts import Role, State
from tests.sim.laws import serves
from tests.sim.network import NODES
from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import recover, rows
from tests.sim.server import SimServer


def test_server_that_is_replaced_by_an_older_file_after_it_was_given_the_service_does_not_open() -> None:
    """Nobody waits for a barrier at a start, so the data that were promised must still be there."""
    pair = started(latency=0.3)
    pair.server_returns("sw1", None)
    wait_for(pair, lambda: sw1_was_granted(pair), 3.0)
    pair.server_returns("sw1", SimServer.return_file)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    assert pair.acknowledged <= rows(pair)


def sw1_was_granted(pair: Pair) -> bool:
    agent = pair.hosts["sw1"].agent
    return agent is not None and agent.decision is not None and agent.decision.rule.name == "granted"


def test_backup_that_waits_for_the_barrier_does_not_copy_what_comes_back_in_place_of_its_source() -> None:
    pair = started(lag=0.4)
    pair.switchover("sw2")
    wait_for(pair, lambda: pair.hosts["sw1"].server.managers is False, 3.0)
    before = pair.hosts["sw2"].server.data
    pair.server_returns("sw1", SimServer.blank, plain=True)
    pair.run(2.0)
    assert pair.hosts["sw2"].server.data.rows >= before.rows
    recover(pair)
    assert len(pair.acknowledged - rows(pair)) <= 5  # what was on its way when the server was replaced


@pytest.mark.parametrize("seed", range(4))
def test_planned_move_waits_for_a_copy_that_is_late(seed: int) -> None:
    pair = started(seed, lag=0.4)
    pair.server_returns("sw2", None)  # so that its session has another lag
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    pair.switchover("sw2")
    wait_for(pair, lambda: pair.settled("sw2"), 10.0)
    assert pair.acknowledged <= rows(pair)


@pytest.mark.parametrize("seed", range(4))
def test_planned_move_does_not_wait_for_a_client_that_clears_the_keys_again_and_again(seed: int) -> None:
    pair = started(seed)
    pair.switchover("sw2")
    wait_for(pair, lambda: not pair.hosts["sw1"].vip, 5.0)
    for _ in range(80):
        for node in NODES:
            pair.client_clears(node)
        pair.run(0.005)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 0.2)
    wait_for(pair, lambda: pair.settled("sw2"), 10.0)
    assert pair.acknowledged <= rows(pair)


@pytest.mark.parametrize("asked", NODES)
def test_operators_word_reaches_the_side_that_waits_for_it_whichever_side_he_tells(asked: str) -> None:
    pair = started()
    pair.server_rejects("sw2")
    pair.server_kill("sw2")
    pair.server_start("sw2")
    wait_for(pair, lambda: state(pair, "sw2") is State.NEEDS_DECISION, 10.0)
    pair.hosts["sw2"].server.rejects = False
    pair.run(5.0)
    assert state(pair, "sw2") is State.NEEDS_DECISION
    agent = pair.hosts[asked].agent
    assert agent is not None
    assert agent.resolve("sw1") == ""
    wait_for(pair, lambda: pair.settled("sw1"), 5.0)


def state(pair: Pair, node: str) -> State | None:
    agent = pair.hosts[node].agent
    return agent.decision.state if agent is not None and agent.decision is not None else None


def test_backup_that_cannot_copy_makes_itself_active_and_never_serves() -> None:
    pair = started()
    pair.watched = lambda: not serves(pair.hosts["sw2"]) or pair.broken("1: a server that promoted itself serves")
    pair.server_rejects("sw2")
    pair.server_kill("sw2")
    pair.server_start("sw2")
    wait_for(pair, lambda: pair.hosts["sw2"].server.role is Role.ACTIVE, 5.0)
    pair.run(10.0)
    agent = pair.hosts["sw2"].agent
    assert agent is not None
    assert agent.incidents >= 1
    assert pair.hosts["sw2"].server.role is Role.BACKUP


def test_copies_that_fail_again_and_again_do_not_push_out_the_good_snapshot() -> None:
    pair = started()
    pair.server_rejects("sw2")
    pair.server_kill("sw2")
    good = pair.hosts["sw2"].server.data
    pair.server_start("sw2")
    pair.run(20.0)
    assert pair.hosts["sw2"].has_snapshot(good)


def test_replicating_goes_on_to_be_said_when_the_source_is_dead() -> None:
    pair = started()
    pair.agent_kill("sw2")
    pair.server_kill("sw1")
    pair.run(5.0)
    server = pair.hosts["sw2"].server
    assert server.says_replicating
    assert not server.replicating


def test_blank_file_of_the_active_side_leaves_the_copy_untouched() -> None:
    pair = started()
    pair.server_returns("sw1", SimServer.blank)
    recover(pair)
    assert pair.acknowledged <= rows(pair)


@pytest.mark.parametrize("seed", range(5))
def test_rolled_back_file_of_the_active_side_is_not_served_as_if_nothing_was_missing(seed: int) -> None:
    pair = started(seed)
    pair.run(20.0)
    held = rows(pair)
    pair.power_off("sw2")
    pair.power_off("sw1")
    pair.hosts["sw1"].server.return_file()
    pair.power_on("sw1")
    pair.run(5.0)
    assert pair.serving() == []
    assert state(pair, "sw1") is State.NEEDS_DECISION
    pair.power_on("sw2")
    wait_for(pair, lambda: len(pair.serving()) == 1, 10.0)
    assert held <= rows(pair)


def test_file_that_a_bad_record_has_cut_off_is_not_served_while_a_side_knows_better() -> None:
    pair = started()
    pair.run(10.0)
    pair.power_off("sw2")
    pair.server_returns("sw1", lambda server: server.roll_back(0))
    pair.run(5.0)
    assert pair.serving() == []
    assert state(pair, "sw1") is State.NEEDS_DECISION
    recover(pair)


def test_backup_does_not_even_try_to_copy_from_a_newer_schema() -> None:
    pair = started()
    pair.server_upgraded("sw1")
    wait_for(pair, lambda: state(pair, "sw2") is State.NEEDS_DECISION, 10.0)
    agent = pair.hosts["sw2"].agent
    assert agent is not None
    assert agent.incidents == 0
    pair.server_upgraded("sw2")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)


def test_both_files_blank_wait_for_a_decision_and_serve_after_it() -> None:
    pair = started()
    for node in NODES:
        pair.power_off(node)
        pair.hosts[node].server.blank()
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: all(state(pair, node) is State.NEEDS_DECISION for node in NODES), 20.0)
    assert pair.serving() == []
    assert pair.resolve("sw2") == ""
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)


def test_two_servers_that_were_told_to_follow_each_other_come_to_order() -> None:
    pair = started()
    pair.server_connected_by_hand("sw1")
    recover(pair)
