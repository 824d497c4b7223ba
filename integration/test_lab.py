"""The lab itself, with no agent in it: what the other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import rpc
from lab import Lab, directory_name
from ovsha import config
from switch import HERE, PARKED, LossOfPower, Switch
from topology import CTL, SW1, SW2, namespaces

MakeLab = Callable[..., Lab]

LIMIT = 20.0


# -- the network -----------------------------------------------------------------------------------------------------


def reaches(lab: Lab, node: str, address: str) -> bool:
    return lab.network.run(node, "ping", "-c1", "-W1", address).returncode == 0


def carrier(lab: Lab, node: str) -> bool:
    return "LOWER_UP" in lab.network.run(node, "ip", "link", "show", "peerlink.4094").stdout


def test_the_switches_reach_each_other_and_the_controllers_place(lab: MakeLab) -> None:
    pair = lab(rows=None)
    assert reaches(pair, SW1, pair.sw2.address)
    assert reaches(pair, SW2, pair.sw1.management_address)
    assert reaches(pair, CTL, pair.sw2.management_address)


def test_a_cut_path_keeps_its_carrier_and_a_downed_link_does_not(lab: MakeLab) -> None:
    pair = lab(rows=None)
    pair.network.cut("peer link")
    assert not reaches(pair, SW1, pair.sw2.address)
    assert carrier(pair, SW1)
    pair.network.mend("peer link")
    pair.wait_until(lambda: reaches(pair, SW1, pair.sw2.address), LIMIT, "the peer link works again")
    pair.network.link_down("peer link", SW2)
    assert not carrier(pair, SW1)
    pair.network.link_up("peer link", SW2)
    pair.wait_until(lambda: reaches(pair, SW1, pair.sw2.address), LIMIT, "the peer link works again")


def test_a_one_way_cut_loses_frames_in_one_direction_only(lab: MakeLab) -> None:
    pair = lab(rows=None)
    pair.network.cut("peer link", into=SW2)
    received = "cat /sys/class/net/peerlink.4094/statistics/rx_packets"
    before = int(pair.sw1.run("sh", "-c", received).stdout)
    pair.sw2.run("ping", "-c1", "-W1", pair.sw1.address)
    assert int(pair.sw1.run("sh", "-c", received).stdout) > before, "sw1 still hears sw2"
    assert not reaches(pair, SW1, pair.sw2.address), "sw2 does not hear sw1"


def test_two_labs_run_side_by_side(lab: MakeLab) -> None:
    one, other = lab(rows=3), lab(rows=5)
    one.start(agents=False)
    other.start(agents=False)
    one.network.link_down("peer link")
    assert reaches(other, SW1, other.sw2.address)
    assert (len(one.sw1.rows()), len(other.sw1.rows())) == (3, 5)


def test_ovsha_accepts_the_configuration_of_both_switches(lab: MakeLab) -> None:
    pair = lab(rows=None, overrides={"restore": {"delay": 0.5}}, node_overrides={SW2: {"restore": {"mode": "manual"}}})
    first, second = (config.load(switch.config_file) for switch in pair.switches)
    assert (first.node, second.node) == (SW1, SW2)
    assert (first.restore.delay, second.restore.delay) == (0.5, 0.5)
    assert (first.restore.mode, second.restore.mode) == ("automatic", "manual")
    assert first.warnings == second.warnings == ()


# -- the servers -----------------------------------------------------------------------------------------------------


def test_the_servers_start_parked_and_read_only_with_their_data(lab: MakeLab) -> None:
    pair = lab(rows=20)
    pair.start(agents=False)
    for switch in pair.switches:
        assert switch.role() == "backup"
        assert switch.replicates_from() is None
        assert PARKED in switch.appctl("ovsdb-server/get-active-ovsdb-server")
        assert switch.remotes() == {f"punix:{switch.socket}", f"ptcp:9999:{switch.address}"}
        with pytest.raises(rpc.Refused, match="read only"):
            rpc.transact(switch.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "x"}})
        assert switch.manager_sessions() == ()
        assert not switch.vip_present()
    assert pair.sw1.rows() == pair.seeded
    assert pair.sw2.rows() == frozenset()
    assert pair.sw1.global_config() == pair.sw2.global_config() == {}


def test_a_parked_server_gets_no_answer_at_all_from_its_source(lab: MakeLab) -> None:
    pair = lab(rows=None)
    pair.start(agents=False)

    def waiting() -> bool:
        return "192.0.2.254:9999" in pair.sw1.run("ss", "-Htn", "state", "syn-sent").stdout

    pair.wait_until(waiting, LIMIT, "a connection waits for an answer")


def test_one_server_follows_the_other_over_the_peer_link(lab: MakeLab) -> None:
    pair = lab(rows=100)
    pair.start(agents=False)
    follow(pair)


def follow(pair: Lab) -> None:
    """Do by hand what the agents do: sw1 active, sw2 its backup."""
    pair.sw1.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    pair.sw2.appctl("ovsdb-server/set-active-ovsdb-server", f"tcp:{pair.sw1.address}:9999")
    pair.sw2.appctl("ovsdb-server/connect-active-ovsdb-server")
    pair.wait_until(lambda: pair.sw2.rows() == pair.seeded, LIMIT, "sw2 has every row")
    assert (pair.sw1.role(), pair.sw2.role()) == ("active", "backup")
    assert pair.actives() == (pair.sw1,)
    assert pair.sw2.replicates_from() == f"tcp:{pair.sw1.address}:9999"


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "ssl"])
def test_the_active_side_meets_the_controller_and_the_vtep_daemon(lab: MakeLab, tls: bool) -> None:
    pair = lab(rows=10, tls=tls)

    def has_dump(switch: Switch) -> bool:
        return any(event["event"] == "dumped" for event in switch.vtepd_events())

    pair.start_controller(rate=100, logical_switch="ls0")
    pair.start(agents=False)
    follow(pair)
    pair.sw1.appctl("ovsdb-server/add-remote", "db:hardware_vtep,Global,managers")
    pair.wait_until(lambda: pair.sw1.manager_sessions() == ("192.168.100.10:6640",), LIMIT, "the controller's session")
    pair.wait_until(lambda: len(pair.sw2.rows()) > 30, LIMIT, "what the controller writes is on the backup")
    kinds = {event["event"] for event in pair.controller_events()}
    assert {"connected", "dumped", "acked"} <= kinds
    pair.sw1.run("ip", "address", "add", "169.254.0.11/32", "dev", "peerlink.4094")
    assert pair.sw1.vip_present()
    pair.sw1.appctl("ovsdb-server/add-remote", "ptcp:9998:169.254.0.11")
    for switch in pair.switches:
        switch.vtepd.start()
        pair.wait_until(
            partial(has_dump, switch),
            LIMIT,
            f"the VTEP daemon of {switch.node} has its dump",
        )
    assert pair.sw2.manager_sessions() == ()


def test_a_frozen_server_has_no_role_and_a_killed_one_comes_back_with_its_rows(lab: MakeLab) -> None:
    pair = lab(rows=10)
    pair.start(agents=False)
    server = pair.sw1.server
    server.freeze()
    server.freeze()
    assert pair.sw1.role() is None
    server.thaw()
    assert pair.sw1.role() == "backup"
    server.kill()
    server.kill()
    assert pair.sw1.role() is None
    server.start()
    server.start()
    assert pair.sw1.rows() == pair.seeded


@pytest.mark.parametrize("how", ["cut", "kill"])
def test_a_switch_without_power_is_silent_and_returns_with_its_database(lab: MakeLab, how: LossOfPower) -> None:
    pair = lab(rows=50)
    pair.start(agents=False)
    follow(pair)
    pair.sw1.run("ip", "address", "add", "169.254.0.11/32", "dev", "peerlink.4094")
    pid = pair.sw1.server.pid
    pair.sw1.power_off(how)
    assert not reaches(pair, SW2, pair.sw1.address)
    assert not reaches(pair, CTL, pair.sw1.management_address)
    assert pair.sw1.role() is None
    pair.sw1.power_on()
    pair.wait_until(lambda: pair.sw1.rows() == pair.seeded, LIMIT, "sw1 is back")
    pair.wait_until(lambda: reaches(pair, SW2, pair.sw1.address), LIMIT, "the peer link works")
    assert (pair.sw1.server.pid == pid) == (how == "cut")
    assert pair.sw1.role() == ("active" if how == "cut" else "backup")
    assert pair.sw1.vip_present() == (how == "cut"), "a reboot loses addresses"


@pytest.mark.long
def test_a_hundred_thousand_rows_are_there_within_seconds(lab: MakeLab) -> None:
    pair = lab(rows=100_000)
    pair.sw1.server.start()
    assert pair.sw1.rows() == pair.seeded
    assert len(pair.seeded) == 100_000


# -- cleaning up -----------------------------------------------------------------------------------------------------

VICTIM = """
import signal
from lab import Lab
with Lab(rows=2) as lab:
    lab.start(agents=False)
    services = [service for switch in lab.switches for service in (switch.server, switch.clagd)]
    print(lab.prefix, *(service.pid for service in services), flush=True)
    signal.pause()
"""


def test_nothing_is_left_of_a_lab_after_its_block(lab: MakeLab) -> None:
    with Lab(rows=2) as short:
        short.start(agents=False)
        pids = [service.pid for switch in short.switches for service in (switch.server, switch.clagd)]
        short.sw2.server.freeze()
        assert all(pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(name.startswith(short.prefix + "-") for name in namespaces())
    assert not short.directory.exists()


def test_a_killed_lab_leaves_no_process_and_the_next_lab_removes_the_rest(lab: MakeLab) -> None:
    neighbour = lab(rows=None)
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(HERE)}
    )
    with victim:
        assert victim.stdout is not None
        prefix, *pids = victim.stdout.readline().split()
        assert len(pids) == 4
        directory = Path(tempfile.gettempdir()) / directory_name(prefix)
        assert f"{prefix}-sw1" in set(namespaces())
        assert directory.exists()
        victim.send_signal(signal.SIGKILL)
    neighbour.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), LIMIT, "its processes end")
    lab(rows=None)
    left = set(namespaces())
    assert not any(name.startswith(prefix + "-") for name in left)
    assert not directory.exists()
    assert neighbour.network.namespace(SW1) in left, "a lab still in use is left alone"
    assert neighbour.directory.exists()
