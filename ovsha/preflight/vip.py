"""Look whether the VIP fits the peer link, and whether nobody else has it; and at the replication address."""

from __future__ import annotations

from ipaddress import IPv4Network

from ovsha import remotes
from ovsha.checks import net
from ovsha.errors import DriverError
from ovsha.preflight import probe
from ovsha.preflight.finding import Finding, fail, passed, together, warn
from ovsha.preflight.ground import Ground


def subnet(ground: Ground) -> Finding:
    """Is the VIP in the subnet of the peer link, and no address that no host can have?  Outside, where it is routed?"""
    vip, own, link = ground.vip, ground.address(ground.config.node), ground.config.peer_link.interface
    try:
        subnets = net.subnets(ground.held, link, vip)
        here = any(each.address.ip == own for each in ground.held)
    except DriverError as error:
        return fail(str(error), "run this on the switch itself")
    if not here:
        return fail(f"this switch does not have {own}, so its subnet is not known", f"configure it on {link}")
    if ground.config.vip.routed:
        for each in subnets:
            if vip in each:
                what = f"{vip} is in {each}, the peer link's subnet, where it is looked for on the link and not routed"
                return fail(what, f"choose a vip.address outside of {each}, or write vip.mode: interface")
        return passed(f"{vip} is routed to {ground.config.vip.interface}, outside of the peer link's subnets")
    if ground.config.vip.interface != link:
        return passed(f"{vip} belongs to {ground.config.vip.interface}, and not to the peer link")
    for each in subnets:
        if vip in each:
            ends = (each.network_address, each.broadcast_address)
            if isinstance(each, IPv4Network) and each.prefixlen < 31 and vip in ends:
                return fail(f"{vip} is the network's or the broadcast address of {each}", f"choose another in {each}")
            return passed(f"{vip} is in {each}, the peer link's subnet")
    names = ", ".join(map(str, subnets))
    fix = f"choose a vip.address in {names or 'one'}; with a /30 or /31 there is no room, so make it a /29"
    what = f"{vip} is not in the peer link's subnet {names or '(there is none)'}"
    return fail(f"{what}, so the other switch's VTEP daemon has no way to it", fix)


def free(ground: Ground) -> Finding:
    """Has somebody else the VIP?  This side and the peer may have it, when the pair runs already."""
    vip, interface = ground.vip, ground.config.vip.interface
    try:
        here = [each.interface for each in ground.held if each.address.ip == vip]
        if ground.config.vip.routed:
            return _routed(ground)
        answering = probe.claims(vip, interface)
        peers = net.neighbours(str(ground.address(ground.peer)))
    except DriverError as error:
        return fail(str(error), f"see that the interface is there (ip link show {interface}), and run this as root")
    strangers = sorted(answering - peers)
    facts = {"here": here, "answering": sorted(answering)}
    if strangers:
        what = f"{vip} is taken: {', '.join(strangers)} answers for it on {interface}"
        return fail(what, "give that host another address, or choose another vip.address (bridge fdb show)", **facts)
    if here and answering:
        return fail(f"both this side and {ground.peer} have {vip}", "see ovsha status; take it off one side", **facts)
    if here:
        if ground.look.document is None:
            what = f"{vip} is on {', '.join(here)} of this switch, and no agent runs here that put it there"
            fix = f"take it out of /etc/network/interfaces; ip address delete {vip} dev {here[0]}"
            return warn(what, fix, **facts)
        return passed(f"{vip} is on this side, and nobody else answers for it on {interface}", **facts)
    if answering:
        return passed(f"{vip} is on {ground.peer}, and nobody else answers for it on {interface}", **facts)
    return passed(f"{vip} is free: nobody answers for it on {interface}", **facts)


def _routed(ground: Ground) -> Finding:
    """Return whether the network's routes to the VIP are as they should be.  Raises DriverError."""
    vip, peer = ground.vip, ground.peer
    here = [each.interface for each in ground.held if each.address.ip == vip]
    there = ground.look.current and ground.look.other is not None and bool(ground.look.other["vip"])
    announced = not here and net.announced(str(vip))
    facts = {"here": here, "answering": []}
    if here:
        if ground.look.document is not None:
            return passed(f"{vip} is on {', '.join(here)} of this side", **facts)
        what = f"{vip} is on {', '.join(here)} of this switch, and no agent runs here that put it there"
        fix = f"take it out of /etc/network/interfaces; ip address delete {vip} dev {here[0]}"
        return warn(what, fix, **facts)
    if there and not announced:
        what = f"{vip} is on {peer}, and this switch has no route to it"
        return fail(what, f"see that {peer} announces it (vtysh -c 'show bgp summary' on both; docs/routed-vip.rst)")
    if announced and ground.look.document is not None and not there:
        what = f"this switch has a route to {vip}, which {peer} has not"
        return fail(what, "find out who announces it (ip route get; show bgp), and choose another vip.address")
    if announced and not there:
        return warn(f"this switch has a route to {vip}", f"see that it leads to {peer}, and to nobody else", **facts)
    return passed(f"{vip} is on {peer}, and there is a route" if there else f"{vip} is free: nobody has it", **facts)


def replication(ground: Ground) -> Finding:
    """Is the replication address this switch's own and not the VIP, and does the server listen there?"""
    config, vip = ground.config, ground.vip
    own, port = ground.address(config.node), config.replication.port
    found = []
    try:
        on = [each.interface for each in ground.held if each.address.ip == own]
    except DriverError as error:
        return fail(str(error), "run this on the switch itself")
    if not on:
        found.append(fail(f"{own} is not on this switch", f"configure it on {config.peer_link.interface}"))
    elif config.peer_link.interface not in on:
        what = f"{own} is on {', '.join(on)}, and not on the peer link {config.peer_link.interface}"
        found.append(fail(what, "correct peer_link.interface or nodes in the configuration"))
    server = ground.look.server
    host = f"[{vip}]" if vip.version == 6 else str(vip)
    if server.source is not None and f":{host}:" in server.source:
        what = f"ovsdb-server copies from {server.source}, which is the VIP: after a failover it would copy itself"
        found.append(fail(what, f"its source must be {ground.look.source}, the peer's own address"))
    wanted, _ = remotes.listeners(config)
    if server.role is not None and wanted not in server.remotes:
        there = [each for each in server.remotes if each.startswith((f"ptcp:{port}", f"pssl:{port}"))]
        said = f"listens on {there[0]}" if there else "does not listen"
        found.append(fail(f"ovsdb-server {said}, and {wanted} is needed", f"add --remote={wanted} to its start"))
    return together(found, passed(f"{own} port {port} is on {config.peer_link.interface}, and is not the VIP"))
