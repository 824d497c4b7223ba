"""Somebody gets in the way of the pair: it is told who and where, it is not believed, and nothing moves."""

from __future__ import annotations

import socket
import time
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

import settings
from lab import Lab
from ovsha.net.arp_watch import DuplicateWatch
from ovsha.protocol.heartbeat import Conversation
from story import (
    LIMIT,
    MakeLab,
    await_copy,
    await_pair,
    await_rows,
    await_service,
    begin,
    in_sync,
    log,
    status,
    undisturbed,
)
from switch import Switch
from topology import CTL, MANAGEMENT_ADDRESS, MANAGEMENT_MAC, PEER_LINK_MAC, SW1, SW2
from wire import entered, wire

HEARTBEATS = 5344
STRANGER_MAC = "02:00:00:00:00:99"


def collisions(switch: Switch) -> list[dict[str, Any]]:
    """Return what the agent has seen in its way."""
    seen: list[dict[str, Any]] = status(switch)["collisions"]["seen"]
    return seen


def kinds(switch: Switch) -> set[str]:
    return {each["kind"] for each in collisions(switch)}


def named(switch: Switch, kind: str) -> dict[str, Any]:
    return next(each for each in collisions(switch) if each["kind"] == kind)


def lines(switch: Switch) -> list[str]:
    """Return what the agent has logged of collisions."""
    return [line for line in log(switch).splitlines() if "collision: " in line]


def agent(pair: Lab, node: str, peer: str, key: bytes = b"", pair_id: str = "lab") -> Conversation:
    """Return the heartbeats of a third switch, with this pair's key unless another is given."""
    key = key or (pair.directory / "pair.key").read_bytes().strip()
    return Conversation(pair_id, node, peer, key, "x", ["backup-path"], identity="99" * 16)


def datagram(talk: Conversation, address: str, state: dict[str, Any]) -> bytes:
    """Return the frame on the management network that carries a heartbeat from `address` to sw1."""
    payload = talk.seal("backup-path", state, time.monotonic())
    ether = Ether(src=STRANGER_MAC, dst=MANAGEMENT_MAC[SW1])
    udp = UDP(sport=HEARTBEATS, dport=HEARTBEATS)
    return bytes(ether / IP(src=address, dst=MANAGEMENT_ADDRESS[SW1]) / udp / Raw(payload))


LIE = {"node": "sw2", "serving": True, "state": "active", "term": 10**6, "stamp": [10**6, "sw2", False]}


def test_a_third_switch_is_told_with_address_path_and_count_and_is_not_believed(lab: MakeLab) -> None:
    pair = begin(lab)
    strangers = {
        "third": (agent(pair, "sw3", SW1), "192.168.100.3", "sw3"),
        "other-pair": (agent(pair, "sw2", SW1, pair_id="lab2"), "192.168.100.4", "lab2"),
        "own": (agent(pair, SW1, SW2), "192.168.100.5", "sw1"),
        "address": (agent(pair, SW2, SW1), "192.168.100.6", "sw2"),
        "forged": (agent(pair, SW2, SW1, key=b"k" * 32), "192.168.100.7", ""),
    }
    with wire(pair, CTL, SW1) as mouth, undisturbed(pair):
        mouth.setblocking(True)
        for _ in range(100):
            for talk, address, _ in strangers.values():
                mouth.send(datagram(talk, address, LIE))
        pair.wait_until(lambda: kinds(pair.sw1) == set(strangers), LIMIT, "all five are told")
        pair.wait_until(
            lambda: all(each["count"] == 100 for each in collisions(pair.sw1)), LIMIT, "each packet is counted"
        )
        for kind, (_, address, claim) in strangers.items():
            seen = named(pair.sw1, kind)
            assert (seen["address"], seen["where"], seen["claim"]) == (address, "backup-path", claim)
        assert len(lines(pair.sw1)) == 5, "the log has one line of each"
        told = pair.sw1.ovsha("status")
        assert told.returncode == 1
        assert "a third switch takes part in pair lab: sw3 at 192.168.100.3 on backup-path" in told.stdout
        assert kinds(pair.sw2) == set()
        assert status(pair.sw1)["sides"]["sw2"]["term"] < 10**6
    await_pair(pair, pair.sw1)


