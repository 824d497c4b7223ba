"""Ask the network: who has an address (RFC 5227, RFC 4862), and how long an ICMP echo takes on a path.

An ARP probe has no sender's address, so that nobody learns anything from it; the probe of
IPv6 is a neighbour solicitation from the unspecified address.  Nothing leaves the link, and
the address is put on no interface.

The kernel of the other switch answers, so nothing has to run there.  Arrivals are stamped by our kernel (SO_TIMESTAMPNS
of socket(7)), so that a busy processor here is not taken for a slow path.  Needs CAP_NET_RAW.  The packets are those of
ovsha.net.icmp, by which the agent asks too.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ovsha.errors import DriverError
from ovsha.net import icmp
from ovsha.net.arp_watch import claimant

COUNT, SPACING, WAIT = 3, 0.5, 1.0
"""RFC 5227 has them 1 to 2 s apart and waits 2 s; on the one cable between two switches less will do."""

_ETH_P_ALL, _ETH_P_ARP, _ETH_P_IPV6 = 3, 0x0806, 0x86DD
_BROADCAST = b"\xff" * 6
_ICMPV6, _SOLICITATION, _HOPS = 58, 135, 255


def claims(address: IPv4Address | IPv6Address, interface: str) -> set[str]:
    """Return the MACs, but our own, that answer for `address` on the link, or are about to take it themselves.

    Raises DriverError when the interface cannot be used.
    """
    protocol = _ETH_P_ARP if isinstance(address, IPv4Address) else _ETH_P_IPV6
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)) as sock:
            sock.bind((interface, protocol))
            own = bytes(sock.getsockname()[4])
            found: set[str] = set()
            for number in range(COUNT):
                sock.send(probe(address, own))
                found |= _heard(sock, address, own, SPACING if number < COUNT - 1 else WAIT)
            return found
    except OSError as error:
        raise DriverError(f"{interface}: cannot be asked for {address}: {error.strerror or error}") from None


def probe(address: IPv4Address | IPv6Address, mac: bytes) -> bytes:
    """Return one frame that asks who has `address`."""
    if isinstance(address, IPv4Address):
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + bytes(4) + bytes(6) + address.packed
        return (_BROADCAST + mac + struct.pack("!H", _ETH_P_ARP) + body).ljust(60, b"\0")
    group = IPv6Address("ff02::1:ff00:0").packed[:13] + address.packed[13:]
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed
    pseudo = bytes(16) + group + struct.pack("!I3xB", len(message), _ICMPV6)
    checked = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    head = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _HOPS) + bytes(16) + group
    return b"\x33\x33" + group[12:] + mac + struct.pack("!H", _ETH_P_IPV6) + head + checked


def _heard(sock: socket.socket, address: IPv4Address | IPv6Address, own: bytes, seconds: float) -> set[str]:
    found, deadline = set(), time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([sock], [], [], left)[0]:
            frame = sock.recv(2048)
            mac = claimant(frame, address) or _contender(frame, address)
            if mac is not None and mac != own:
                found.add(mac.hex(":"))
    return found


def _contender(frame: bytes, address: IPv4Address | IPv6Address) -> bytes | None:
    """Return the MAC of somebody who probes for the same address, which is a conflict too."""
    if not isinstance(address, IPv4Address) or len(frame) < 42 or frame[12:14] != b"\x08\x06":
        return None
    return frame[22:28] if frame[28:32] == bytes(4) and frame[38:42] == address.packed else None


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


_SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("@qq")
_LAST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Echoes:
    """What became of the echoes that were sent; `trips` are seconds in the order of sending, None is a lost one."""

    trips: tuple[float | None, ...]

    @property
    def lost(self) -> int:
        """How many were lost."""
        return sum(trip is None for trip in self.trips)

    @property
    def lost_in_a_row(self) -> int:
        """How many were lost one after the other, at most."""
        longest = row = 0
        for trip in self.trips:
            row = row + 1 if trip is None else 0
            longest = max(longest, row)
        return longest

    @property
    def longest(self) -> float | None:
        """The longest round trip, None when nothing came back."""
        return max((trip for trip in self.trips if trip is not None), default=None)

    @property
    def median(self) -> float | None:
        """The median round trip, None when nothing came back."""
        back = sorted(trip for trip in self.trips if trip is not None)
        return back[len(back) // 2] if back else None


def measure(
    source: IPv4Address | IPv6Address, target: IPv4Address | IPv6Address, count: int, interval: float, vrf: str = ""
) -> Echoes:
    """Send `count` echoes, `interval` seconds apart, and wait for the answers; "" is the default VRF.

    Raises DriverError.
    """
    try:
        with icmp.raw_socket(_family(target)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            if vrf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, vrf.encode())
            sock.bind(_place(source))
            return _run(sock, target, count, interval)
    except OSError as error:
        raise DriverError(f"{target} cannot be asked from {source}: {error.strerror or error}") from None


def _run(sock: socket.socket, target: IPv4Address | IPv6Address, count: int, interval: float) -> Echoes:
    identifier = os.getpid() & 0xFFFF
    sent: list[float] = []
    trips: list[float | None] = [None] * count
    due = time.monotonic()
    while len(sent) < count or (None in trips and time.monotonic() < due + _LAST_WAIT):
        if len(sent) < count and time.monotonic() >= due:
            due += interval
            sent.append(time.time())
            try:
                sock.sendto(icmp.request(sock.family, identifier, len(sent) - 1), _place(target))
            except OSError:
                continue  # a link that is down loses it, as does one that is cut
        until = due if len(sent) < count else due + _LAST_WAIT
        if select.select([sock], [], [], max(0.0, until - time.monotonic()))[0]:
            number, at = _answer(sock, target, identifier)
            if number is not None and number < len(sent) and trips[number] is None:
                trips[number] = max(0.0, at - sent[number])
    return Echoes(tuple(trips))


def _place(address: IPv4Address | IPv6Address) -> tuple[Any, ...]:
    """Return what the kernel wants for it, with the number of its zone, which sendto(2) does not look for."""
    return socket.getaddrinfo(str(address), 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]


def _family(address: IPv4Address | IPv6Address) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def _answer(sock: socket.socket, target: IPv4Address | IPv6Address, identifier: int) -> tuple[int | None, float]:
    """Return the number of an answer to us and when it arrived, None for what is none."""
    try:
        data, ancillary, _, (host, *_) = sock.recvmsg(2048, 256)
    except BlockingIOError:
        return None, 0.0
    answer = icmp.reply(sock.family, data, identifier)
    if answer is None or str(host).partition("%")[0] != str(target).partition("%")[0]:
        return None, 0.0
    stamps = [value for level, name, value in ancillary if (level, name) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)]
    at = time.time()
    if stamps:
        seconds, nanoseconds = _STAMP.unpack_from(stamps[0])
        at = seconds + nanoseconds / 1e9
    return answer[0], at
