"""Ask the peer's kernel on each path by ICMP echo (RFC 792, RFC 4443), which it answers whatever its programs do.

One raw socket for each path, bound as that of the heartbeats is, with a filter in the kernel for the replies to us.
Each echo carries a nonce of its own, so a reply can neither be guessed nor counted twice.  Nothing here raises for
what the network does or for a privilege that is lacking: the reason stands in `trouble`, and there are no facts then.

What is read of a raw socket begins with the header of IP for IPv4, and without it for IPv6 (raw(7), RFC 3542).
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ovs.poller import POLLIN, Poller

from ovsha.core.echo import BURST
from ovsha.core.facts import EchoPath
from ovsha.net import netlink
from ovsha.net.packet_filter import (
    EQUAL,
    HEADER_LENGTH,
    LOAD_BYTE,
    LOAD_BYTE_BEHIND,
    LOAD_HALF,
    LOAD_HALF_BEHIND,
    RETURN,
    attach,
    instruction,
)
from ovsha.net.path_socket import Channel, Endpoint

SPACING = 0.01
"""Seconds between two echoes of a burst."""

_NONCE = 16
_READS = 256  # replies read in one turn, many more than can be under way
_FORGOTTEN = 64  # echoes under way; an older one is lost
_LOOK = 0.05  # seconds between two looks at a carrier
_RECEIVE_BUFFER = 32 * 1024
_IP_RECVERR, _IPV6_RECVERR = 11, 25


@dataclass(slots=True)
class _Burst:
    """The echoes that are sent at once on a suspicion: how many are to go, how many went, and when the last one did.

    `tries`: how often it may still be tried, for an error that the network told of earlier fails one more.
    """

    left: int = 0
    tries: int = 0
    due: float = 0.0
    gone: int = 0
    gone_at: float | None = None


class _Asker(Channel):
    """The raw socket of one path, and what became of the echoes over it."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(replace(endpoint, port=0))
        self.sent = self.answered = 0
        self.answered_at: float | None = None
        self.carrier: bool | None = None
        self.burst = _Burst()
        self.due = float("-inf")
        self._identifier = secrets.randbits(16)
        self._number = 0
        self._waiting: dict[int, bytes] = {}
        self._egress: int | None = None
        self._egress_at = self._looked_at = float("-inf")

    def ask(self, now: float) -> bool:
        """Send one echo; tell whether it left: by the way on which the peer last answered, and that has a carrier."""
        number, nonce = self._number, secrets.token_bytes(_NONCE)
        self._number = (number + 1) & 0xFFFF
        packet = request(self._family, self._identifier, number, nonce)
        if not self.send(packet, now):
            return False
        self._waiting[number] = nonce
        while len(self._waiting) > _FORGOTTEN:
            self._waiting.pop(next(iter(self._waiting)))
        self._look(now, at_once=True)
        if self.carrier is False:
            return False
        self.sent += 1
        return True

    def read(self, now: float) -> None:
        """Take all replies that wait, and look whether the way has a carrier."""
        answered = self.answered
        for _ in range(_READS):
            arrival = self.receive()
            if arrival is None:
                break
            packet, _, from_peer = arrival
            said = reply(self._family, packet, self._identifier)
            if from_peer and said is not None and self._waiting.get(said[0]) == said[1]:
                del self._waiting[said[0]]
                self.answered += 1
        if self.answered > answered:
            self.answered_at = now
            self._find_way(now)
        self._look(now)

    def begin_burst(self, now: float) -> None:
        """Ask several times at once, if the way out is still that on which the peer has answered."""
        self.burst = _Burst(BURST, 2 * BURST, now)

    def go_on(self, now: float) -> None:
        """Send what of a burst is due."""
        burst = self.burst
        if burst.left and burst.tries and now >= burst.due:
            burst.tries, burst.due = burst.tries - 1, now + SPACING
            if self.ask(now) and self._same_way():
                burst.left, burst.gone, burst.gone_at = burst.left - 1, burst.gone + 1, now

    def forget(self) -> None:
        """Take no reply any more to what was asked so far."""
        self._waiting.clear()
        self.burst = _Burst()

    def facts(self, now: float) -> EchoPath:
        """Return what is known of this path."""
        burst = self.burst
        return EchoPath(
            path=self.endpoint.path,
            carrier=self.carrier,
            answered_age=None if self.answered_at is None else now - self.answered_at,
            asked=burst.gone,
            asked_age=None if burst.gone_at is None else now - burst.gone_at,
        )

    def receive(self) -> tuple[bytes, str, bool] | None:
        """Return the next packet as that of the heartbeats does; an error that the network told of is no end."""
        arrival = super().receive()
        if arrival is None and self.trouble and self._sock is not None:
            _empty_errors(self._sock)
        return arrival

    def _make(self) -> socket.socket:
        return raw_socket(self._family)

    def _prepare(self, sock: socket.socket) -> None:
        pass_replies_only(sock, self._identifier)
        super()._prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # So that a queue that is full is told by sendto(2), as what never left.
        if self._family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)

    def _origin(self, source: tuple[object, ...]) -> tuple[str, bool]:
        host = str(source[0]).partition("%")[0]
        return host, socket.inet_pton(self._family, host) == self._peer

    def _find_way(self, now: float) -> None:
        """Learn by which interface the peer answers: it is the one by which we asked."""
        if now >= self._egress_at + 1.0:
            self._egress_at = now
            self._egress = self._way()

    def _same_way(self) -> bool:
        return self._egress is not None and self._way() == self._egress

    def _way(self) -> int | None:
        try:
            return netlink.interface(self._family, self._peer, self._local, self._scope)
        except OSError:
            return None

    def _look(self, now: float, at_once: bool = False) -> None:
        """Look at the carrier of the way on which the peer last answered; None when it never did."""
        if self._egress is None or (now < self._looked_at + _LOOK and not at_once):
            return
        self._looked_at = now
        if self._sock is not None:
            self.carrier = netlink.carrier(self._sock, self._egress)
        else:
            with socket.socket(self._family, socket.SOCK_DGRAM) as sock:
                self.carrier = netlink.carrier(sock, self._egress)


