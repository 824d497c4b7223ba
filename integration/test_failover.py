"""One ovsdb-server dies, stops or hangs, or a whole switch loses its power; then it returns."""

from __future__ import annotations

import time

import pytest

from lab import Lab
from story import (
    LIMIT,
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
    log,
    open_here,
    seconds_with_two,
    snapshots,
    undisturbed,
)
from switch import LossOfPower, Switch


def break_server(switch: Switch, how: str) -> None:
    {"kill": switch.server.kill, "stop": switch.server.stop, "freeze": switch.server.freeze}[how]()


def mend_server(switch: Switch, how: str) -> None:
    if how == "freeze":
        switch.server.thaw()
    else:
        switch.server.start(wait=False)


@pytest.mark.parametrize("how", ["kill", "stop", "freeze"])
def test_the_backup_takes_over_from_a_broken_active_server_and_gives_back_when_it_returns(
    lab: MakeLab, how: str
) -> None:
    pair = begin(lab, rate=200)
    taken_before = len(snapshots(pair.sw1))
    break_server(pair.sw1, how)
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    assert not pair.sw1.vip_present()
    mend_server(pair.sw1, how)
    await_pair(pair, pair.sw1)
    assert len(snapshots(pair.sw1)) > taken_before, "what it came back with was kept before it was overwritten"
    assert pair.seeded <= pair.sw1.rows()
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    assert seconds_with_two(pair) == 0


@pytest.mark.parametrize("how", ["kill", "stop", "freeze"])
def test_nobody_notices_a_broken_backup_server_nor_its_return(lab: MakeLab, how: str) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        break_server(pair.sw2, how)
        await_word(pair, pair.sw2, "backup -> fault")
    with undisturbed(pair):
        said = len(log(pair.sw2))
        mend_server(pair.sw2, how)
        await_word(pair, pair.sw2, "-> backup", since=said)
        await_copy(pair, pair.sw2)
    await_every_row(pair, pair.sw2)


@pytest.mark.parametrize("how", ["cut", "kill"])
def test_the_backup_takes_over_from_a_switch_without_power_and_gives_back_when_it_returns(
    lab: MakeLab, how: LossOfPower
) -> None:
    pair = begin(lab, rate=200)
    term = int(pair.sw1.global_config()["ovsha:term"])
    pair.sw1.power_off(how)
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    assert int(pair.sw2.global_config()["ovsha:term"]) > term
    pair.sw1.power_on()
    await_pair(pair, pair.sw1)
    assert pair.seeded <= pair.sw1.rows()
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    if how == "kill":
        assert seconds_with_two(pair) == 0


@pytest.mark.parametrize("how", ["cut", "kill"])
def test_the_active_side_serves_on_when_the_backup_loses_its_power_and_returns(lab: MakeLab, how: LossOfPower) -> None:
    pair = begin(lab)
    sessions = {ack.session for ack in acks(pair)}
    pair.sw2.power_off(how)
    await_word(pair, pair.sw1, "the peer is dead")
    await_rows(pair, 50)
    assert not pair.sw2.server.running or how == "cut"
    pair.sw2.power_on()
    await_copy(pair, pair.sw2)
    await_rows(pair, 50)
    await_pair(pair, pair.sw1)
    assert {ack.session for ack in acks(pair)} == sessions, "the controller kept its one session"
    await_every_row(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def test_a_copy_follows_the_new_server_when_the_old_one_lost_its_power_while_the_backup_slept(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.sw2.power_off("cut")
    asleep = time.monotonic()
    pair.sw1.agent.kill()
    pair.sw1.power_off("kill")  # the words by which its sessions would have ended reach nobody
    pair.sw1.power_on()
    pair.wait_until(lambda: pair.sw1.role() is not None, LIMIT, "the server of sw1 is there again")
    said = len(log(pair.sw2))
    pair.wait_until(lambda: time.monotonic() - asleep > 1.0, LIMIT, "sw2 has slept for longer than the dead interval")
    pair.sw2.power_on()
    # It listens first, and its own session to the new server is made anew meanwhile.
    await_word(pair, pair.sw2, "the peer's agent is silent, but its switch is not dead", since=said)
    pair.sw1.agent.start()
    await_pair(pair, pair.sw1)


def test_a_pair_survives_its_active_server_again_and_again(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    for serving in (pair.sw1, pair.sw2, pair.sw1, pair.sw2):
        survivor = pair.sw2 if serving is pair.sw1 else pair.sw1
        serving.server.kill()
        await_service(pair, survivor)
        await_rows(pair, 15)
        serving.server.start(wait=False)
        await_pair(pair, survivor)
        assert_little_was_lost_and_all_is_kept(pair, survivor)
    assert seconds_with_two(pair) == 0


def test_with_both_servers_gone_the_newer_data_serves_when_it_returns_first(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    lose_both_servers(pair)
    pair.sw1.server.start(wait=False)
    await_service(pair, pair.sw1)
    await_rows(pair, 10)
    pair.sw2.server.start(wait=False)
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def test_with_both_servers_gone_a_copy_that_missed_much_waits_for_the_newer_data(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}, "failover": {"max_behind": 1}})
    lose_both_servers(pair)
    said = len(log(pair.sw2))
    pair.sw2.server.start(wait=False)
    await_word(pair, pair.sw2, "only the peer has the newest data", since=said)
    assert not open_here(pair.sw2)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def lose_both_servers(pair: Lab) -> None:
    """Kill the backup's server, let a second pass in which rows are written, and kill the active one's."""
    pair.sw2.server.kill()
    await_word(pair, pair.sw2, "backup -> fault")
    before = pair.sw1.global_config()["ovsha:token"]
    pair.wait_until(lambda: later(before, pair.sw1.global_config()["ovsha:token"]), LIMIT, "tokens are committed")
    await_rows(pair, 50)
    pair.sw1.server.kill()
    await_word(pair, pair.sw1, "active -> fault")
    pair.wait_until(lambda: not open_here(pair.sw1) and not open_here(pair.sw2), LIMIT, "nobody serves")


def later(before: str, now: str) -> bool:
    """Say whether five tokens and more were committed since `before`."""
    return int(now.partition(".")[2]) >= int(before.partition(".")[2]) + 5
