"""The stand-in for clagd does in each failure what the vendor's pages say the real one does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from lab import CLAG_TIMERS, Lab
from switch import Switch
from topology import SW1, SW2

MakeLab = Callable[..., Lab]

LIMIT = 20.0
NOT_RUNNING = "Unable to communicate with clagd. Is it running?\n"


def pair_of_clagds(lab: Lab) -> tuple[Switch, Switch]:
    """Start clagd on both switches and wait until they have met, by the backup path too where there is one."""
    for switch in lab.switches:
        switch.clagd.start()
    lab.wait_until(lambda: all(sw.clag()["peerAlive"] for sw in lab.switches), LIMIT, "the clagds meet")
    wanted = [bool(sw.clag()["backupIp"]) for sw in lab.switches]
    lab.wait_until(
        lambda: [sw.clag()["backupActive"] for sw in lab.switches] == wanted, LIMIT, "the backup path is seen to work"
    )
    assert roles(lab) == ("primary", "secondary")
    return lab.sw1, lab.sw2


def roles(lab: Lab) -> tuple[str, str]:
    return lab.sw1.clag()["ourRole"], lab.sw2.clag()["ourRole"]


def stays(lab: Lab, condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Hold that `condition` is true all the time."""
    with pytest.raises(AssertionError, match="awaited"):
        lab.wait_until(lambda: not condition(), seconds, f"not: {what}")


def test_the_lower_priority_is_primary_and_both_forms_say_so(lab: MakeLab) -> None:
    first, second = pair_of_clagds(lab(rows=None))
    text = second.clagctl().stdout.splitlines()
    assert text[0] == "The peer is alive"
    assert text[1].split() == f"Peer Priority, ID, and Role: 1000 {first.clag()['ourId']} primary".split()
    assert text[2].split() == f"Our Priority, ID, and Role: 32768 {second.clag()['ourId']} secondary".split()
    assert first.clagctl().stdout.splitlines()[1].split()[0] == "Our"
    assert (second.clag()["peerRole"], second.clag()["backupActive"]) == ("primary", True)
    assert second.clagctl("showbackupip").stdout.splitlines()[1:] == [
        "IP: 192.168.100.1; State: active; Role: secondary",
        f"Peer priority and id: 1000 {first.clag()['ourId']}; Peer role: primary",
    ]
    assert "peerTimeout = 2\n" in first.clagctl("params").stdout


def test_of_equal_priorities_the_lower_mac_is_primary(lab: MakeLab) -> None:
    pair_of_clagds(lab(rows=None, clag_priorities={SW1: 500, SW2: 500}))


def test_a_new_priority_swaps_the_roles_without_a_restart(lab: MakeLab) -> None:
    pair = lab(rows=None)
    _, second = pair_of_clagds(pair)
    assert second.clagctl("priority", "100").returncode == 0
    pair.wait_until(lambda: roles(pair) == ("secondary", "primary"), LIMIT, "the roles are swapped")


def test_a_stopped_clagd_says_goodbye_and_takes_its_role_back_later(lab: MakeLab) -> None:
    pair = lab(rows=None, clag_timers=replace(CLAG_TIMERS, peer_timeout=30.0))
    first, second = pair_of_clagds(pair)
    first.clagd.stop()
    pair.wait_until(lambda: second.clag()["ourRole"] == "primary", 5.0, "promoted long before the peer timeout")
    assert not second.clag()["peerAlive"]
    assert "peerId" not in second.clag()
    assert "Peer Priority" not in second.clagctl().stdout
    assert "(inactive)" in second.clagctl().stdout
    assert first.clagctl().stdout == first.clagctl("-j").stdout == NOT_RUNNING
    first.clagd.start()
    pair.wait_until(lambda: roles(pair) == ("primary", "secondary"), LIMIT, "the old roles")


def test_a_dead_primary_is_replaced_when_the_backup_path_had_worked(lab: MakeLab) -> None:
    pair = lab(rows=None)
    first, second = pair_of_clagds(pair)
    first.power_off("kill")
    pair.wait_until(lambda: not second.clag()["peerAlive"], LIMIT, "the peer is seen to be dead")
    pair.wait_until(lambda: second.clag()["ourRole"] == "primary", LIMIT, "the secondary promotes itself")
    first.power_on()
    pair.wait_until(lambda: roles(pair) == ("primary", "secondary"), LIMIT, "the old primary takes its role back")


