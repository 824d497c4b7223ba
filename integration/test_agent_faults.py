"""An agent is killed, frozen or restarted, in every state of the pair: the service goes on."""

from __future__ import annotations

from contextlib import suppress

import pytest

from lab import Lab
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
    open_here,
    other,
    seconds_with_two,
    strike,
    undisturbed,
)
from switch import Switch

MANUAL = {"restore": {"mode": "manual"}}
SLEPT = "the agent was not scheduled for"


# -- steady ------------------------------------------------------------------------------------------------------------


def test_nobody_notices_that_an_agent_is_killed_stays_dead_and_is_started_again(lab: MakeLab) -> None:
    pair = begin(lab)
    for victim in pair.switches:
        witness = other(pair, victim)
        with undisturbed(pair):
            heard = len(log(witness))
            victim.agent.kill()
            await_word(pair, witness, "the peer is silent", since=heard)
        with undisturbed(pair):
            heard = len(log(witness))
            victim.agent.start()
            await_word(pair, witness, "the peer is alive", since=heard)
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
            await_answer(pair, switch)
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def await_answer(pair: Lab, switch: Switch) -> None:
    """Wait until the agent answers on its control socket."""
    pair.wait_until(lambda: bool(ask_agent(switch, "version")), LIMIT, "the agent is there")


def test_nobody_notices_that_an_agent_is_frozen_and_wakes_up(lab: MakeLab) -> None:
    pair = begin(lab)
    for victim in pair.switches:
        witness = other(pair, victim)
        said, heard = len(log(victim)), len(log(witness))
        gaps = counter(victim, "gaps")
        with undisturbed(pair):
            victim.agent.freeze()
            await_word(pair, witness, "the peer is silent", since=heard)
        with undisturbed(pair):
            victim.agent.thaw()
            await_word(pair, victim, SLEPT, since=said)
            pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        assert counter(victim, "gaps") > gaps


def test_nobody_notices_a_restart_of_an_agent_as_systemd_does_it(lab: MakeLab) -> None:
    pair = begin(lab)
    for victim in pair.switches:
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
    await_rows(pair, 25)
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


def test_a_failover_is_completed_by_the_agent_that_is_started_after_it_died_in_the_middle(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    for moment in ("make ovsdb-server active", "open the remote of the managers", "add the VIP", "-> active"):
        failing = await_one(pair)
        survivor = other(pair, failing)
        said = len(log(survivor))
        failing.server.kill()
        strike(survivor, moment, said, survivor.agent.kill)
        survivor.agent.start()
        await_service(pair, survivor)
        await_rows(pair, 25)
        failing.server.start(wait=False)
        await_pair(pair, survivor)
        assert_little_was_lost_and_all_is_kept(pair, survivor)


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

MOMENTS = (
    ("giver", "we hand over to the peer: switchover"),
    ("giver", "drop the VIP"),
    ("giver", "commit the barrier token"),
    ("taker", "the peer is draining for us"),
    ("taker", "the peer has drained"),
)


@pytest.mark.parametrize("fault", ["kill", pytest.param("freeze", marks=pytest.mark.long)])
def test_a_handover_ends_on_one_side_without_loss_when_an_agent_fails_in_the_middle(lab: MakeLab, fault: str) -> None:
    pair = begin(lab, overrides=MANUAL)
    for whose, moment in MOMENTS:
        giver = await_one(pair)
        taker = other(pair, giver)
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        victim, witness = (giver, taker) if whose == "giver" else (taker, giver)
        said, heard = len(log(victim)), len(log(witness))
        with suppress(TimeoutError):
            # Without waiting for the answer, which comes when all is over.
            ask_agent(taker, "switchover", taker.node, limit=0.001)
        if fault == "kill":
            strike(victim, moment, said, victim.agent.kill)
            victim.agent.start()
        else:
            strike(victim, moment, said, victim.agent.freeze)
            await_word(pair, witness, "the peer is silent", since=heard)
            victim.agent.thaw()
        serving = await_one(pair)
        await_rows(pair, 25)
        await_every_row(pair, serving)
    assert seconds_with_two(pair) == 0
