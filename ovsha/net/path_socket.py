"""The socket of one path to the peer, bound to this side's address and interface of the path.

It is opened when its address is there, and again when that has gone and come back.  Nothing here raises for what the
network does: the reason stands in `trouble`.
"""

from __future__ import annotations

import errno
import logging
import socket
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

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
    """The socket of one path, opened when its address is there; `trouble` says why it is not, or cannot send.

    Of a packet the first `most` bytes are read.
    """

    def __init__(self, endpoint: Endpoint, most: int = 1 << 16) -> None:
        self.endpoint = endpoint
        self._most = most
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
            packet, source = self._sock.recvfrom(self._most)
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
