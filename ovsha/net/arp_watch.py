"""Hear, while this switch holds the VIP, whether somebody else claims it on the wire.

A packet(7) socket on the VIP's interface, with a filter in the kernel (socket filter of bpf,
see packet(7)) that passes nothing but ARP whose sender's address is the VIP, or neighbour
advertisements for it.  Nothing is ever sent.  Nothing here raises for what the network or the
interface does: the reason stands in `trouble`, and the socket is opened again each second.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from ovs.poller import POLLIN, Poller

from ovsha.net.packet_filter import EQUAL, LOAD_BYTE, LOAD_HALF, LOAD_WORD, RETURN, attach, instruction

_ETH_P_ARP, _ETH_P_IPV6 = 0x0806, 0x86DD
_ICMPV6, _NEIGHBOUR_ADVERTISEMENT = 58, 136
_TARGET_LINK_LAYER_ADDRESS = 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")  # RFC 826, for Ethernet and IPv4
_ARP_AT, _TARGET_AT, _OPTION_AT, _LONGEST = 14, 62, 78, 86

_Check = tuple[int, int, int]

_READS = 64  # frames in one turn
_PAUSE = 0.1  # seconds after a turn with frames, so that a flood does not hold the loop
_RETRY = 1.0
_LINGER = 1.0  # seconds until an idle socket is closed: that waits for every processor, and a move has no time
_RECEIVE_BUFFER = 16 * 1024


class DuplicateWatch:
    """An ear for other holders of `address` on `interface`; it is open only while we are a holder ourselves."""

    def __init__(self, address: str, interface: str) -> None:
        self.trouble = ""
        self._address = ip_address(address)
        self._interface = interface
        self._sock: socket.socket | None = None
        self._holding = False
        self._not_before = float("-inf")
        self._since = float("-inf")

    def run(self, now: float, holding: bool) -> list[str]:
        """Return the MACs, but our own, that have claimed the VIP since the last time, each once for each claim.

        `holding` says whether we have it now.  What was said before we had it does not count.
        """
        if holding != self._holding:
            self._holding, self._since, self._not_before = holding, now, now
            self._read()
        if not holding:
            if self._sock is not None and now - self._since >= _LINGER:
                self.close()
            return []
        if now < self._not_before:
            return []
        if self._sock is None and not self._open():
            self._not_before = now + _RETRY
            return []
        claims = self._read()
        if claims:
            self._not_before = now + _PAUSE
        return claims

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for the next claim."""
        if not self._holding:
            if self._sock is not None:
                poller.timer_wait(max(0, int((self._since + _LINGER - now) * 1000) + 1))
        elif self._sock is None or now < self._not_before:
            poller.timer_wait(max(0, int((self._not_before - now) * 1000) + 1))
        else:
            poller.fd_wait(self._sock.fileno(), POLLIN)

    def close(self) -> None:
        """Hear no more."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _open(self) -> bool:
        protocol = _ETH_P_ARP if isinstance(self._address, IPv4Address) else _ETH_P_IPV6
        try:
            # Protocol 0 receives nothing, so that no frame comes in before the filter is there.
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
                attach(sock, program(self._address))
                sock.bind((self._interface, protocol))
            except OSError:
                sock.close()
                raise
        except OSError as error:
            self.trouble = f"cannot listen for other holders of the VIP on {self._interface}: {error.strerror or error}"
            return False
        self._sock, self.trouble = sock, ""
        return True

    def _read(self) -> list[str]:
        claims: list[str] = []
        if self._sock is None:
            return claims
        try:
            own = self._sock.getsockname()[4]
            for _ in range(_READS):
                mac = claimant(self._sock.recv(_LONGEST), self._address)
                if mac is not None and mac != own:
                    claims.append(mac.hex(":"))
        except BlockingIOError:
            return claims
        except OSError as error:
            self.trouble = f"cannot hear other holders of the VIP on {self._interface}: {error.strerror or error}"
            self.close()
            self._not_before += _RETRY
        return claims


def claimant(frame: bytes, address: IPv4Address | IPv6Address) -> bytes | None:
    """Return the MAC that `frame` says `address` is at, None when it says nothing of it."""
    if isinstance(address, IPv4Address):
        if len(frame) < _ARP_AT + _ARP.size:
            return None
        _, protocol, hlen, plen, _, mac, sender, _, _ = _ARP.unpack_from(frame, _ARP_AT)
        said = (protocol, hlen, plen, sender) == (0x0800, 6, 4, address.packed)
        return mac if said and frame[12:14] == b"\x08\x06" else None
    kinds = frame[12:14], frame[20:21], frame[54:55]
    if kinds != (b"\x86\xdd", bytes([_ICMPV6]), bytes([_NEIGHBOUR_ADVERTISEMENT])):
        return None
    if frame[_TARGET_AT:_OPTION_AT] != address.packed:
        return None
    option = frame[_OPTION_AT:_LONGEST]
    told = len(option) == 8 and option[:2] == bytes([_TARGET_LINK_LAYER_ADDRESS, 1])
    return option[2:] if told else frame[6:12]


def program(address: IPv4Address | IPv6Address) -> bytes:
    """Return the filter that passes only what can be a claim to `address`: each check in turn, or nothing."""
    if isinstance(address, IPv4Address):
        checks: list[_Check] = [(LOAD_HALF, 12, _ETH_P_ARP), (LOAD_WORD, 28, int(address))]
    else:
        words = struct.unpack("!4I", address.packed)
        checks = [(LOAD_HALF, 12, _ETH_P_IPV6), (LOAD_BYTE, 20, _ICMPV6)]
        checks += [(LOAD_BYTE, 54, _NEIGHBOUR_ADVERTISEMENT)]
        checks += [(LOAD_WORD, _TARGET_AT + 4 * number, word) for number, word in enumerate(words)]
    code = b""
    for number, (load, offset, value) in enumerate(checks):
        left = 2 * (len(checks) - number) - 1  # instructions from the next one to the one that drops
        code += instruction(load, 0, 0, offset) + instruction(EQUAL, 0, left, value)
    return code + instruction(RETURN, 0, 0, _LONGEST) + instruction(RETURN, 0, 0, 0)
