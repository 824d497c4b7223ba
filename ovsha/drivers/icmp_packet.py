"""Make and read the packets of an ICMP echo (RFC 792, RFC 4443), and the filter that passes only replies to us.

What is read of a raw socket begins with the header of IP for IPv4, and without it for IPv6 (raw(7), RFC 3542).
"""

from __future__ import annotations

import socket
import struct

from ovsha.drivers import bpf

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
    bpf.attach(sock, program(family, identifier))


def program(family: int, identifier: int) -> bytes:
    """Return the filter, to be attached before the socket is bound."""
    old = family == socket.AF_INET
    load_byte, load_half = (
        (bpf.LOAD_BYTE_BEHIND, bpf.LOAD_HALF_BEHIND) if old else (bpf.LOAD_BYTE, bpf.LOAD_HALF)
    )  # fmt: skip
    head = bpf.instruction(bpf.HEADER_LENGTH, 0, 0, 0) if old else b""
    return (
        head
        + bpf.instruction(load_byte, 0, 0, 0)
        + bpf.instruction(bpf.EQUAL, 0, 3, _REPLIES[socket.AddressFamily(family)])
        + bpf.instruction(load_half, 0, 0, 4)
        + bpf.instruction(bpf.EQUAL, 0, 1, identifier)
        + bpf.instruction(bpf.RETURN, 0, 0, _LONGEST)
        + bpf.instruction(bpf.RETURN, 0, 0, 0)
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
