"""Ask on a link whether somebody has an address, without claiming it (RFC 5227 section 2.1; RFC 4862 section 5.4).

An ARP probe has no sender's address, so that nobody learns anything from it; the probe of
IPv6 is a neighbour solicitation from the unspecified address.  Nothing leaves the link, and
the address is put on no interface.  Needs CAP_NET_RAW.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address

from ovsha.drivers.duplicate import claimant
from ovsha.errors import DriverError

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
