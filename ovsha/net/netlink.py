"""Speak netlink(7) over a plain socket, where pyroute2 is too slow or does not go.

pyroute2 takes 20 to 110 microseconds for each address of a dump; a switch has hundreds.
Here a dump is bytes, and who looks for one address decodes that one.
What asks the kernel raises OSError with its error number.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 16  # a dump comes in pieces of at most 32 KiB
_LIMIT = 1.0  # the kernel answers at once or is broken; the loop must outlive the latter


def open_socket(protocol: int, groups: int = 0) -> socket.socket:
    """Return a socket of that netlink family (NETLINK_ROUTE, ...), in those multicast groups."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.settimeout(_LIMIT)
        sock.bind((0, groups))
    except OSError:
        sock.close()
        raise
    return sock


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the body of each whole message in one datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(body: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the value of each attribute behind the first `start` bytes."""
    at = start
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if not _ATTRIBUTE.size <= length <= len(body) - at:
            return
        yield kind, body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def dump(sock: socket.socket, kind: int, body: bytes, needle: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Ask for everything of a kind, and yield the messages of all pieces that hold `needle`."""
    _send(sock, kind, NLM_F_REQUEST | NLM_F_DUMP, body)
    while True:
        data = sock.recv(_BUFFER)
        wanted = needle in data
        for answer, rest in messages(data):
            if answer in (NLMSG_ERROR, NLMSG_DONE):
                _raise_error(rest)
                return
            if wanted:
                yield answer, rest


def order(sock: socket.socket, kind: int, body: bytes) -> None:
    """Have the kernel do something, and return when it is done."""
    _send(sock, kind, NLM_F_REQUEST | NLM_F_ACK, body)
    for answer, rest in messages(sock.recv(_BUFFER)):
        if answer == NLMSG_ERROR:
            _raise_error(rest)


def ask(sock: socket.socket, kind: int, body: bytes) -> bytes:
    """Ask for one thing, and return the body of the answer."""
    _send(sock, kind, NLM_F_REQUEST, body)
    for answer, rest in messages(sock.recv(_BUFFER)):
        if answer == NLMSG_ERROR:
            _raise_error(rest)
        return rest
    return b""


def interface_name(index: int) -> str:
    """Return what the interface of that index is called, for people; one that is gone by now keeps its number."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"


def _send(sock: socket.socket, kind: int, flags: int, body: bytes) -> None:
    sock.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)


def _raise_error(body: bytes) -> None:
    (code,) = struct.unpack_from("=i", body)
    if code < 0:
        raise OSError(-code, os.strerror(-code))


_RTM_GETROUTE = 26
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, lengths of destination and source, and what is not asked for
_RTA_DST, _RTA_SRC, _RTA_OIF = 1, 2, 4

_SIOCGIFFLAGS, _SIOCETHTOOL = 0x8913, 0x8946
_ETHTOOL_GLINK = 0x0A
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_NAME = 16


def interface(family: int, target: bytes, source: bytes, scope: int) -> int:
    """Return the index of the interface by which a packet from `source` to `target` leaves.

    `scope` is the index of the interface or VRF that the socket is bound to, 0 for none.  Raises OSError when there is
    no way.
    """
    body = _RTMSG.pack(family, 8 * len(target), 8 * len(source), 0, 0, 0, 0, 0, 0)
    body += _attribute(_RTA_DST, target) + _attribute(_RTA_SRC, source)
    if scope:
        body += _attribute(_RTA_OIF, struct.pack("=I", scope))
    with open_socket(socket.NETLINK_ROUTE) as sock:
        answer = ask(sock, _RTM_GETROUTE, body)
    found = dict(attributes(answer, _RTMSG.size)).get(_RTA_OIF)
    if found is None or len(found) != 4:
        raise OSError(errno.ENETUNREACH, "no interface leads there")
    return int(struct.unpack("=I", found)[0])


def carrier(sock: socket.socket, index: int) -> bool:
    """Tell whether the interface of that index is there, up, and has a carrier; any socket will do to ask by."""
    try:
        name = socket.if_indextoname(index).encode()
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16s24x", name))
        (flags,) = struct.unpack_from("=H", request, _NAME)
        return bool(flags & _IFF_UP) and _has_link(sock, name, flags)
    except OSError:
        return False


def _has_link(sock: socket.socket, name: bytes, flags: int) -> bool:
    """Ask the driver, whose word comes before the flag, which the kernel sets up to a second later."""
    told = array.array("I", [_ETHTOOL_GLINK, 0])
    try:
        fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP16x", name, told.buffer_info()[0]))
    except OSError:
        return bool(flags & _IFF_RUNNING)
    return bool(told[1])


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