def test_a_flood_under_ever_new_addresses_fills_neither_the_list_nor_the_log_and_hides_nobody_with_the_key(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides={"collisions": {"forget": 5}})
    forger, third = agent(pair, SW2, SW1, key=b"k" * 32), agent(pair, "sw3", SW1)
    with wire(pair, CTL, SW1) as mouth, undisturbed(pair):
        mouth.setblocking(True)
        began = time.monotonic()
        for number in range(2000):
            mouth.send(datagram(forger, f"10.{number // 250}.{number % 250}.1", LIE))
        mouth.send(datagram(third, "192.168.100.3", LIE))
        pair.wait_until(lambda: "third" in kinds(pair.sw1), LIMIT, "who has the key is told all the same")
        document = status(pair.sw1)
        assert len(document["collisions"]["seen"]) == 8
        assert document["collisions"]["missed"] > 100
        assert "more sightings" in pair.sw1.ovsha("status").stdout
        # What was forgotten meanwhile is told once more when it is seen again.
        assert len(lines(pair.sw1)) <= 9 * (1 + (time.monotonic() - began) // 5)
        pair.wait_until(lambda: not collisions(pair.sw1), LIMIT, "all are forgotten in time")
        assert status(pair.sw1)["collisions"]["missed"] == 0


def claim_by_arp(mouth: socket.socket, mac: str, operation: int) -> None:
    arp = ARP(op=operation, hwsrc=mac, psrc=settings.VIP, hwdst="00:00:00:00:00:00", pdst=settings.VIP)
    mouth.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / arp))


def test_a_second_holder_of_the_vip_on_the_wire_is_told_by_its_mac_and_the_peer_is_told_from_a_stranger(
    lab: MakeLab,
) -> None:
    pair = begin(lab)
    with wire(pair, SW2, "peerlink.4094") as mouth, undisturbed(pair):
        arp = ARP(op=1, hwsrc=STRANGER_MAC, psrc="169.254.0.12", hwdst="00:00:00:00:00:00", pdst=settings.VIP)
        mouth.send(bytes(Ether(src=STRANGER_MAC, dst="ff:ff:ff:ff:ff:ff") / arp))
        for operation in (1, 2):
            claim_by_arp(mouth, STRANGER_MAC, operation)
        claim_by_arp(mouth, PEER_LINK_MAC[SW2], 1)
        claim_by_arp(mouth, PEER_LINK_MAC[SW1], 1)  # our own, thrown back
        pair.wait_until(lambda: kinds(pair.sw1) == {"vip", "peer-vip"}, LIMIT, "both are told")
        pair.wait_until(lambda: named(pair.sw1, "vip")["count"] == 2, LIMIT, "and counted")
        seen = named(pair.sw1, "vip")
        assert (seen["address"], seen["where"]) == (STRANGER_MAC, "peerlink.4094")
        assert named(pair.sw1, "peer-vip")["address"] == PEER_LINK_MAC[SW2]
        assert len(collisions(pair.sw1)) == 2
        assert f"{STRANGER_MAC} announces the VIP on peerlink.4094 too" in pair.sw1.ovsha("status").stdout
    with wire(pair, SW1, "peerlink.4094") as mouth:
        claim_by_arp(mouth, STRANGER_MAC, 2)
        await_rows(pair, 50)
    assert kinds(pair.sw2) == set(), "who does not hold the VIP does not listen"
    assert pair.sw2.run("ss", "-Hl0").stdout.count("peerlink.4094") == 0
    assert "peerlink.4094" in pair.sw1.run("ss", "-Hl0").stdout
    pair.sw1.ovsha("switchover", "--yes")
    await_service(pair, pair.sw2)
    pair.wait_until(lambda: "peerlink.4094" not in pair.sw1.run("ss", "-Hl0").stdout, LIMIT, "the ear is closed")
    assert len(lines(pair.sw1)) == 2
    assert lines(pair.sw2) == [], "a planned move looks like no collision"


def test_a_flood_of_claims_to_the_vip_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    with wire(pair, SW2, "peerlink.4094") as mouth, undisturbed(pair):
        mouth.setblocking(True)
        for number in range(5000):
            claim_by_arp(mouth, f"02:00:00:00:{number % 200:02x}:01", 2)
        pair.wait_until(lambda: len(collisions(pair.sw1)) == 8, LIMIT, "eight are kept")
    assert len(lines(pair.sw1)) == 8
    await_pair(pair, pair.sw1)


