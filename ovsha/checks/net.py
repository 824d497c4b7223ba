"""Ask the kernel for this switch's addresses, links and routes, by rtnetlink(7) and pyroute2."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from ovsha.drivers.netlink import interface_name
from ovsha.errors import DriverError


@dataclass(frozen=True, slots=True)
class Held:
    """An address of this switch, with its subnet, and the name of its interface."""

    interface: str
    address: IPv4Interface | IPv6Interface


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
                found.append(Held(interface_name(each["index"]), ip_interface(f"{address}/{each['prefixlen']}")))
        return found


def way(destination: str, source: str = "", vrf: str = "") -> Route:
    """Return the way to `destination`, in a VRF or in the default one.

    It is that of our address `source`, or has the one that the kernel chooses.  Raises DriverError with the kernel's
    word when there is none.
    """
    family = socket.AF_INET6 if ip_address(destination).version == 6 else socket.AF_INET
    wanted: dict[str, object] = {"dst": destination, "family": family}
    wanted |= ({"src": source} if source else {}) | ({"oif": socket.if_nametoindex(vrf)} if vrf else {})
    with _route(f"there is no way to {destination}") as route:
        (found, *_) = route.route("get", **wanted)
        gateway = found.get_attr("RTA_GATEWAY") or ""
        return Route(interface_name(found.get_attr("RTA_OIF")), found.get_attr("RTA_PREFSRC") or source, gateway)


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
