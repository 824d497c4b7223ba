"""The switches boot: together, one long after the other, one alone, or again after both had lost their power."""

from __future__ import annotations

import pytest

from story import (
    LIMIT,
    QUICK,
    MakeLab,
    acks,
    assert_little_was_lost_and_all_is_kept,
    await_copy,
    await_every_row,
    await_pair,
    await_rows,
    await_service,
    await_word,
    begin,
    lost,
    named,
    open_here,
    other,
    seconds_with_two,
    undisturbed,
)
from switch import Switch
from topology import SW1, SW2

NEVER_MET = "the peer was never met"


def boot(switch: Switch) -> None:
    """Start what starts with a switch, in the order in which it happens to come up."""
    for service in switch.services:
        service.start(wait=False)


def test_both_switches_boot_together_and_the_preferred_one_serves(lab: MakeLab) -> None:
    pair = lab(overrides=QUICK)
    pair.start_controller()
    for switch in pair.switches:
        boot(switch)
    await_pair(pair, pair.sw1)
    assert pair.seeded <= pair.sw2.rows()
    assert seconds_with_two(pair) == 0


@pytest.mark.parametrize("first", [SW1, SW2])
def test_a_switch_that_boots_long_before_its_peer_waits_for_it(lab: MakeLab, first: str) -> None:
    pair = lab(overrides=QUICK)
    pair.start_controller()
    early = named(pair, first)
    boot(early)
    await_word(pair, early, NEVER_MET)
    pair.wait_until(lambda: early.clag()["ourRole"] == "primary", LIMIT, "its clagd has given up to wait")
    assert not open_here(early)
    boot(other(pair, early))
    await_pair(pair, pair.sw1)
    assert pair.seeded <= pair.sw2.rows(), "the data came from the switch that had some"


def test_a_switch_that_boots_alone_serves_when_the_time_for_its_peer_is_over(lab: MakeLab) -> None:
    pair = lab(overrides={**QUICK, "lone_boot": 1.5})
    pair.start_controller()
    boot(pair.sw1)
    await_word(pair, pair.sw1, NEVER_MET)
    assert not open_here(pair.sw1)
    await_service(pair, pair.sw1)
    await_rows(pair, 25)
    with undisturbed(pair):
        boot(pair.sw2)
        await_copy(pair, pair.sw2)
    await_every_row(pair, pair.sw2)


def test_an_empty_switch_that_served_alone_does_not_overwrite_data_that_comes_late(lab: MakeLab) -> None:
    pair = lab(overrides={**QUICK, "lone_boot": 0.5})
    pair.sw2.server.start()
    pair.sw2.agent.start()
    pair.wait_until(lambda: bool(open_here(pair.sw2)), LIMIT, "the blank switch serves alone")
    pair.sw1.server.start()
    pair.sw1.agent.start()
    await_word(pair, pair.sw1, "the peer's database is empty")
    assert pair.sw1.rows() == pair.seeded
    assert not open_here(pair.sw1)


def test_after_a_blackout_the_newer_data_serves_first_whichever_switch_boots_first(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    pair.sw2.power_off("kill")
    written = acks(pair)
    pair.sw1.power_on()
    await_word(pair, pair.sw1, NEVER_MET, since=0)
    assert not open_here(pair.sw1), "its data is older, and it knows nothing of its peer since it booted"
    pair.sw2.power_on()
    await_word(pair, pair.sw1, "init -> backup")
    await_pair(pair, pair.sw1)
    missing = [ack for ack in lost(pair, pair.sw1) if ack.switch == pair.sw2.management_address]
    assert missing == []
    assert len(acks(pair)) > len(written)


def test_after_a_blackout_of_a_healthy_pair_everything_is_there_again(lab: MakeLab) -> None:
    pair = begin(lab)
    await_rows(pair, 25)
    for switch in pair.switches:
        switch.power_off("kill")
    for switch in reversed(pair.switches):
        switch.power_on()
    await_pair(pair, pair.sw1)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
