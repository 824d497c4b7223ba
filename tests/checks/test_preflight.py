"""Laws of the preflight: what is sent on the wire, what a measurement means, and how it is shown."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from ovsha import config
from ovsha.checks import preflight, probes, run, stall
from ovsha.checks.context import Context, PreflightContext, trunk
from ovsha.checks.result import Grade, Row, fail, passed, skip, together, warn
from ovsha.mlag.parse import Detail
from ovsha.net import icmp
from ovsha.net.arp_watch import claimant
from tests.agent.small_agent import CONFIG

MAC = bytes.fromhex("443839000009")
VIP, VIP6 = ip_address("169.254.0.11"), ip_address("fd00::11")


def test_a_probe_asks_for_the_vip_and_tells_nobody_that_we_have_it() -> None:
    frame = probes.probe(VIP, MAC)
    sent = Ether(frame)
    assert (sent.dst, sent.src) == ("ff:ff:ff:ff:ff:ff", "44:38:39:00:00:09")
    assert (sent[ARP].op, sent[ARP].psrc, sent[ARP].pdst) == (1, "0.0.0.0", "169.254.0.11")
    assert claimant(frame, VIP) is None


def test_a_probe_of_ipv6_comes_from_nobody_to_those_who_may_have_it_with_a_right_checksum() -> None:
    frame = probes.probe(VIP6, MAC)
    sent = Ether(frame)
    assert (sent[IPv6].src, sent[IPv6].dst, sent[IPv6].hlim) == ("::", "ff02::1:ff00:11", 255)
    assert sent.dst == "33:33:ff:00:00:11"
    assert sent[ICMPv6ND_NS].tgt == "fd00::11"
    told = sent[ICMPv6ND_NS].cksum
    del sent[ICMPv6ND_NS].cksum
    assert Ether(bytes(sent))[ICMPv6ND_NS].cksum == told
    assert claimant(frame, VIP6) is None


@pytest.mark.parametrize("number", [0, 1, 0xFFFF])
def test_an_echo_carries_a_right_checksum(number: int) -> None:
    sent = ICMP(icmp.request(socket.AF_INET, 0xFFF0, number, b"odd"))
    told = sent.chksum
    del sent.chksum
    assert ICMP(bytes(sent)).chksum == told


@pytest.mark.skipif(os.geteuid() != 0, reason="an echo takes root")
@pytest.mark.parametrize("here", ["127.0.0.1", "::1"])
def test_echoes_to_ourselves_come_back(here: str) -> None:
    echoes = probes.measure(ip_address(here), ip_address(here), 5, 0.01)
    assert (len(echoes.trips), echoes.lost) == (5, 0)
    assert echoes.longest is not None


def test_losses_are_counted_together_and_in_a_row() -> None:
    echoes = probes.Echoes((0.1, None, 0.2, None, None, 0.3))
    assert (echoes.lost, echoes.lost_in_a_row, echoes.longest, echoes.median) == (3, 2, 0.3, 0.2)
    assert probes.Echoes((None,)).longest is None


def ground(directory: Path) -> PreflightContext:
    """Return what is looked at, without an agent."""
    return PreflightContext(Context(config.parse(CONFIG.format(directory=directory, timeout=5.0), "ovsha.yaml"), None))


@pytest.mark.parametrize(
    ("active", "grade"), [(0.1, Grade.PASS), (4.0, Grade.WARN), (10.0, Grade.FAIL)], ids=["short", "close", "too long"]
)
def test_a_stall_is_held_against_the_time_limits(tmp_path: Path, active: float, grade: Grade) -> None:
    found = stall.judge(ground(tmp_path), stall.Stall(whole=12.0, active=active, backup=0.5), 1 << 20)
    assert found.grade is grade
    assert ("set heartbeat.stall_interval: " in found.fix) == (grade is not Grade.PASS)
    assert [row.what for row in found.rows][:2] == ["full copy: backup silent", "full copy: active silent"]


def test_the_keywords_of_clagd_are_read_from_the_interfaces_file(tmp_path: Path) -> None:
    file = tmp_path / "interfaces"
    file.write_text(
        "auto peerlink.4094\niface peerlink.4094\n  clagd-priority 1000\n\tclagd-backup-ip 10.0.0.2 vrf mgmt \n"
    )
    assert preflight.read_interfaces(file) == {"clagd-priority": "1000", "clagd-backup-ip": "10.0.0.2 vrf mgmt"}
    assert preflight.read_interfaces(tmp_path / "none") == {}


def test_what_clagd_will_do_after_a_boot_is_compared_with_what_it_does_now() -> None:
    running = Detail(priority=1000, backup="10.0.0.2", system_mac="44:38:39:ff:00:01", anycast="10.9.9.9")
    same = {"clagd-priority": "1000", "clagd-backup-ip": "10.0.0.2 vrf mgmt", "clagd-sys-mac": "44:38:39:FF:00:01"}
    assert list(preflight.against_file(running, same)) == []
    (found,) = preflight.against_file(running, {**same, "clagd-priority": "2048"})
    assert (found.grade, "runs with 1000, and clagd-priority" in found.text) == (Grade.WARN, True)


def test_a_vlan_of_the_peer_link_is_the_peer_link() -> None:
    assert trunk("peerlink.4094") == trunk("peerlink") != trunk("eth0")


def test_the_worst_of_several_findings_is_told_first() -> None:
    found = together([warn("b is odd", "mend b"), passed("fine"), fail("a is gone", "mend a")], passed("all is well"))
    assert (found.grade, found.text, found.fix) == (Grade.FAIL, "a is gone; b is odd", "mend a; mend b")
    assert together([skip("not looked at")], passed("all is well")) == passed("all is well")


def test_an_item_is_a_line_with_its_fix_below_and_what_was_measured_is_a_table() -> None:
    measured = passed("fits")
    measured = type(measured)(measured.grade, measured.text, rows=(Row("peer link: lost", "fewer than 3", "0 of 27"),))
    document = run.document("sw1", "sw2", {"paths": measured, "vip-free": fail("is taken", "choose another")})
    assert not document["passed"]
    assert run.preflight_text(document) == (
        "PASS  paths     fits\n"
        "FAIL  vip-free  is taken\n"
        "                fix: choose another\n"
        "\n"
        "                 needed        measured\n"
        "peer link: lost  fewer than 3  0 of 27\n"
        "\n"
        "1 PASS, 1 FAIL: correct what says FAIL first"
    )
