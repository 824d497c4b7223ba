"""Add, drop and watch the VIP, on an interface or on a dummy link of our own, by rtnetlink(7).

pyroute2 asks and orders; a plain socket in the multicast groups of links and addresses
only wakes us up, and what it says is never taken for the state, which is read anew.
Raises DriverError with the kernel's word and the interface's name.

What was made here says so in its alias (ip link show), by which it is known after the agent was started anew; an
interface that somebody else made is used as it is, and stays.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ovs.poller import POLLIN, Poller
from pyroute2 import IPRoute, NetlinkError

from ovsha.errors import DriverError
from ovsha.net import netlink

RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD, IFA_F_OPTIMISTIC, IFA_F_DADFAILED, IFA_F_TENTATIVE = 0x02, 0x04, 0x08, 0x40
IFF_UP = 0x1

_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
_SCOPE_HOST = 254
_FOREVER = 0xFFFFFFFF
_READS = 100  # a flood of messages must not hold the loop
_RETRY = 200  # milliseconds until netlink is asked again after it failed


@dataclass(frozen=True, slots=True)
class Link:
    """An interface; one that does not exist is down and has no index and no MAC."""

    index: int | None = None
    up: bool = False
    carrier: bool = False
    mac: str = ""
    made_here: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What netlink said when it was last asked.

    `holders`: index and prefix length of every interface that has the address.  `unusable`: those of them where nobody
    can be bound to it, as the kernel has not yet seen that no other host has it, or has seen one (RFC 4862).
    """

    link: Link = Link()
    peer: Link = Link()
    holders: tuple[tuple[int, int], ...] = ()
    unusable: frozenset[tuple[int, int]] = frozenset()


