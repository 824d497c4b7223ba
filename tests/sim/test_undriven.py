"""What the simulated pair does about a server that lives and is not found, or takes no orders."""

from __future__ import annotations

import pytest

from ovsha.core.facts import State
from tests.sim.network import NODES
from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import rows


def emptied(pair: Pair, node: str) -> None:
    """Empty the run directory of a server and start its agent anew."""
    pair.hosts[node].server.emptied = True
    pair.agent_kill(node)
    pair.agent_start(node)


def test_server_whose_run_directory_was_emptied_serves_on_and_its_death_is_taken_over_from() -> None:
    pair = started()
    emptied(pair, "sw1")
    for _ in range(20):
        pair.run(0.5)
        assert pair.serving() == ["sw1"]
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 3.0)
    pair.server_start("sw1")
    wait_for(pair, lambda: pair.settled("sw2") or pair.settled("sw1"), 60.0)


def test_copy_that_takes_no_orders_leaves_the_service_to_the_side_that_comes_back() -> None:
    pair = started()
    emptied(pair, "sw2")
    pair.run(3.0)
    pair.server_kill("sw1")
    pair.run(3.0)
    assert pair.serving() == []
    pair.server_start("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw1"], 10.0)
    assert pair.acknowledged <= rows(pair)


@pytest.mark.parametrize("node", NODES)
def test_ordered_move_of_a_server_that_takes_no_orders_moves_nothing(node: str) -> None:
    pair = started()
    emptied(pair, node)
    pair.run(3.0)
    pair.switchover("sw2")
    pair.run(10.0)
    assert pair.serving() == ["sw1"]


def test_word_of_an_older_agent_that_its_server_is_down_makes_nobody_serve_beside_it_unasked() -> None:
    pair = started()
    pair.hosts["sw1"].server.denied = True
    pair.run(15.0)
    agent = pair.hosts["sw2"].agent
    assert agent is not None
    assert agent.decision is not None
    assert pair.hosts["sw2"].server.role.value == "backup"
    assert (agent.decision.state, agent.decision.rule.name) == (State.NEEDS_DECISION, "peer-seen-active")
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 3.0)
