"""Announce the VIP to the neighbours: gratuitous ARP, or unsolicited neighbour advertisements.

Frames go out by packet(7) or by a raw ICMPv6 socket.  Raises DriverError with the name of the interface.
"""

from __future__ import annotations

import fcntl
import math
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

from ovs.poller import Poller

from ovsha.errors import DriverError

ARP_REQUEST, ARP_REPLY = 1, 2
ND_NEIGHBOR_ADVERT = 136
ETH_P_ARP = 0x0806

_ARPHRD_ETHER = 1
_SIOCGIFHWADDR = 0x8927
_BROADCAST = b"\xff" * 6
_SMALLEST_FRAME = 60
_ALL_NODES = "ff02::1"
_OVERRIDE = 0x20000000
_TARGET_LINK_LAYER_ADDRESS = 2


def gratuitous_arp(address: IPv4Address, mac: bytes, operation: int) -> bytes:
    """Return one Ethernet frame that tells every neighbour that `address` is at `mac`.

    RFC 826; as a request it is the announcement of RFC 5227 section 3, as a reply it is for
    those neighbours that take new addresses from replies only (RFC 5944 section 4.6).
    """
    target = mac if operation == ARP_REPLY else bytes(6)
    head = _BROADCAST + mac + struct.pack("!HHHBBH", ETH_P_ARP, _ARPHRD_ETHER, 0x0800, 6, 4, operation)
    return (head + mac + address.packed + target + address.packed).ljust(_SMALLEST_FRAME, b"\0")


def unsolicited_advertisement(address: IPv6Address, mac: bytes) -> bytes:
    """Return an ICMPv6 neighbour advertisement, its checksum left to the kernel.

    RFC 4861 sections 4.4 and 7.2.6: not solicited, overriding, with the link-layer address.
    """
    head = struct.pack("!BBHI", ND_NEIGHBOR_ADVERT, 0, 0, _OVERRIDE)
    return head + address.packed + struct.pack("!BB", _TARGET_LINK_LAYER_ADDRESS, 1) + mac


class Announcer:
    """Send `count` announcements of the VIP, the first at once, the rest `interval` seconds apart.

    One announcement is two frames in IPv4, request and reply, and one packet in IPv6.  The
    interface's hardware address is asked for each time, since a bond may change it.
    """

    def __init__(self, address: str, interface: str, count: int, interval: float) -> None:
        self._address = ip_address(address)
        self._interface = interface
        self._count = count
        self._interval = interval
        self._left = 0
        self._due = 0.0
        self._packets: socket.socket | None = None

    @property
    def left(self) -> int:
        """Announcements still to come."""
        return self._left

    def start(self, now: float) -> None:
        """Begin anew and send the first announcement.

        Raises DriverError when it cannot be sent; the rest is tried all the same.
        """
        self._left = self._count
        self._due = now
        self.run(now)

    def once(self, now: float) -> None:
        """Send one announcement more, in IPv4 the one frame of RFC 5227 section 2.4.

        Raises DriverError as `run` does.
        """
        del now
        with self._errors():
            if isinstance(self._address, IPv4Address):
                self._send_arp(self._address, (ARP_REQUEST,))
            else:
                self._send_advertisement(self._address)

    def run(self, now: float) -> None:
        """Send the next announcement if it is due.

        Raises DriverError when the interface is gone, is down, or is no Ethernet.
        """
        if self._left == 0 or now < self._due:
            return
        self._left -= 1
        self._due = now + self._interval
        with self._errors():
            self._send()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake up for the next announcement."""
        if self._left:
            poller.timer_wait(max(0, math.ceil((self._due - now) * 1000)))

    def stop(self) -> None:
        """Send no more."""
        self._left = 0

    def close(self) -> None:
        """Send no more, for good; takes the kernel some 8 ms, so this belongs to the agent's end."""
        self.stop()
        if self._packets is not None:
            self._packets.close()
            self._packets = None

    def _send(self) -> None:
        if isinstance(self._address, IPv4Address):
            self._send_arp(self._address, (ARP_REQUEST, ARP_REPLY))
        else:
            self._send_advertisement(self._address)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            what = f"cannot announce {self._address} on {self._interface}"
            raise DriverError(f"{what}: {err.strerror or err}") from err

    def _send_arp(self, address: IPv4Address, operations: tuple[int, ...]) -> None:
        # Kept, because to close one waits for every processor (8 ms); not bound, so that the
        # interface may go and come back; protocol 0, so that it receives nothing.
        if self._packets is None:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            self._packets = socket.socket(socket.AF_PACKET, kind, 0)
        mac = _hardware_address(self._packets, self._interface)
        for operation in operations:
            frame = gratuitous_arp(address, mac, operation)
            self._packets.sendto(frame, (self._interface, ETH_P_ARP))

    def _send_advertisement(self, address: IPv6Address) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6) as sock:
            mac = _hardware_address(sock, self._interface)
            index = socket.if_nametoindex(self._interface)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            sock.bind((str(address), 0, 0, index))
            sock.sendto(unsolicited_advertisement(address, mac), (_ALL_NODES, 0, 0, index))


def _hardware_address(sock: socket.socket, interface: str) -> bytes:
    """Ask for the MAC address (netdevice(7)); raises OSError when it has none."""
    request = struct.pack("16s24x", interface.encode())
    answer = fcntl.ioctl(sock.fileno(), _SIOCGIFHWADDR, request)
    kind, mac = struct.unpack_from("=16xH6s", answer)
    if kind != _ARPHRD_ETHER:
        raise OSError("not an Ethernet interface")
    return bytes(mac)
