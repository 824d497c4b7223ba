"""An agent is killed, frozen or restarted, in every state of the pair: the service goes on."""

from __future__ import annotations

from contextlib import suppress

import pytest

from story import (
    LIMIT,
    SERVICE,
    MakeLab,
    ask_agent,
    assert_little_was_lost_and_all_is_kept,
    await_every_row,
    await_one,
    await_pair,
    await_rows,
    await_service,
    await_word,
    begin,
    counter,
    in_sync,
    log,
    named,
    open_here,
    other,
    seconds_with_two,
    strike,
    undisturbed,
)
from topology import SW1, SW2

MANUAL = {"restore": {"mode": "manual"}}
SLEPT = "the agent was not scheduled for"


# -- steady ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [SW1, SW2])
def test_nobody_notices_that_an_agent_is_killed_stays_dead_and_is_started_again(lab: MakeLab, node: str) -> None:
    pair = begin(lab)
    victim = named(pair, node)
    witness = other(pair, victim)
    with undisturbed(pair):
        victim.agent.kill()
        await_word(pair, witness, "the peer is silent")
    with undisturbed(pair):
        said = len(log(victim))
        victim.agent.start()
        await_word(pair, victim, "the peer is alive", since=said)
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    await_pair(pair, pair.sw1)


def test_nobody_notices_that_both_agents_are_dead_and_come_back_one_after_the_other(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        for switch in pair.switches:
            switch.agent.kill()
    for switch in reversed(pair.switches):
        with undisturbed(pair):
            switch.agent.start()
            pair.wait_until(lambda: bool(ask_agent(switch, "version")), LIMIT, "the agent is there")  # noqa: B023
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


@pytest.mark.parametrize("node", [SW1, SW2])
def test_nobody_notices_that_an_agent_is_frozen_and_wakes_up(lab: MakeLab, node: str) -> None:
    pair = begin(lab)
    victim = named(pair, node)
    witness = other(pair, victim)
    with undisturbed(pair):
        victim.agent.freeze()
        await_word(pair, witness, "the peer is silent")
    with undisturbed(pair):
        victim.agent.thaw()
        await_word(pair, victim, SLEPT)
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    assert counter(victim, "gaps") == 1


@pytest.mark.parametrize("node", [SW1, SW2])
def test_nobody_notices_a_restart_of_an_agent_as_systemd_does_it(lab: MakeLab, node: str) -> None:
    pair = begin(lab)
    victim = named(pair, node)
    with undisturbed(pair):
        victim.agent.stop()
        assert victim.agent.exit_status == 0
        victim.agent.start()
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")


# -- the service is there, its agent is not ----------------------------------------------------------------------------


def test_the_backup_takes_over_when_the_active_server_dies_after_its_agent(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.sw1.agent.kill()
    await_word(pair, pair.sw2, "the peer is silent")
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    await_rows(pair, 50)
    pair.sw1.power_on()
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw2)


def test_an_agent_that_wakes_up_after_its_server_was_replaced_follows(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.sw1.agent.freeze()
    await_word(pair, pair.sw2, "the peer is silent")
    pair.sw1.server.kill()
    pair.sw1.server.start()
    pair.sw1.agent.thaw()
    assert_little_was_lost_and_all_is_kept(pair, await_one(pair))


# -- during a failover -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["make ovsdb-server active", "add the VIP and announce it", "-> active"])
def test_a_failover_is_completed_by_the_agent_that_is_started_after_it_died_in_the_middle(
    lab: MakeLab, moment: str
) -> None:
    pair = begin(lab, overrides=MANUAL)
    said = len(log(pair.sw2))
    pair.sw1.server.kill()
    strike(pair.sw2, moment, said, pair.sw2.agent.kill)
    pair.sw2.agent.start()
    await_service(pair, pair.sw2)
    await_rows(pair, 50)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw2)


def test_a_failover_happens_although_the_agent_that_lost_its_server_dies_at_once(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    said = len(log(pair.sw1))
    pair.sw1.server.kill()
    strike(pair.sw1, "-> fault", said, pair.sw1.agent.kill)
    pair.wait_until(lambda: open_here(pair.sw2) == SERVICE, LIMIT, "sw2 serves")
    # The VIP may have been left behind, and only an agent can take it away.
    pair.sw1.agent.start()
    await_service(pair, pair.sw2)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw2)


# -- during a handover -------------------------------------------------------------------------------------------------

HAND_OVER = "we hand over to the peer: switchover"
DRAINED = "the peer has drained"


@pytest.mark.parametrize(
    ("victim", "moment"),
    [(SW1, HAND_OVER), (SW1, "commit the barrier token"), (SW2, "the peer is draining for us"), (SW2, DRAINED)],
    ids=["giver at once", "giver late", "taker at once", "taker late"],
)
@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_handover_ends_on_one_side_without_loss_when_an_agent_fails_in_the_middle(
    lab: MakeLab, victim: str, moment: str, fault: str
) -> None:
    pair = begin(lab, rate=200, overrides=MANUAL)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    switch = named(pair, victim)
    witness = other(pair, switch)
    said, heard = len(log(switch)), len(log(witness))
    with suppress(TimeoutError):
        # Without waiting for the answer, which comes when all is over.
        ask_agent(pair.sw2, "switchover", SW2, limit=0.001)
    if fault == "kill":
        strike(switch, moment, said, switch.agent.kill)
        switch.agent.start()
    else:
        strike(switch, moment, said, switch.agent.freeze)
        await_word(pair, witness, "the peer is silent", since=heard)
        switch.agent.thaw()
    serving = await_one(pair)
    await_rows(pair, 50)
    await_every_row(pair, serving)
    assert seconds_with_two(pair) == 0