def test_a_second_holder_of_an_ipv6_vip_is_told(lab: MakeLab) -> None:
    pair = lab()
    address, heard = "fd00::11", []
    ear = DuplicateWatch(address, "eth0")
    body = IPv6(src="fe80::99", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=address, R=0, S=0, O=1)
    claim = Ether(src=STRANGER_MAC, dst="33:33:00:00:00:01") / body / ICMPv6NDOptDstLLAddr(lladdr=STRANGER_MAC)
    other = Ether(src=STRANGER_MAC, dst="33:33:00:00:00:01") / IPv6(bytes(body).replace(b"\0\x11", b"\0\x12"))
    entered(pair, SW1, lambda: ear.run(time.monotonic(), holding=True))
    with wire(pair, CTL, SW1) as mouth:
        mouth.send(bytes(other))
        mouth.send(bytes(claim))

        def told() -> bool:
            heard.extend(ear.run(time.monotonic(), holding=True))
            return bool(heard)

        pair.wait_until(told, LIMIT, "the claim is heard")
    ear.close()
    assert heard == [STRANGER_MAC]


def test_two_sides_that_prefer_different_ones_are_told_and_do_not_take_turns(lab: MakeLab) -> None:
    own_ways = {SW2: {"pair": {"preferred": SW2}}}
    pair = begin(lab, node_overrides=own_ways, overrides={"restore": {"delay": 0.2}})
    with undisturbed(pair, rows=150):
        pair.wait_until(
            lambda: all(kinds(switch) == {"preferred"} for switch in pair.switches), LIMIT, "both sides tell"
        )
        assert named(pair.sw1, "preferred")["claim"] == "sw1 sw1, and sw2 sw2"
        assert "give both switches the same pair.preferred" in pair.sw2.ovsha("status").stdout
        assert all(len(lines(switch)) == 1 for switch in pair.switches)


# -- the identity ------------------------------------------------------------------------------------------------------


def lose_state(switch: Switch) -> None:
    """Take away what the agent keeps, as a new disk does, while it is not running."""
    for name in ("identity", "state.json"):
        (switch.directory / "state" / name).unlink()


def identity(switch: Switch) -> dict[str, Any]:
    known: dict[str, Any] = status(switch)["identity"]
    return known


def test_a_side_that_lost_its_state_is_a_stranger_until_told_and_the_service_stays_and_is_taken_over(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    before = identity(pair.sw1)["peer"]
    assert before == identity(pair.sw2)["own"] == (pair.sw2.directory / "state" / "identity").read_text().strip()
    with undisturbed(pair, rows=100):
        pair.sw2.agent.kill()
        lose_state(pair.sw2)
        pair.sw2.agent.start()
        pair.wait_until(lambda: identity(pair.sw1)["stranger"], LIMIT, "sw1 meets a stranger")
        pair.wait_until(lambda: identity(pair.sw2)["estranged"], LIMIT, "and sw2 knows that")
        assert identity(pair.sw1)["peer"] == before
        assert kinds(pair.sw1) == {"identity"}
        shown = pair.sw1.ovsha("peer", "show")
        assert shown.returncode == 1
        assert f"a stranger by the name of sw2: {identity(pair.sw2)['own']}" in shown.stdout
        assert pair.sw2.ovsha("peer", "show").returncode == 1
        await_copy(pair, pair.sw2)
        refused = pair.sw2.ovsha("switchover", "--yes", "--to", "sw2")
        assert (refused.returncode, "`ovsha peer forget` on sw1" in refused.stderr) == (1, True)
    pair.sw1.power_off("kill")
    pair.wait_until(lambda: pair.sw2.vip_present(), LIMIT, "sw2 takes over")
    await_rows(pair, 50)
    pair.sw1.power_on()
    pair.wait_until(lambda: identity(pair.sw1)["stranger"], LIMIT, "sw1 is back and meets the stranger again")
    with undisturbed(pair, rows=250):
        assert "peer-silent" in status(pair.sw1)["rule"] or not status(pair.sw1)["sides"]["sw1"]["serving"]
    forgotten = pair.sw1.ovsha("peer", "forget", "--yes")
    assert (forgotten.returncode, before in forgotten.stdout) == (0, True)
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is whole")
    assert identity(pair.sw1)["peer"] == identity(pair.sw2)["own"]
    assert pair.sw1.ovsha("peer", "show").returncode == 0
    pair.sw1.agent.kill()
    pair.sw1.agent.start()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "what was learned is on disk")
    assert kinds(pair.sw1) == set()


def test_the_active_side_may_lose_its_state_and_serves_on_and_is_replaced_when_its_server_dies(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    with undisturbed(pair, rows=100):
        pair.sw1.agent.kill()
        lose_state(pair.sw1)
        pair.sw1.agent.start()
        pair.wait_until(lambda: identity(pair.sw2)["stranger"], LIMIT, "sw2 meets a stranger")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
    assert pair.sw2.ovsha("peer", "forget", "--yes").returncode == 0
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is whole")