def test_a_dead_primary_is_never_replaced_without_a_backup_path(lab: MakeLab) -> None:
    timers = replace(CLAG_TIMERS, peer_timeout=0.6, reload_timer=1.0)
    pair = lab(rows=None, clag_backup=False, clag_timers=timers)
    first, second = pair_of_clagds(pair)
    first.power_off("kill")
    pair.wait_until(lambda: not second.clag()["peerAlive"], LIMIT, "the peer is seen to be dead")
    stays(pair, lambda: second.clag()["ourRole"] == "secondary", 3.0, "secondary")


def test_a_dead_primary_is_not_replaced_when_the_backup_path_was_lost_long_before(lab: MakeLab) -> None:
    pair = lab(rows=None, clag_timers=replace(CLAG_TIMERS, lacp_poll=0.1, peer_timeout=0.5, reload_timer=1.0))
    first, second = pair_of_clagds(pair)
    pair.network.cut("backup path")
    pair.wait_until(lambda: not second.clag()["backupActive"], LIMIT, "the backup path is seen to be lost")
    stays(pair, lambda: roles(pair) == ("primary", "secondary"), 1.0, "the old roles")
    first.power_off("cut")
    stays(pair, lambda: second.clag()["ourRole"] == "secondary", 2.0, "secondary")


@pytest.mark.parametrize("how", ["down", "cut", "one way"])
def test_a_broken_peer_link_leaves_the_roles_while_the_backup_path_works(lab: MakeLab, how: str) -> None:
    pair = lab(rows=None, clag_timers=replace(CLAG_TIMERS, peer_timeout=1.0, reload_timer=1.5))
    first, second = pair_of_clagds(pair)
    if how == "down":
        pair.network.link_down("peer link")
    else:
        pair.network.cut("peer link", into=SW1 if how == "one way" else None)
    pair.wait_until(
        lambda: not any(switch.clag()["peerAlive"] for switch in pair.switches), LIMIT, "both miss their peer"
    )
    stays(pair, lambda: roles(pair) == ("primary", "secondary"), 2.0, "the old roles")
    assert [switch.clag()["backupActive"] for switch in pair.switches] == [True, True]
    down = [json.loads(switch.clagctl("-j").stdout)["clagIntfs"]["vxlan10"]["status"] for switch in (first, second)]
    assert down == ["single", "protoDown"]
    if how == "down":
        pair.network.link_up("peer link")
    else:
        pair.network.mend("peer link")
    pair.wait_until(lambda: second.clag()["peerAlive"], LIMIT, "they meet again")


def test_a_lone_switch_becomes_primary_when_the_reload_timer_ends(lab: MakeLab) -> None:
    pair = lab(rows=None, clag_timers=replace(CLAG_TIMERS, reload_timer=1.0))
    pair.sw2.clagd.start()
    assert pair.sw2.clag()["ourRole"] == "secondary"
    pair.wait_until(lambda: pair.sw2.clag()["ourRole"] == "primary", LIMIT, "the lone switch is primary")
    assert "Role is now primary; Reload timeout" in pair.sw2.clagd.tail()


def test_clagctl_misbehaves_as_a_test_wishes(lab: MakeLab) -> None:
    pair = lab(rows=None)
    pair.sw1.clagd.start()
    good = pair.sw1.clagctl("-j")
    assert json.loads(good.stdout)
    pair.sw1.clagctl("lab-mode", "exit1")
    assert (pair.sw1.clagctl("-j").returncode, json.loads(pair.sw1.clagctl("-j").stdout).keys()) == (
        1,
        json.loads(good.stdout).keys(),
    )
    pair.sw1.clagctl("lab-mode", "rubbish")
    with pytest.raises(json.JSONDecodeError):
        json.loads(pair.sw1.clagctl("-j").stdout)
    pair.sw1.clagctl("lab-mode", "error")
    assert pair.sw1.clagctl("-j").stdout.startswith("Error")
    pair.sw1.clagctl("lab-mode", "hang")
    with pytest.raises(subprocess.TimeoutExpired):
        pair.sw1.clagctl("-j", limit=0.5)
    assert pair.sw1.clagctl("lab-mode", "normal").returncode == 0
    assert pair.sw1.clagctl("-j").returncode == 0
