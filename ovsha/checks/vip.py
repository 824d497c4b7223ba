"""Check the VIP: on exactly the serving side, on its interface, in the peer link's subnet, and answered."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from ovsha.addresses import bare
from ovsha.checks import net
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, unknown, warning
from ovsha.errors import DriverError

_CONNECT_LIMIT = 2.0
_START = "start the agent, which puts it there: systemctl start ovsha"


def check(look: Look) -> Outcome:
    """Return where the VIP is, and whether it should be there."""
    vip = look.config.vip
    if vip.address is None:
        return ok("this switch stands alone without a VIP: its VTEP daemon uses the Unix socket")
    address = ip_address(str(vip.address))
    try:
        addresses = net.held()
    except DriverError as error:
        return unknown(str(error), "run this on the switch itself")
    on = [each.interface for each in addresses if each.address.ip == address]
    unusable = [each.interface for each in addresses if each.address.ip == address and each.unusable]
    serves = look.serves
    facts = {"address": str(address), "on": on, "expected": serves}
    if serves is None:
        text = f"whether {address} should be here is not known: {look.server.trouble}"
        return unknown(text, "see ovsha check server", **facts)
    found = [*_place(look, on, serves), *_unusable(look, unusable)]
    found += [*_elsewhere(look, bool(on)), *_subnet(look, addresses)]
    answered, where = _answered(look)
    if not found and not answered and (serves or look.document is None or _held_there(look)):
        do = "see ovsha check server on the side that serves, and what filters TCP between them"
        found.append(critical(f"{address} does not answer on port {vip.port}: {where}", do))
    here = f"is on {on[0]} of this side, which serves," if on else f"is not here, as {look.config.peer} serves,"
    and_answers = f"and answers on port {vip.port}" if answered else "and was not asked"
    return joined(found, ok(f"{address} {here} {and_answers}{look.without_agent}", **facts))


def _held_there(look: Look) -> bool:
    return look.current and look.other is not None and bool(look.other["vip"])


def _place(look: Look, on: list[str], serves: bool) -> list[Outcome]:
    vip = look.config.vip
    by_agent = "" if look.document else "; start ovsha, which moves it"
    if serves and not on:
        do = "the agent puts it back within a second; if this stays, see ovsha status and the agent's log"
        do = f"the agent {look.idle}: ovsha resume" if look.idle else do if look.document else _START
        return [critical(f"{vip.address} is missing here, although this side serves", do)]
    if on and not serves:
        do = f"ip address delete {vip.address}/{ip_address(str(vip.address)).max_prefixlen} dev {on[0]}{by_agent}"
        return [critical(f"{vip.address} is on {on[0]}, although this side does not serve", do)]
    astray = [name for name in on if name != vip.interface]
    if astray:
        do = f"ip address delete {vip.address} dev {astray[0]}, and take it out of /etc/network/interfaces"
        return [warning(f"{vip.address} is on {', '.join(astray)} and not on {vip.interface} alone", do)]
    return []


def _unusable(look: Look, on: list[str]) -> list[Outcome]:
    """Tell of an address that the kernel holds back until it is sure that nobody else has it, or for ever."""
    if not on:
        return []
    address, name = look.config.vip.address, on[0]
    do = f"find who else has it (ip -6 neighbour; ip address show dev {name}); the agent puts it back"
    return [critical(f"{address} on {name} cannot be used: another host has it, or that is not known yet", do)]


def _elsewhere(look: Look, here: bool) -> list[Outcome]:
    """Tell of the peer and of strangers, as the agent knows them."""
    if look.document is None:
        return []
    address, peer = look.config.vip.address, look.config.peer
    if here and _held_there(look):
        return [critical(f"both sides hold {address}", f"see ovsha status; on {peer} its agent must let go of it")]
    seen = look.document["collisions"]["seen"]
    strangers = [each for each in seen if each["kind"] == "vip" and not each["over"]]
    if strangers:
        do = "find that host by its MAC (bridge fdb show) and give it another address"
        return [critical(str(strangers[-1]["what"]), do)]
    if not here and not look.serves and look.current and not _held_there(look):
        return [critical(f"neither side holds {address}", str(look.document["do"] or "see ovsha status"))]
    return []


def _subnet(look: Look, addresses: list[net.Held]) -> list[Outcome]:
    """Tell when the VIP cannot be reached on the link it belongs to."""
    if look.config.standalone:
        return []
    vip, own = look.config.vip, bare(look.config.nodes[look.config.node].peer_link)
    if not any(each.address.ip == own and not each.unusable for each in addresses):
        do = f"configure it on {look.config.peer_link.interface}, and correct nodes in the configuration"
        return [critical(f"this switch does not have its replication address {own}, or cannot use it", do)]
    address, link = ip_address(str(vip.address)), look.config.peer_link.interface
    if vip.interface != link:
        return []
    subnets = net.subnets(addresses, link, address)
    if any(address in each for each in subnets):
        return []
    names = ", ".join(map(str, subnets))
    return [warning(f"{address} is not in the peer link's subnet {names}", f"choose a vip.address in {names}")]


def _answered(look: Look) -> tuple[bool, str]:
    """Open a TCP connection to it, as a VTEP daemon would, and close it again."""
    vip = look.config.vip
    try:
        socket.create_connection((str(vip.address), vip.port), _CONNECT_LIMIT).close()
    except OSError as error:
        return False, error.strerror or str(error)
    return True, ""
