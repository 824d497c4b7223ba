"""Addresses, routes, VRFs and listening sockets as the kernel tells them, for commands."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from ovsha.errors import DriverError
from ovsha.net import sock_diag
from ovsha.net.netlink import interface_name
from ovsha.net.vip import IFA_F_DADFAILED, IFA_F_OPTIMISTIC, IFA_F_TENTATIVE

_RTM_F_FIB_MATCH = 0x2000


@dataclass(frozen=True, slots=True)
class Held:
    """An address of this switch, with its subnet, and the name of its interface.

    `unusable`: nobody can be bound to it, as another host seems to have it, or that is not known yet (RFC 4862).
    """

    interface: str
    address: IPv4Interface | IPv6Interface
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The way the kernel takes to an address: the interface, our source address, the gateway ("" for none)."""

    interface: str
    source: str
    gateway: str


def held() -> list[Held]:
    """Return all addresses of this switch.  Raises DriverError."""
    with _route() as route:
        found = []
        for each in route.get_addr():
            address = each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS")
            if address is not None:
                name = interface_name(each["index"])
                waits = each["flags"] & IFA_F_TENTATIVE and not each["flags"] & IFA_F_OPTIMISTIC
                unusable = bool(waits or each["flags"] & IFA_F_DADFAILED)
                found.append(Held(name, ip_interface(f"{address}/{each['prefixlen']}"), unusable))
        return found


def way(destination: str, source: str = "", vrf: str = "") -> Route:
    """Return the way to `destination`, in a VRF or in the default one.

    It is that of our address `source`, or has the one that the kernel chooses.  Raises DriverError with the kernel's
    word when there is none.
    """
    family = socket.AF_INET6 if ip_address(destination).version == 6 else socket.AF_INET
    wanted: dict[str, object] = {"dst": destination, "family": family}
    with _route(f"there is no way to {destination}{f' in VRF {vrf}' if vrf else ''}") as route:
        wanted |= ({"src": source} if source else {}) | ({"oif": socket.if_nametoindex(vrf)} if vrf else {})
        (found, *_) = route.route("get", **wanted)
        gateway = found.get_attr("RTA_GATEWAY") or ""
        return Route(interface_name(found.get_attr("RTA_OIF")), found.get_attr("RTA_PREFSRC") or source, gateway)


def subnets(addresses: list[Held], interface: str, beside: object) -> list[IPv4Network | IPv6Network]:
    """Return the subnets of an interface, without its link-local one of IPv6, by its addresses but that `beside`."""
    found = {each.address.network for each in addresses if each.interface == interface and each.address.ip != beside}
    return sorted((each for each in found if each.version == 4 or not each.is_link_local), key=str)


def announced(destination: str) -> bool:
    """Return whether there is a route to this very address, and not only one to a network that it is in.

    Raises DriverError.
    """
    address = ip_address(destination)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with _route() as route:
            (found, *_) = route.route("get", dst=destination, family=family, flags=_RTM_F_FIB_MATCH)
    except DriverError:
        return False  # there is no way at all
    return int(found["dst_len"]) == address.max_prefixlen


def vrfs() -> list[str]:
    """Return the VRFs of this switch.  Raises DriverError."""
    with _route() as route:
        return sorted(str(link.get_attr("IFLA_IFNAME")) for link in route.get_links() if _is_vrf(link))


def vrf_of(interface: str) -> str:
    """Return the VRF that an interface belongs to, "" for none.  Raises DriverError when there is no such interface."""
    with _route(interface) as route:
        (link, *_) = route.link("get", ifname=interface)
        above = link.get_attr("IFLA_MASTER")
        if above is None:
            return ""
        (master, *_) = route.link("get", index=above)
        return str(master.get_attr("IFLA_IFNAME")) if _is_vrf(master) else ""


def neighbours(address: str) -> set[str]:
    """Return the MACs by which this switch knows the neighbour at `address`.  Raises DriverError."""
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    with _route() as route:
        found = [each for each in route.get_neighbours(family) if each.get_attr("NDA_DST") == address]
        return {str(each.get_attr("NDA_LLADDR")) for each in found if each.get_attr("NDA_LLADDR")}


def _is_vrf(link: Any) -> bool:
    info = link.get_attr("IFLA_LINKINFO")
    return bool(info) and info.get_attr("IFLA_INFO_KIND") == "vrf"


@contextmanager
def _route(what: str = "netlink") -> Iterator[IPRoute]:
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise DriverError(f"{what}: {os.strerror(error.code)}") from None
    except OSError as error:
        raise DriverError(f"{what}: {error.strerror or error}") from None


ESTABLISHED = 1
"""The state of net/tcp_states.h."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection that is established."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int


def of(pid: int) -> list[Connection]:
    """Return the established TCP connections of a process.

    Raises DriverError when we may not look at it (that takes root), or it is gone.
    """
    try:
        inodes = sock_diag.inodes(pid)
        tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
        return [each for path in tables if path.exists() for each in _read(path.read_text(), inodes)]
    except OSError as error:
        hint = "; run this as root" if isinstance(error, PermissionError) else ""
        raise DriverError(f"the sockets of process {pid} cannot be read: {error.strerror}{hint}") from None


def _read(table: str, inodes: frozenset[int]) -> Iterator[Connection]:
    for line in table.splitlines()[1:]:
        _, local, remote, state, _, _, _, _, _, inode, *_ = line.split()
        if int(state, 16) == ESTABLISHED and int(inode) in inodes:
            yield Connection(*_end(local), *_end(remote))


def _end(text: str) -> tuple[Address, int]:
    """Read ``0100007F:1F90``: the words of the address are in the order of this machine."""
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    raw = b"".join(int.from_bytes(raw[at : at + 4]).to_bytes(4, "little") for at in range(0, len(raw), 4))
    if len(raw) == 4:
        return IPv4Address(raw), int(port, 16)
    wide = IPv6Address(raw)
    return wide.ipv4_mapped or wide, int(port, 16)
