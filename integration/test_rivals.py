"""Somebody else claims the VIP: it is answered at once and seldom, and what is told of it ends when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

import settings
from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_rows, await_service, begin, in_sync, problems, undisturbed
from switch import Switch
from test_collisions import STRANGER_MAC, claim_by_arp, collisions, kinds, named
from topology import IPV6, PEER_LINK_MAC, SW1, SW2
from wire import frames, wire

LINK = "peerlink.4094"
INTERVAL = 10.0
"""Seconds between two answers."""

ONE_ANNOUNCEMENT = {"vip": {"announce_count": 1}}
"""So that what is announced later on is an answer."""


def arp_of(mac: str) -> bytes:
    arp = ARP(op=1, hwsrc=mac, psrc=settings.VIP, hwdst="00:00:00:00:00:00", pdst=settings.VIP)
    return bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / arp)


def advertisement_of(mac: str) -> bytes:
    body = IPv6(src="fe80::99", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=IPV6.vip, R=0, S=0, O=1)
    return bytes(Ether(src=mac, dst="33:33:00:00:00:01") / body / ICMPv6NDOptDstLLAddr(lladdr=mac))


def announced_by_sw1(frame: Packet) -> bool:
    """Say whether this is an announcement of the VIP by sw1, of either family."""
    if frame.src != PEER_LINK_MAC[SW1]:
        return False
    if ARP in frame:
        return bool(frame[ARP].psrc == settings.VIP)
    return ICMPv6ND_NA in frame and bool(frame[ICMPv6ND_NA].tgt == IPV6.vip)


@pytest.mark.parametrize(
    ("claim", "wishes"),
    [
        pytest.param(arp_of, {}, id="ARP"),
        pytest.param(advertisement_of, {"plan": IPV6}, id="neighbour advertisements", marks=pytest.mark.long),
    ],
)
def test_claims_of_a_stranger_are_answered_by_one_announcement_at_once_and_by_one_more_ten_seconds_later(
    lab: MakeLab, claim: Callable[[str], bytes], wishes: dict[str, Any]
) -> None:
    pair = begin(lab, overrides=ONE_ANNOUNCEMENT, **wishes)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is well")
    answers: list[Packet] = []
    with wire(pair, SW2, LINK) as mouth, undisturbed(pair):

        def answered(count: int) -> bool:
            answers.extend(frame for frame in frames(mouth) if announced_by_sw1(frame))
            return len(answers) >= count

        answered(0)
        answers.clear()
        mouth.send(claim(STRANGER_MAC))
        pair.wait_until(lambda: answered(1), LIMIT, "the first claim is answered")
        for _ in range(50):
            mouth.send(claim(STRANGER_MAC))
        pair.wait_until(lambda: named(pair.sw1, "vip")["count"] >= 30, LIMIT, "the others are heard")
        pair.wait_until(lambda: answered(2), INTERVAL + LIMIT, "they are answered by one more")
        await_rows(pair, 50)
        answered(0)
    assert len(answers) == 2
    await_pair(pair, pair.sw1)


def test_what_the_peer_claimed_is_answered_while_it_says_that_it_does_not_serve_and_is_no_problem_any_more(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides=ONE_ANNOUNCEMENT)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is well")
    with wire(pair, SW2, LINK) as mouth, undisturbed(pair):
        claim_by_arp(mouth, PEER_LINK_MAC[SW2], 1)
        pair.wait_until(lambda: kinds(pair.sw1) == {"peer-vip"}, LIMIT, "it is told")
        pair.wait_until(lambda: named(pair.sw1, "peer-vip")["over"], LIMIT, "it is over: the peer has no VIP")
        pair.wait_until(lambda: any(map(announced_by_sw1, frames(mouth))), LIMIT, "it is answered")
        assert "announces the VIP" not in problems(pair.sw1)
        assert "and over" in pair.sw1.ovsha("status").stdout


def say_nothing_of_the_vip(pair: Lab, switch: Switch) -> None:
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    pair.wait_until(lambda: "announces the VIP" not in problems(switch), LIMIT, "nobody is said to announce it too")


@pytest.mark.long
def test_a_switch_that_comes_back_from_a_freeze_fights_for_nothing_and_is_healthy_as_soon_as_it_has_let_go(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}, "vip": {"announce_count": 10}})
    pair.sw1.power_off("cut")
    await_service(pair, pair.sw2)
    pair.sw1.power_on()
    with wire(pair, SW1, LINK) as mouth:
        claim_by_arp(mouth, PEER_LINK_MAC[SW2], 2)
    await_pair(pair, pair.sw2)
    assert all(each["kind"] != "vip" for each in collisions(pair.sw1)), "the peer is not taken for a stranger"
    for switch in pair.switches:
        say_nothing_of_the_vip(pair, switch)


@pytest.mark.long
def test_an_agent_that_does_not_know_the_peers_mac_yet_tells_it_from_a_stranger_as_soon_as_it_does(
    lab: MakeLab,
) -> None:
    pair = begin(lab)
    pair.sw2.agent.freeze()
    pair.sw1.agent.kill()
    pair.sw1.agent.start()
    with wire(pair, SW2, LINK) as mouth:

        def told() -> bool:
            claim_by_arp(mouth, PEER_LINK_MAC[SW2], 2)
            return bool(kinds(pair.sw1))

        pair.wait_until(told, LIMIT, "somebody is heard")
        pair.sw2.agent.thaw()
        pair.wait_until(lambda: kinds(pair.sw1) == {"peer-vip"}, LIMIT, "it is the peer")
    say_nothing_of_the_vip(pair, pair.sw1)


@pytest.mark.long
def test_two_sides_that_prefer_the_same_again_are_told_so_at_once(lab: MakeLab) -> None:
    pair = begin(lab, node_overrides={SW2: {"pair": {"preferred": SW2}}}, overrides={"restore": {"mode": "manual"}})
    pair.wait_until(lambda: all("prefer" in problems(each) for each in pair.switches), LIMIT, "both tell it")
    settings.write(pair.sw2.config_file, settings.merged(pair.sw2.config, {"pair": {"preferred": SW1}}))
    pair.sw2.agent.kill()
    pair.sw2.agent.start()
    pair.wait_until(lambda: not any("prefer" in problems(each) for each in pair.switches), LIMIT, "it is over")
