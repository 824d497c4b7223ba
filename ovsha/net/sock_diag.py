"""List and destroy TCP connections of this host, by sock_diag(7).

A connection to an address that has just become our own can never hear of the death of its
far end: the old owner's FIN and RST now come from a martian.  Destroying it tells its
program at once.  Raises DriverError with the kernel's word.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from ovsha.errors import DriverError
from ovsha.net import netlink

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
SOCK_DESTROY = 21

Address = IPv4Address | IPv6Address

# The states of net/tcp_states.h that have a far end: not TIME_WAIT, CLOSE and LISTEN.
_ESTABLISHED = 1 << 1
_CONNECTED = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11, 12))
_REQUEST = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, id
_MESSAGE = struct.Struct("=BBBB48s16xI")  # inet_diag_msg: family, state, timer, retransmits, id, four numbers, inode
_ID = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses, before interface and cookie


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection; `sockid`, by which the kernel knows it; how often in a row something was sent again.

    `inode`: that of its socket, by which a process has it.
    """

    family: int
    sockid: bytes
    retransmits: int
    local: Address
    local_port: int
    remote: Address
    remote_port: int
    inode: int = 0


def destroy_tcp(
    *, remote: str | None = None, local: str | None = None, port: int | None = None, abroad: bool = False
) -> int:
    """Destroy the TCP connections with that far end and that near end, and return how many.

    With `abroad`, only those whose two ends are not the same address: they began when it was another host's.
    `port` is the remote address' one, or the local address' when only that is given, or
    either when no address is.  Their programs read ECONNABORTED, the far ends are sent a RST;
    listening sockets stay.  Raises DriverError when the kernel refuses (it needs
    CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY), and ValueError when nothing is given,
    which would be every connection of the host.
    """
    if remote is None and local is None and port is None:
        raise ValueError("destroy_tcp would destroy every connection")
    far = None if remote is None else ip_address(remote)
    near = None if local is None else ip_address(local)
    try:
        with netlink.open_socket(NETLINK_SOCK_DIAG) as sock:
            doomed = [
                each
                for remote_port, local_port in _sides(far, near, port)
                for each in _connections(sock, _CONNECTED, remote_port, local_port, _needle(far or near))
                if far in (None, each.remote) and near in (None, each.local)
                if not (abroad and each.local == each.remote)
            ]
            return sum(_destroy(sock, each) for each in doomed)
    except OSError as err:
        raise DriverError(f"cannot destroy connections: {err.strerror or err}") from err


def established(
    *, remote_port: int = 0, local_port: int = 0, answering: bool = False, abroad: bool = False
) -> list[tuple[str, str]]:
    """Return near and far end, as ``address:port``, of all established connections with these ports.

    A port of 0 stands for any.  With `answering`, only those whose far end leaves nothing unacknowledged that was sent
    twice; with `abroad`, only those whose two ends are not the same address.  Raises DriverError when the kernel
    refuses.
    """
    try:
        with netlink.open_socket(NETLINK_SOCK_DIAG) as sock:
            return [
                (_ended(each.local, each.local_port), _ended(each.remote, each.remote_port))
                for each in _connections(sock, _ESTABLISHED, remote_port, local_port)
                if not (answering and each.retransmits)
                if not (abroad and each.local == each.remote)
            ]
    except OSError as err:
        raise DriverError(f"cannot list connections: {err.strerror or err}") from err


def between(remote_port: int, local_port: int, beginning: bool = False) -> list[Connection]:
    """Return the established connections with these ports, 0 for any; with `beginning` also those that begin or end.

    Raises DriverError when the kernel refuses.
    """
    try:
        with netlink.open_socket(NETLINK_SOCK_DIAG) as sock:
            return list(_connections(sock, _CONNECTED if beginning else _ESTABLISHED, remote_port, local_port))
    except OSError as err:
        raise DriverError(f"cannot list connections: {err.strerror or err}") from err


def destroy(doomed: Iterable[Connection]) -> int:
    """Destroy these connections and return how many; raises DriverError when the kernel refuses."""
    try:
        with netlink.open_socket(NETLINK_SOCK_DIAG) as sock:
            return sum(_destroy(sock, each) for each in doomed)
    except OSError as err:
        raise DriverError(f"cannot destroy connections: {err.strerror or err}") from err


def inodes(pid: int) -> frozenset[int]:
    """Return the inodes of the sockets that a process has.  Raises OSError when we may not look, or it is gone."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return frozenset(found)


def _sides(far: Address | None, near: Address | None, port: int | None) -> list[tuple[int, int]]:
    """Return the remote and the local port to ask the kernel for, which takes 0 for any."""
    if port is None:
        return [(0, 0)]
    if far is None and near is None:
        return [(port, 0), (0, port)]
    return [(port, 0) if far is not None else (0, port)]


def _connections(
    sock: socket.socket, states: int, remote_port: int, local_port: int, needle: bytes = b""
) -> Iterator[Connection]:
    """Yield the connections in those states whose message holds `needle`; few are worth decoding."""
    sockid = _ID.pack(local_port, remote_port, b"", b"").ljust(48, b"\0")
    for family in (socket.AF_INET, socket.AF_INET6):
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states, sockid)
        for kind, body in netlink.dump(sock, SOCK_DIAG_BY_FAMILY, request, needle):
            if kind == SOCK_DIAG_BY_FAMILY and needle in body:
                yield _connection(body)


def _connection(body: bytes) -> Connection:
    family, _, _, retransmits, sockid, inode = _MESSAGE.unpack_from(body)
    local_port, remote_port, local, remote = _ID.unpack_from(sockid)
    near, far = _address(family, local), _address(family, remote)
    return Connection(family, sockid, retransmits, near, local_port, far, remote_port, inode)


def _address(family: int, raw: bytes) -> Address:
    """Return the address; that of an IPv6 socket used for IPv4 is the IPv4 one."""
    if family == socket.AF_INET:
        return IPv4Address(raw[:4])
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def _needle(address: Address | None) -> bytes:
    """Return bytes that stand in every message about `address`, be it an IPv4 one in IPv6."""
    return b"" if address is None else address.packed


def _destroy(sock: socket.socket, each: Connection) -> bool:
    """Destroy one; false when it has ended by itself meanwhile."""
    request = _REQUEST.pack(each.family, socket.IPPROTO_TCP, 0, _CONNECTED, each.sockid)
    try:
        netlink.order(sock, SOCK_DESTROY, request)
    except OSError as err:
        if err.errno == errno.ENOENT:
            return False
        raise
    return True


def _ended(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
