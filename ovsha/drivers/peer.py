"""Carry the heartbeats over UDP (RFC 768), one socket for each path to the peer.

A socket is bound to this side's address of the path, and to the path's
interface where one is named, so that a heartbeat never takes another way than
the one it speaks for.  Nothing here raises for what the network does: the
reason stands in `trouble`, and a socket that is of no use any more is opened
again each second.  Whether a packet is believed is decided by
ovsha.core.heartbeat.
"""

import errno
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ovs.poller

from ovsha.core.heartbeat import Conversation
from ovsha.core.packet import MAX_PACKET

log = logging.getLogger(__name__)

MAX_TURN = 64  # packets read in one turn, over all paths
_MAX_QUEUED = 4096  # more than the receive buffer can hold
_RETRY = 1.0  # seconds
_RECEIVE_BUFFER = 64 * 1024
_CS6 = 0xC0  # network control, RFC 4594 section 3.1

# The socket speaks for an address or an interface that is there no longer.
_LOST = frozenset({errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.EBADF, errno.ENOTSOCK})


@dataclass(frozen=True)
class Endpoint:
    """The two ends of one path; the port is the same at both.

    `interface`, when not None, is the only one the path may use, and the scope
    of link-local addresses, which may be written with it or without; a VRF is an
    interface too, that of all which are in it.
    """

    path: str
    local: str
    peer: str
    port: int
    interface: str | None = None


