"""Measure round trip and loss of a path by ICMP echo, from one of our addresses (RFC 792, RFC 4443).

The kernel of the other switch answers, so nothing has to run there.  Arrivals are stamped by our kernel (SO_TIMESTAMPNS
of socket(7)), so that a busy processor here is not taken for a slow path.  Needs CAP_NET_RAW.  The packets are those of
ovsha.drivers.icmp_packet, by which the agent asks too.
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

from ovsha.drivers import icmp_packet
from ovsha.errors import DriverError

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
        with icmp_packet.raw_socket(_family(target)) as sock:
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
                sock.sendto(icmp_packet.request(sock.family, identifier, len(sent) - 1), _place(target))
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
    answer = icmp_packet.reply(sock.family, data, identifier)
    if answer is None or str(host).partition("%")[0] != str(target).partition("%")[0]:
        return None, 0.0
    stamps = [value for level, name, value in ancillary if (level, name) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)]
    at = time.time()
    if stamps:
        seconds, nanoseconds = _STAMP.unpack_from(stamps[0])
        at = seconds + nanoseconds / 1e9
    return answer[0], at
