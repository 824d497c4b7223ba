"""What goes over the wires: announcements of the VIP, and heartbeats that are not what they seem."""

from __future__ import annotations

import random
import socket
from collections import Counter

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

import settings
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    await_pair,
    await_rows,
    await_service,
    begin,
    counter,
    open_here,
    status,
    undisturbed,
)
from topology import CTL, MANAGEMENT_ADDRESS, MANAGEMENT_MAC, PEER_LINK_ADDRESS, PEER_LINK_MAC, SW1, SW2
from wire import frames, wire

HEARTBEATS = 5344
QUICKLY = {"vip": {"announce_count": 3, "announce_interval": 0.1}}


# -- the announcements -------------------------------------------------------------------------------------------------


def announced(raw: socket.socket, seen: Counter[tuple[int, str]]) -> Counter[tuple[int, str]]:
    """Add the gratuitous ARP that has come in to `seen`, by operation and MAC."""
    for frame in frames(raw):
        if ARP in frame and frame[ARP].psrc == frame[ARP].pdst == settings.VIP:
            assert frame.dst == "ff:ff:ff:ff:ff:ff"
            assert frame.src == frame[ARP].hwsrc
            seen[frame[ARP].op, frame[ARP].hwsrc] += 1
    return seen


def test_whoever_takes_the_vip_announces_it_by_request_and_by_reply(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**QUICKLY, "restore": {"mode": "manual"}})
    with wire(pair, SW1, "peerlink.4094") as raw:
        pair.sw1.server.kill()
        wanted = Counter({(1, PEER_LINK_MAC[SW2]): 3, (2, PEER_LINK_MAC[SW2]): 3})
        seen: Counter[tuple[int, str]] = Counter()
        pair.wait_until(lambda: announced(raw, seen) == wanted, LIMIT, "three announcements, each in both forms")
        await_service(pair, pair.sw2)
        neighbours = pair.sw1.run("ip", "neighbor", "show", settings.VIP).stdout
        assert not neighbours or PEER_LINK_MAC[SW2] in neighbours
        pair.sw2.run("ip", "address", "del", f"{settings.VIP}/32", "dev", "peerlink.4094")
        wanted.update(wanted.copy())
        pair.wait_until(lambda: announced(raw, seen) == wanted, LIMIT, "what is put back is announced again")
        await_rows(pair, 50)
        assert announced(raw, seen) == wanted, "and that is all"


# -- the heartbeats ----------------------------------------------------------------------------------------------------


def recorded(pair: Lab, raw: socket.socket, sender: str, count: int) -> list[Packet]:
    """Record `count` frames with heartbeats that come from the address `sender`."""
    found: list[Packet] = []

    def enough() -> bool:
        found.extend(
            frame
            for frame in frames(raw)
            if UDP in frame and frame[UDP].dport == HEARTBEATS and frame[IP].src == sender
        )
        return len(found) >= count

    pair.wait_until(enough, LIMIT, f"{count} heartbeats are recorded")
    return found[:count]


def heartbeat(payload: bytes, address: str = PEER_LINK_ADDRESS[SW2], port: int = HEARTBEATS) -> bytes:
    """Return a frame for sw1 that seems to come from sw2's agent."""
    ether = Ether(src=PEER_LINK_MAC[SW2], dst=PEER_LINK_MAC[SW1])
    udp = UDP(sport=port, dport=HEARTBEATS)
    return bytes(ether / IP(src=address, dst=PEER_LINK_ADDRESS[SW1], tos=0xC0) / udp / Raw(payload))


def test_heartbeats_that_are_forged_replayed_cut_off_or_noise_are_counted_and_move_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    chance = random.Random(1)
    with wire(pair, SW1, "peerlink.4094") as ear, wire(pair, SW2, "peerlink.4094") as mouth:
        real = [bytes(frame[UDP].payload) for frame in recorded(pair, ear, PEER_LINK_ADDRESS[SW2], 20)]
        before = status(pair.sw1)["counters"]
        with undisturbed(pair):
            for payload in real:
                lie = payload.replace(b'"serving":false', b'"serving":true ').replace(b'"up"', b'"XX"')
                assert lie != payload
                mouth.send(heartbeat(lie))
                mouth.send(heartbeat(payload))
                mouth.send(heartbeat(payload[: chance.randrange(len(payload))]))
                mouth.send(heartbeat(chance.randbytes(chance.randrange(1400))))
                mouth.send(heartbeat(b"OVSHA1" + chance.randbytes(200)))
                mouth.send(heartbeat(payload, port=HEARTBEATS + 1))
                mouth.send(heartbeat(payload, address="169.254.0.12"))

            def all_counted() -> bool:
                rise = Counter(status(pair.sw1)["counters"])
                rise.subtract(before)
                # What is too old is not looked at any further.
                repeated = rise["replayed"] + rise["delayed"]
                return min(repeated, rise["forged"], rise["malformed"], rise["stranger_address"]) >= len(real)

            pair.wait_until(all_counted, LIMIT, "all are counted")
            assert status(pair.sw1)["presence"] == "alive"
    await_pair(pair, pair.sw1)


def test_a_flood_of_noise_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    chance = random.Random(2)
    with wire(pair, SW2, "peerlink.4094") as mouth, undisturbed(pair):
        mouth.setblocking(True)
        for _ in range(20):
            noise = heartbeat(b"OVSHA1" + chance.randbytes(600))
            for _ in range(500):
                mouth.send(noise)
    pair.wait_until(lambda: counter(pair.sw1, "forged") > 500, LIMIT, "much of it is counted")
    await_pair(pair, pair.sw1)


def test_a_recording_does_not_keep_a_dead_switch_alive(lab: MakeLab) -> None:
    pair = begin(lab)
    with wire(pair, CTL, SW1) as ear, wire(pair, CTL, SW2) as mouth:
        heard = recorded(pair, ear, MANAGEMENT_ADDRESS[SW1], 20)
        for frame in heard:
            del frame[UDP].chksum  # a veth leaves that to hardware it has not got; scapy fills it in
        recording = [bytes(frame) for frame in heard]
        assert heard[0].dst == MANAGEMENT_MAC[SW2]
        pair.sw1.power_off("kill")

        def taken_over() -> bool:
            for frame in recording:
                mouth.send(frame)
            return "VIP" in open_here(pair.sw2)

        pair.wait_until(taken_over, LIMIT, "sw2 takes over while the recording is played")
    counters = status(pair.sw2)["counters"]
    assert counters["replayed"] + counters["delayed"] >= len(recording)
    await_service(pair, pair.sw2)