class Echoes:
    """The echoes to the peer's kernel on every path.

    Raises ValueError for addresses that are none, which the configuration should have refused.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._askers = [_Asker(endpoint) for endpoint in endpoints]

    def trouble(self, heartbeats: Mapping[str, str]) -> str:
        """Return why the peer's kernel cannot be asked where `heartbeats` have no trouble, "" when it can."""
        for each in self._askers:
            if each.fileno() is None and not heartbeats.get(each.endpoint.path):
                return f"the peer's kernel cannot be asked on {each.endpoint.path}: {each.trouble}"
        return ""

    @property
    def answered(self) -> int:
        """How many echoes were answered since this was made, over all paths."""
        return sum(each.answered for each in self._askers)

    @property
    def sent(self) -> int:
        """How many echoes have left since this was made, over all paths."""
        return sum(each.sent for each in self._askers)

    def run(self, now: float, every: float) -> None:
        """Take the replies, and ask on each path every so many seconds."""
        for each in self._askers:
            each.tend(now)
            each.read(now)
            each.go_on(now)
            if now >= each.due or each.due > now + every:
                each.due = now + every
                each.ask(now)

    def burst(self, now: float) -> None:
        """Ask several times at once on every path."""
        for each in self._askers:
            each.begin_burst(now)
            each.go_on(now)

    def facts(self, now: float) -> tuple[EchoPath, ...]:
        """Return what is known of each path."""
        return tuple(each.facts(now) for each in self._askers)

    def forget(self) -> None:
        """Forget what is under way: the loop was away, and its answers say nothing of now."""
        for each in self._askers:
            each.forget()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for a reply, and for the next echo of a burst; any other waits for the next heartbeat."""
        for each in self._askers:
            fd = each.fileno()
            if fd is not None:
                poller.fd_wait(fd, POLLIN)
            if each.burst.left and each.burst.tries:
                poller.timer_wait(max(0, int((each.burst.due - now) * 1000) + 1))

    def close(self) -> None:
        """Close all sockets."""
        for each in self._askers:
            each.close()


def _empty_errors(sock: socket.socket) -> None:
    """Throw away what the network said of our echoes; what is not answered is judged by its silence."""
    try:
        for _ in range(_READS):
            sock.recvmsg(1, 0, socket.MSG_ERRQUEUE)
    except OSError:
        return


_HEAD = struct.Struct("!BBHHH")  # type, code, checksum, identifier, number
_ASKS = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLIES = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_SOL_RAW = 255
_ICMP_FILTER = 1  # of linux/icmp.h and linux/icmpv6.h alike
_LONGEST = 0xFFFF


def raw_socket(family: socket.AddressFamily) -> socket.socket:
    """Return a raw socket for ICMP of this family, which does not block.  Raises OSError without CAP_NET_RAW."""
    return socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, _PROTOCOL[family])


def pass_replies_only(sock: socket.socket, identifier: int) -> None:
    """Have the kernel pass only echo replies to `identifier`; every raw socket would else get all of ICMP.

    Raises OSError.
    """
    family = sock.family
    reply = _REPLIES[family]
    if family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << reply)))
    else:
        blocked = [0xFFFFFFFF] * 8
        blocked[reply >> 5] &= ~(1 << (reply & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP_FILTER, struct.pack("=8I", *blocked))
    attach(sock, program(family, identifier))


def program(family: int, identifier: int) -> bytes:
    """Return the filter, to be attached before the socket is bound."""
    old = family == socket.AF_INET
    load_byte, load_half = (
        (LOAD_BYTE_BEHIND, LOAD_HALF_BEHIND) if old else (LOAD_BYTE, LOAD_HALF)
    )  # fmt: skip
    head = instruction(HEADER_LENGTH, 0, 0, 0) if old else b""
    return (
        head
        + instruction(load_byte, 0, 0, 0)
        + instruction(EQUAL, 0, 3, _REPLIES[socket.AddressFamily(family)])
        + instruction(load_half, 0, 0, 4)
        + instruction(EQUAL, 0, 1, identifier)
        + instruction(RETURN, 0, 0, _LONGEST)
        + instruction(RETURN, 0, 0, 0)
    )


def request(family: int, identifier: int, number: int, payload: bytes = b"") -> bytes:
    """Return an echo request; the kernel fills in the checksum of ICMPv6."""
    kind = _ASKS[socket.AddressFamily(family)]
    if family == socket.AF_INET6:
        return _HEAD.pack(kind, 0, 0, identifier, number) + payload
    check = _checksum(_HEAD.pack(kind, 0, 0, identifier, number) + payload)
    return _HEAD.pack(kind, 0, check, identifier, number) + payload


def reply(family: int, packet: bytes, identifier: int) -> tuple[int, bytes] | None:
    """Return number and payload of an echo reply to `identifier`, None for anything else."""
    body = packet[(packet[0] & 15) * 4 :] if family == socket.AF_INET and packet else packet
    if len(body) < _HEAD.size:
        return None
    kind, _, _, to, number = _HEAD.unpack_from(body)
    if kind != _REPLIES[socket.AddressFamily(family)] or to != identifier:
        return None
    return number, body[_HEAD.size :]


def _checksum(data: bytes) -> int:
    """Return the checksum of the Internet (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