class Vip:
    """The address on its interface, as it is and not as it was ordered.

    `peer_interface` is the peer link where that is another interface than the VIP's.  `routed`: the VIP's interface has
    no neighbours, and others have routes to it.  `kind`: what is made of that name when there is no such interface, and
    removed with the VIP; "" for nothing.
    The state is read when this is made, and again in `run` after the kernel told of a
    change of one of these interfaces or of this address.
    """

    def __init__(
        self, address: str, interface: str, peer_interface: str | None = None, routed: bool = False, kind: str = ""
    ) -> None:
        self._address = ip_address(address)
        self._routed = routed
        self._kind = kind
        self._interface = interface
        self._peer = peer_interface or interface
        self._prefix = self._address.max_prefixlen
        self._family = socket.AF_INET if self._address.version == 4 else socket.AF_INET6
        self._stale = True
        with _errors(f"cannot open netlink for {interface}"):
            self._events = _listen()
            try:
                self._route = IPRoute()
            except OSError:
                self._events.close()
                raise
        self.seen = Seen()
        try:
            self._read()
        except DriverError:
            self.close()
            raise

    @property
    def present(self) -> bool:
        """True while the VIP is on its interface, and can be used there."""
        if self._routed and not self.seen.link.up:
            return False  # nobody has a route to it
        usable = set(self.seen.holders) - self.seen.unusable
        return any(index == self.seen.link.index for index, _ in usable)

    @property
    def astray(self) -> bool:
        """True while the VIP is where it does not belong, or is of no use."""
        return any(each in self.seen.unusable or each[0] != self.seen.link.index for each in self.seen.holders)

    @property
    def elsewhere(self) -> str | None:
        """Name the other interfaces that have the address; None when there are none."""
        others = {index for index, _ in self.seen.holders} - {self.seen.link.index}
        return ", ".join(sorted(netlink.interface_name(index) for index in others if index is not None)) or None

    @property
    def mac(self) -> str:
        """The MAC of the VIP's interface, "" when it has none."""
        return self.seen.link.mac

    @property
    def interface_up(self) -> bool:
        """True while the VIP's interface exists and is administratively up."""
        return self.seen.link.up

    @property
    def carrier(self) -> bool:
        """True while the VIP's interface is up and has a carrier."""
        return self.seen.link.carrier

    @property
    def peer_carrier(self) -> bool:
        """True while the peer link is up and has a carrier."""
        return self.seen.peer.carrier

    def run(self, now: float) -> None:
        """Read the state anew if the kernel told of a change.

        Raises DriverError when netlink does not answer; the state is then read at the next
        turn, and what is here until then is old.
        """
        del now
        self._stale = self._drain() or self._stale
        if self._stale:
            self._read()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake up for the next change."""
        del now
        poller.fd_wait(self._events.fileno(), POLLIN)
        if self._stale:
            poller.timer_wait(_RETRY)

    def add(self, now: float) -> None:
        """Put the VIP on its interface, which is made if need be; nothing is wrong when it is there already.

        Raises DriverError when the interface does not exist or the kernel refuses.  The
        state is read anew at the next turn: a move has no time for it.
        """
        del now
        with _errors(f"cannot add {self._address} to {self._interface}"):
            link = self.seen.link if self.seen.link.index is not None else self._link(self._interface)
            self._stale = True
            if link.index is None and self._kind:
                made = make(self._route, self._interface, self._kind)
                link = replace(link, index=made, up=True, made_here=True)
            if link.index is None:
                raise OSError(errno.ENODEV, "No such device")
            if self._routed and not link.up:
                self._route.link("set", index=link.index, state="up")
            for index, prefix in self.seen.unusable:  # to add it again would not make it usable
                if index == link.index:
                    self._order("del", index, prefix, ignored={errno.EADDRNOTAVAIL, errno.ENODEV})
            self._order("add", link.index, self._prefix, ignored={errno.EEXIST})
        holders = {*self.seen.holders, (link.index, self._prefix)}
        self.seen = replace(self.seen, link=link, holders=tuple(holders), unusable=frozenset())

    def drop(self, now: float) -> None:
        """Take the address from every interface that has it, and remove that which was made for it.

        Nothing is wrong when none has it.
        Raises DriverError when the kernel refuses, after all interfaces were tried.
        """
        del now
        if self._stale:
            self._read()
        refused: list[DriverError] = []
        left = []
        self._stale = True
        for index, prefix in self.seen.holders:
            try:
                with _errors(f"cannot drop {self._address} from {netlink.interface_name(index)}"):
                    self._order("del", index, prefix, ignored={errno.EADDRNOTAVAIL, errno.ENODEV})
            except DriverError as err:
                refused.append(err)
                left.append((index, prefix))
        if self.seen.link.made_here and self.seen.link.index is not None:
            try:
                with _errors(f"cannot remove {self._interface}"):
                    remove(self._route, self.seen.link.index)
            except DriverError as err:
                refused.append(err)
        self.seen = replace(self.seen, holders=tuple(left))
        if refused:
            raise DriverError("; ".join(map(str, refused)))

    def close(self) -> None:
        """Close the sockets; the address stays where it is."""
        self._events.close()
        self._route.close()

    def _order(self, verb: str, index: int, prefix: int, ignored: set[int]) -> None:
        extra: dict[str, object] = {}
        if self._family == socket.AF_INET and self._routed:
            extra["scope"] = _SCOPE_HOST  # so that it is never the source of our own connections, as below
        if verb == "add" and self._family == socket.AF_INET6:
            # No duplicate address detection: a VIP that moves must work at once.  Deprecated,
            # so that it is never chosen as the source of our own connections (RFC 6724,
            # rule 3), which would die with it.
            extra["flags"] = IFA_F_NODAD
            # pyroute2 0.7 reads the short names, 0.9 passes on the long ones.
            extra["IFA_CACHEINFO"] = {"preferred": 0, "valid": _FOREVER, "ifa_preferred": 0, "ifa_valid": _FOREVER}
        try:
            self._route.addr(
                verb, index=index, address=str(self._address), prefixlen=prefix, family=self._family, **extra
            )
        except NetlinkError as err:
            if err.code not in ignored:
                raise

    def _drain(self) -> bool:
        """Empty the socket; true when something that matters here may have changed."""
        changed = False
        for _ in range(_READS):
            try:
                data = self._events.recv(1 << 16)
            except BlockingIOError:
                return changed
            except OSError as err:
                if err.errno != errno.ENOBUFS:
                    raise DriverError(f"netlink: {err.strerror}") from err
                changed = True  # messages were lost, and nobody knows which
            else:
                changed = changed or any(self._matters(*message) for message in netlink.messages(data))
        return True

    def _matters(self, kind: int, body: bytes) -> bool:
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._address.packed in body
        if kind not in (RTM_NEWLINK, RTM_DELLINK) or len(body) < _IFINFOMSG.size:
            return False
        index = _IFINFOMSG.unpack_from(body)[2]
        if index in (self.seen.link.index, self.seen.peer.index):
            return True
        return any(name.encode() + b"\0" in body for name in (self._interface, self._peer))

    def _read(self) -> None:
        self._stale = True
        with _errors(f"cannot read the state of {self._interface}"):
            link = self._link(self._interface)
            peer = link if self._peer == self._interface else self._link(self._peer)
            holders = dict(self._holders())
            unusable = frozenset(holder for holder, usable in holders.items() if not usable)
            self.seen = Seen(link, peer, tuple(holders), unusable)
        self._stale = False

    def _link(self, name: str) -> Link:
        try:
            answers = list(self._route.link("get", ifname=name))
        except NetlinkError as err:
            if err.code == errno.ENODEV:
                return Link()
            raise
        up = bool(answers[0]["flags"] & IFF_UP)
        carrier, mac = answers[0].get_attr("IFLA_CARRIER"), answers[0].get_attr("IFLA_ADDRESS")
        made_here = answers[0].get_attr("IFLA_IFALIAS") == MARK
        return Link(answers[0]["index"], up, up and bool(carrier), mac or "", made_here)

    def _holders(self) -> Iterator[tuple[tuple[int, int], bool]]:
        """Yield index and prefix length of each interface that has the address, and whether it can be used there."""
        body = _IFADDRMSG.pack(self._family, 0, 0, 0, 0)
        with netlink.open_socket(socket.NETLINK_ROUTE) as sock:
            for kind, answer in netlink.dump(sock, RTM_GETADDR, body, needle=self._address.packed):
                if kind == RTM_NEWADDR and _local(answer) == self._address.packed:
                    family, prefix, flags, _, index = _IFADDRMSG.unpack_from(answer)
                    waits = flags & IFA_F_TENTATIVE and not flags & IFA_F_OPTIMISTIC
                    if family == self._family:
                        yield (index, prefix), not (waits or flags & IFA_F_DADFAILED)


def _listen() -> socket.socket:
    groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
    events = netlink.open_socket(socket.NETLINK_ROUTE, groups)
    events.setblocking(False)
    return events


def _local(body: bytes) -> bytes | None:
    """Return the interface's own address; IFA_ADDRESS is the far end's on a point-to-point link."""
    found = dict(netlink.attributes(body, _IFADDRMSG.size))
    return found.get(IFA_LOCAL, found.get(IFA_ADDRESS))


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn the kernel's refusal into a DriverError that begins with `what`."""
    try:
        yield
    except NetlinkError as err:
        raise DriverError(f"{what}: {err.args[1]}") from err
    except OSError as err:
        raise DriverError(f"{what}: {err.strerror or err}") from err


MARK = "made by ovsha for the VIP"


def make(route: IPRoute, name: str, kind: str) -> int:
    """Make the interface, up and marked, and return its index; one that came meanwhile is taken as it is.

    Raises NetlinkError and OSError, as the others here do.
    """
    try:
        route.link("add", ifname=name, kind=kind, state="up")
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            return index(route, name)
        if error.code == errno.EOPNOTSUPP:
            what = f"this kernel has no {kind} interfaces: modprobe {kind}, or write vip.mode: loopback"
            raise OSError(errno.EOPNOTSUPP, what) from None
        raise
    made = index(route, name)
    route.link("set", index=made, ifalias=MARK, IFLA_IFALIAS=MARK)
    return made


def index(route: IPRoute, name: str) -> int:
    """Return the index of an interface that exists."""
    return int(next(iter(route.link("get", ifname=name)))["index"])


def remove(route: IPRoute, made: int) -> None:
    """Remove the interface; nothing is wrong when it is gone."""
    try:
        route.link("del", index=made)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
