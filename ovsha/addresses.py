"""Say what an address of the configuration is without its zone, which what the kernel and the network tell has not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def bare(address: object) -> IPv4Address | IPv6Address:
    """Return the address without the zone of a link-local one: fe80::9 of fe80::9%peerlink.4094."""
    return ip_address(str(address).partition("%")[0])
