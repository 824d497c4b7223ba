"""Ask the kernel for this switch's addresses, links and routes, by rtnetlink(7) and pyroute2."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from pyroute2 import IPRoute, NetlinkError

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
                found.append(Held(_name(each["index"]), ip_interface(f"{address}/{each['prefixlen']}")))
        return found


def way(destination: str, source: str = "") -> Route:
    """Return the way to `destination`, from our address `source` or from the one the kernel chooses.

    Raises DriverError with the kernel's word when there is none.
    """
    family = socket.AF_INET6 if ip_address(destination).version == 6 else socket.AF_INET
    wanted = {"dst": destination, "family": family} | ({"src": source} if source else {})
    with _route(f"no way to {destination}") as route:
        (found, *_) = route.route("get", **wanted)
        gateway = found.get_attr("RTA_GATEWAY") or ""
        return Route(_name(found.get_attr("RTA_OIF")), found.get_attr("RTA_PREFSRC") or source, gateway)


def vrf_of(interface: str) -> str:
    """Return the VRF that an interface belongs to, "" for none.  Raises DriverError when there is no such interface."""
    with _route(f"{interface}") as route:
        (link, *_) = route.link("get", ifname=interface)
        above = link.get_attr("IFLA_MASTER")
        if above is None:
            return ""
        (master, *_) = route.link("get", index=above)
        info = master.get_attr("IFLA_LINKINFO")
        return str(master.get_attr("IFLA_IFNAME")) if info and info.get_attr("IFLA_INFO_KIND") == "vrf" else ""


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"


@contextmanager
def _route(what: str = "netlink") -> Iterator[IPRoute]:
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise DriverError(f"{what}: {os.strerror(error.code)}") from None
    except OSError as error:
        raise DriverError(f"{what}: {error.strerror or error}") from None
