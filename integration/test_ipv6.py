"""The same stories over IPv6: a crash, a silent death, a move by hand, a split brain, and what the commands say."""

from __future__ import annotations

import pytest

import test_split_brain as split
from story import (
    LIMIT,
    MakeLab,
    assert_little_was_lost_and_all_is_kept,
    await_pair,
    await_rows,
    await_service,
    begin,
    in_sync,
    lost,
    open_here,
    seconds_with_two,
)
from test_checks import await_line, check
from test_exchange import answers
from test_preflight import failing, preflight
from topology import IPV6, LINK_LOCAL, MIXED, Plan


def test_a_crash_a_silent_death_and_a_move_by_hand(lab: MakeLab) -> None:
    pair = begin(lab, plan=IPV6)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw1)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    assert seconds_with_two(pair) == 0
    gone = len(lost(pair, pair.sw1))
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    done = pair.sw1.ovsha("switchover", "--to", "sw2", "--yes")
    assert done.returncode == 0, done.stderr
    await_pair(pair, pair.sw2)
    assert len(lost(pair, pair.sw2)) == gone, "a planned move loses nothing"
    pair.sw2.power_off("cut")
    await_service(pair, pair.sw1)
    await_rows(pair, 25)
    pair.sw2.power_on()
    await_pair(pair, pair.sw1)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(IPV6, id="all of it"),
        pytest.param(LINK_LOCAL, id="link-local", marks=pytest.mark.long),
        pytest.param(MIXED, id="but the VIP", marks=pytest.mark.long),
    ],
)
def test_what_the_commands_say_of_a_pair_that_is_well_and_fails_over(lab: MakeLab, plan: Plan) -> None:
    pair = begin(lab, plan=plan)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    for switch in pair.switches:
        assert answers(switch)
        await_line(pair, switch, "peer", "OK")
        status, lines = check(switch)
        assert status == 0, "\n".join(lines.values())
    status, items = preflight(pair.sw2, "--peer", "--quick")
    assert (status, failing(items)) == (0, {})
    assert plan.vip in items["vip-free"]["text"]
    assert plan.vip in pair.sw2.ovsha("status").stdout
    assert f"replicating: {pair.sw1.replication}\n" in pair.sw2.ovsha("sync-status").stdout
    assert pair.sw1.ovsha("config", "check", str(pair.sw1.config_file)).returncode == 0
    assert pair.sw1.ovsha("verify", limit=60.0).returncode == 0
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)


def test_a_split_brain_is_settled_on_contact(lab: MakeLab) -> None:
    pair = begin(lab, plan=IPV6, overrides=split.MANUAL)
    split.part(pair)
    await_rows(pair, 10)
    split.mend_backup_path(pair)
    winner = split.meet(pair)
    await_pair(pair, winner)
    assert sum(bool(open_here(switch)) for switch in pair.switches) == 1
