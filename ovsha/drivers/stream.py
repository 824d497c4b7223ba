"""Connect python-ovs' streams to link-local addresses: tcp:[fe80::9%peerlink.4094]:9999.

ovsdb-server takes such a target, but python-ovs hands the address to the kernel without its zone, and so it is refused
(EINVAL).  Everything else is left to python-ovs.
"""

from __future__ import annotations

import errno
import socket

from ovs.stream import Stream, TCPStream

__all__ = ["Stream", "ZonedStream"]


class ZonedStream(TCPStream):  # type: ignore[misc]
    """A stream over TCP that keeps the zone of its address."""

    @staticmethod
    def _open(suffix: str, dscp: int) -> tuple[int, socket.socket | None]:
        """Begin to connect; return an errno, 0 when it goes on, and the socket."""
        host, _, port = suffix.rpartition(":")
        if "%" not in host:
            opened: tuple[int, socket.socket | None] = TCPStream._open(suffix, dscp)
            return opened
        try:
            kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
            (_, _, _, _, place), *_ = socket.getaddrinfo(
                host.strip("[]"), int(port), socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            return errno.ENODEV, None  # it is a number, so what is not known is the interface
        sock = socket.socket(socket.AF_INET6, kind)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = sock.connect_ex(place)
        except OSError as refused:
            error = refused.errno or errno.EINVAL
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            return error, None
        return 0, sock


Stream.register_method("tcp", ZonedStream)