class Channel:
    """The socket of one path, opened when its address is there; `trouble` says why it is not, or cannot send."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.trouble = "not opened yet"
        self.check_at = float("-inf")
        self._family = socket.AF_INET6 if ":" in endpoint.local else socket.AF_INET
        self._local = _packed(self._family, endpoint.local)
        self._peer = _packed(self._family, endpoint.peer)
        self._scope = 0
        self._sock: socket.socket | None = None

    def tend(self, now: float) -> None:
        """Open the socket if it is not, or if its interface has been replaced."""
        if now < self.check_at:
            return
        self.check_at = now + _RETRY
        try:
            scope = self._interface_index()
            if self._sock is None or scope != self._scope:
                self.close()
                self._sock, self._scope = self._open(scope), scope
                self._note("")
        except OSError as err:
            self.close()
            where = f" at {self.endpoint.local} in {self.endpoint.interface}" if self.endpoint.interface else ""
            self._note(f"cannot open{where}: {err.strerror or err}")

    def send(self, packet: bytes, now: float) -> bool:
        """Send `packet`, or note why that cannot be done; tell whether the kernel took it."""
        if self._sock is None:
            return False
        try:
            self._sock.sendto(packet, self._address(self._peer, self._scope))
        except OSError as err:
            self._note(f"cannot send: {err.strerror or err}")
            if err.errno in _LOST:
                self.close()
                self.check_at = now + _RETRY
            return False
        self._note("")
        return True

    def receive(self) -> tuple[bytes, str, bool] | None:
        """Return the next packet, where it came from and whether that is the peer; None if there is none."""
        if self._sock is None:
            return None
        try:
            packet, source = self._sock.recvfrom(MAX_PACKET + 1)
        except BlockingIOError:
            return None
        except OSError as err:
            self._note(f"cannot receive: {err.strerror or err}")
            return None
        return packet, *self._origin(source)

    def fileno(self) -> int | None:
        """Return what the loop waits for, None while the socket is not open."""
        return None if self._sock is None else self._sock.fileno()

    def close(self) -> None:
        """Close the socket; `tend` opens it again."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _interface_index(self) -> int:
        name = self.endpoint.interface
        return 0 if name is None else socket.if_nametoindex(name)

    def _open(self, scope: int) -> socket.socket:
        sock = self._make()
        try:
            self._prepare(sock)
            sock.bind(self._address(self._local, scope))
        except OSError:
            sock.close()
            raise
        return sock

    def _make(self) -> socket.socket:
        return socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def _prepare(self, sock: socket.socket) -> None:
        """Set what the socket needs before it is bound."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if self._family == socket.AF_INET6:
            if sock.type == socket.SOCK_DGRAM:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CS6)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _CS6)
        if self.endpoint.interface is not None:
            name = self.endpoint.interface.encode()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)

    def _address(self, packed: bytes, scope: int) -> tuple[str, int] | tuple[str, int, int, int]:
        host, port = socket.inet_ntop(self._family, packed), self.endpoint.port
        if self._family == socket.AF_INET:
            return host, port
        return host, port, 0, scope if packed[:2] == b"\xfe\x80" else 0

    def _origin(self, source: tuple[Any, ...]) -> tuple[str, bool]:
        # Python appends the scope to a link-local address: fe80::1%swp1.
        host, port = str(source[0]).partition("%")[0], source[1]
        if port != self.endpoint.port:
            return f"{host} port {port}", False
        return host, _packed(self._family, host) == self._peer

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            log.debug("%s: %s", self.endpoint.path, trouble or "in order")


def _packed(family: socket.AddressFamily, address: str) -> bytes:
    try:
        return socket.inet_pton(family, address.partition("%")[0])
    except OSError as err:
        raise ValueError(f"{address} is not an address of {family.name}") from err


class PeerLink:
    """The heartbeats' way out and in, over all paths.

    Raises ValueError for addresses that are none, or of two families on one
    path, which the configuration should have refused.
    """

    def __init__(self, conversation: Conversation, endpoints: Sequence[Endpoint]) -> None:
        self._conversation = conversation
        self._channels = {endpoint.path: Channel(endpoint) for endpoint in endpoints}
        self._state: Mapping[str, Any] | None = None
        self._state_at = 0.0

    @property
    def trouble(self) -> dict[str, str]:
        """Return for each path why it cannot be used from here; "" when it can."""
        return {path: channel.trouble for path, channel in self._channels.items()}

    def run(self, now: float) -> list[dict[str, Any]]:
        """Return the states newly believed, oldest first, of at most MAX_TURN packets.

        A peer that waits for an answer to believe us gets the state sent last,
        unless that is older than the conversation lets a packet be.
        """
        for channel in self._channels.values():
            channel.tend(now)
        states = self._drain(now)
        if self._state is not None and self._answer_due(now):
            self._transmit(self._state, now)
        return states

    def send(self, state: Mapping[str, Any], now: float) -> None:
        """Send `state` over all paths.

        Raises ValueError or TypeError when it does not fit a packet or is not
        JSON: a bug of ours.
        """
        self._state, self._state_at = state, now
        self._transmit(state, now)

    def wait(self, poller: ovs.poller.Poller, now: float) -> None:
        """Wake the loop for a packet, a socket to be opened, or an answer due."""
        moments = []
        for channel in self._channels.values():
            fd = channel.fileno()
            if fd is None or channel.endpoint.interface is not None:
                moments.append(channel.check_at)
            if fd is not None:
                poller.fd_wait(fd, ovs.poller.POLLIN)
        reply_at = self._conversation.reply_at()
        if reply_at is not None and self._may_answer(reply_at):
            moments.append(reply_at)
        if moments:
            poller.timer_wait(max(0, int((min(moments) - now) * 1000) + 1))

    def discard_queued(self) -> int:
        """Drop what waits in the sockets, and return how many packets that was.

        For a loop that was away: what arrived meanwhile says nothing of now.
        """
        dropped = 0
        for channel in self._channels.values():
            for _ in range(_MAX_QUEUED):
                if channel.receive() is None:
                    break
                dropped += 1
        return dropped

    def reopen(self, now: float) -> None:
        """Open all sockets anew, because addresses or interfaces have changed."""
        for channel in self._channels.values():
            channel.close()
            channel.check_at = now
            channel.tend(now)

    def close(self) -> None:
        """Close all sockets."""
        for channel in self._channels.values():
            channel.close()

    def _drain(self, now: float) -> list[dict[str, Any]]:
        """Read the paths in turn, so that a flood on one does not silence the other."""
        states = []
        left, waiting = MAX_TURN, list(self._channels.values())
        while waiting and left:
            for channel in waiting[:left]:
                arrival = channel.receive()
                if arrival is None:
                    waiting.remove(channel)
                    continue
                left -= 1
                state = self._believe(channel.endpoint.path, *arrival, now)
                if state is not None:
                    states.append(state)
        return states

    def _believe(self, path: str, packet: bytes, address: str, from_peer: bool, now: float) -> dict[str, Any] | None:
        if not from_peer:
            self._conversation.receive_from_stranger(packet, path, now, address)
            return None
        return self._conversation.receive(packet, path, now, address)

    def _transmit(self, state: Mapping[str, Any], now: float) -> None:
        for path, channel in self._channels.items():
            channel.send(self._conversation.seal(path, state, now), now)

    def _answer_due(self, now: float) -> bool:
        return self._conversation.wants_reply(now) and self._may_answer(now)

    def _may_answer(self, when: float) -> bool:
        return self._state is not None and when - self._state_at < self._conversation.max_delay
