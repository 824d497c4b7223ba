"""Look whether VIP, routes and paths between the two switches are as the pair needs them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

from ovsha.checks import probes
from ovsha.checks.context import PreflightContext, trunk
from ovsha.checks.result import Finding, Row, fail, passed, skip, together, warn
from ovsha.core.facts import Role
from ovsha.errors import DriverError
from ovsha.net import routes
from ovsha.ovsdb import endpoints, own_server
from ovsha.words import span


def subnet(ground: PreflightContext) -> Finding:
    """Is the VIP in the subnet of the peer link, and no address that no host can have?  Outside, where it is routed?"""
    vip, own, link = ground.vip, ground.address(ground.config.node), ground.config.peer_link.interface
    try:
        subnets = routes.subnets(ground.held, link, vip)
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


def free(ground: PreflightContext) -> Finding:
    """Has somebody else the VIP?  This side and the peer may have it, when the pair runs already."""
    vip, interface = ground.vip, ground.config.vip.interface
    try:
        here = [each.interface for each in ground.held if each.address.ip == vip]
        if ground.config.vip.routed:
            return _routed(ground)
        answering = probes.claims(vip, interface)
        peers = routes.neighbours(str(ground.address(ground.peer)))
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


def _routed(ground: PreflightContext) -> Finding:
    """Return whether the network's routes to the VIP are as they should be.  Raises DriverError."""
    vip, peer = ground.vip, ground.peer
    here = [each.interface for each in ground.held if each.address.ip == vip]
    there = ground.look.current and ground.look.other is not None and bool(ground.look.other["vip"])
    announced = not here and routes.announced(str(vip))
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


def replication(ground: PreflightContext) -> Finding:
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
    wanted, _ = endpoints.listeners(config)
    if server.role is not None and wanted not in server.remotes:
        there = [each for each in server.remotes if each.startswith((f"ptcp:{port}", f"pssl:{port}"))]
        said = f"listens on {there[0]}" if there else "does not listen"
        found.append(fail(f"ovsdb-server {said}, and {wanted} is needed", f"add --remote={wanted} to its start"))
    return together(found, passed(f"{own} port {port} is on {config.peer_link.interface}, and is not the VIP"))


_ACCEPT = "net.ipv4.tcp_l3mdev_accept"
_BACKUP = "clagd-backup-ip and backup_path have to be addresses of another network, such as that of eth0"


def controllers(ground: PreflightContext) -> Finding:
    """Is there a way to each controller, and by which of our addresses would it know us?"""
    if ground.look.server.pid is None:
        return skip("not looked at, as ovsdb-server, which knows them, does not run", "see the item server")
    try:
        rows = own_server.managers(ground.config)
    except DriverError as error:
        return fail(f"the controllers are not known: {error}", "see ovsha check server")
    addressed = [row for row in rows if row.address is not None]
    if not addressed and any(row.read for row in rows):
        return skip("the Manager table has no address of a controller, only names or passive targets", "ask its owner")
    if not addressed:
        if ground.look.server.role is Role.BACKUP and not rows:
            return skip("there is no Manager row yet: a backup gets them with its first copy", "ask the other side")
        return warn("the Manager table names no controller", "vtep-ctl set-manager ssl:ADDRESS:6640")
    ways: list[str] = []
    found = [_controller(ground, row, ways) for row in addressed]
    return together([each for each in found if each is not None], passed("; ".join(ways)))


def _controller(ground: PreflightContext, row: own_server.Manager, ways: list[str]) -> Finding | None:
    where, vrf = str(row.address), _vrf_of_server(ground)
    try:
        way = routes.way(where, vrf=vrf)
    except DriverError as error:
        other = next((name for name in routes.vrfs() if name != vrf and _has_way(where, name)), "")
        if other:
            what = f"{where} can be reached in VRF {other} only, and ovsdb-server is in {vrf or 'the default VRF'}"
            return fail(what, f"leak a route: {_leak(where, other)}; see docs/vrf.rst")
        return fail(str(error), "configure a route to the controller")
    leaked = "" if vrf else _vrf_behind(way.interface)
    if leaked and _accepts() is False:
        what = f"the route to {where} leads into VRF {leaked}, and what comes back is dropped (tcp_l3mdev_accept is 0)"
        return fail(what, f"sysctl -w {_ACCEPT}=1, and keep it in /etc/sysctl.d; see docs/vrf.rst")
    ways.append(f"{row.where} from {way.source} over {way.interface}{f' (VRF {vrf})' if vrf else ''}")
    if way.source and ground.config.vip.address is not None and ip_address(way.source) == ground.vip:
        what = f"the source address towards {where} is the VIP, which moves"
        return fail(what, "choose a VIP outside of that network")
    on = {each.interface for each in ground.held if str(each.address.ip) == way.source}
    if "lo" in on and where not in on:
        what = f"the source address towards {where} is {way.source} of the loopback, which ovsdb-server cannot use"
        return warn(what, "use an address of an interface, and redistribute its connected route into BGP")
    if trunk(way.interface) == trunk(ground.config.peer_link.interface):
        what = f"the way to {where} is over the peer link {way.interface}: with it cut, this side has no controller"
        return warn(what, "give each switch an uplink of its own to the controller")
    return None


def vrf(ground: PreflightContext) -> Finding:
    """Are the addresses of both paths in the VRFs where the agent looks for them?"""
    node, config, found = ground.config.node, ground.config, []
    try:
        of = {each.interface: routes.vrf_of(each.interface) for each in ground.held}
        names = routes.vrfs()
        for name, address, wanted, fix in (
            ("peer_link", ground.address(node), "", "the peer link has to be in the default VRF"),
            ("backup_path", ground.backup(node), config.backup_path.vrf, "set backup_path.vrf: {}, on both switches"),
        ):
            inside = sorted({of[each.interface] for each in ground.held if each.address.ip == address} - {wanted})
            if inside:
                what = f"nodes.{node}.{name} {address} is in {_told(inside[0])}, and is looked for in {_told(wanted)}"
                found.append(fail(what, fix.format(inside[0] or "null")))
    except DriverError as error:
        return fail(str(error), "run this on the switch itself")
    vrf = config.backup_path.vrf
    if vrf and vrf not in names:
        found.append(fail(f"backup_path.vrf is {vrf}, and there is no such VRF", "see `ip vrf show`"))
    paths = f"the backup path is in VRF {vrf}" if vrf else "both paths are in the default one"
    return together(found, passed(f"VRF {', '.join(names)}; {paths}" if names else "there is no VRF"))


def backup(ground: PreflightContext) -> Finding:
    """Is the backup path another way than the peer link?"""
    own, peer = ground.backup(ground.config.node), ground.backup(ground.peer)
    if own is None or peer is None:
        return warn("no backup path is configured: a cut peer link cannot be told from a dead peer", _BACKUP)
    try:
        if not any(each.address.ip == own for each in ground.held):
            return fail(f"this switch does not have {own}", f"correct nodes.{ground.config.node}.backup_path")
        way = routes.way(str(peer), source=str(own), vrf=ground.config.backup_path.vrf)
    except DriverError as error:
        return fail(str(error), "configure a route to the peer's backup address")
    link = ground.config.peer_link.interface
    if trunk(way.interface) == trunk(link):
        what = f"the way to {peer} is over {way.interface}, the peer link: both paths are cut together"
        return fail(what, _BACKUP)
    over = f"{way.interface} and {way.gateway}" if way.gateway else way.interface
    return passed(f"{peer} is reached from {own} over {over}, and not over {link}")


def _has_way(where: str, vrf: str) -> bool:
    try:
        routes.way(where, vrf=vrf)
    except DriverError:
        return False
    return True


def _told(vrf: str) -> str:
    return f"VRF {vrf}" if vrf else "the default VRF"


def _leak(where: str, vrf: str) -> str:
    """Return what lets a program of the default VRF reach one address in another."""
    return f"ip {'-6 ' if ':' in where else ''}route add {where} dev {vrf}; sysctl -w {_ACCEPT}=1"


def _vrf_behind(interface: str) -> str:
    """Return the VRF that a route over `interface` leads into: its own device, or that of an interface in it."""
    return interface if interface in routes.vrfs() else routes.vrf_of(interface)


def _accepts() -> bool | None:
    """Return whether sockets of the default VRF get what comes in over another, None where there are no VRFs."""
    try:
        return Path("/proc/sys", *_ACCEPT.split(".")).read_text().strip() == "1"
    except OSError:
        return None


def _vrf_of_server(ground: PreflightContext) -> str:
    """Return the VRF that ovsdb-server runs in, as `ip vrf identify` tells it; "" for the default one."""
    if ground.look.server.pid is None:
        return ""
    try:
        groups = Path(f"/proc/{ground.look.server.pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.rpartition("/vrf/")[2] for line in groups if "/vrf/" in line), "")


_SECONDS, _QUICK_SECONDS = 4.0, 1.0
Address = IPv4Address | IPv6Address


def measured(ground: PreflightContext) -> Finding:
    """Send an echo each heartbeat interval over both paths at once."""
    node, beat = ground.config.node, ground.config.heartbeat
    nodes = ground.config.nodes
    ways = {"peer link": (ip_address(str(nodes[node].peer_link)), ip_address(str(nodes[ground.peer].peer_link)), "")}
    own, peer = ground.backup(node), ground.backup(ground.peer)
    if own is not None and peer is not None:
        ways["backup path"] = (own, peer, ground.config.backup_path.vrf)
    count = max(5, math.ceil((_QUICK_SECONDS if ground.quick else _SECONDS) / beat.interval))

    def run(way: tuple[Address, Address, str]) -> probes.Echoes | DriverError:
        own, peer, vrf = way
        try:
            return probes.measure(own, peer, count, beat.interval, vrf)
        except DriverError as error:
            return error

    with ThreadPoolExecutor(len(ways)) as pool:
        results = dict(zip(ways, pool.map(run, ways.values()), strict=True))
    found: list[Finding] = []
    rows: list[Row] = []
    for name, result in results.items():
        if isinstance(result, DriverError):
            found.append(fail(str(result), "run this as root, and see that the address is on this switch"))
        else:
            rows += _rows(name, result, ground)
            found += _judged(name, result, ground)
    fine = passed(f"{count} echoes over each of {len(ways)} paths fit the timers of the heartbeats")
    return together(found, replace(fine, rows=tuple(rows)))


def _rows(name: str, echoes: probes.Echoes, ground: PreflightContext) -> list[Row]:
    beat = ground.config.heartbeat
    median, longest = echoes.median, echoes.longest
    trip = "nothing came back"
    if median is not None and longest is not None:
        trip = f"{_short(median)}, longest {_short(longest)}"
    lost = f"{echoes.lost} of {len(echoes.trips)}, {echoes.lost_in_a_row} in a row"
    return [
        Row(f"{name}: round trip", f"below {span(beat.interval)}", trip),
        Row(f"{name}: lost", f"fewer than {_bearable(ground)} in a row", lost),
    ]


def _judged(name: str, echoes: probes.Echoes, ground: PreflightContext) -> list[Finding]:
    beat, longest = ground.config.heartbeat, echoes.longest
    if longest is None:
        return [fail(f"{ground.peer} does not answer over the {name}", f"see that the {name} is up on both switches")]
    found = []
    if echoes.lost_in_a_row >= _bearable(ground):
        what = f"the {name} loses {echoes.lost_in_a_row} packets in a row, as many as count for a dead peer"
        found.append(fail(what, "mend the link (ethtool -S), or raise heartbeat.dead_interval"))
    elif echoes.lost:
        what = f"the {name} loses {echoes.lost} of {len(echoes.trips)} packets"
        found.append(warn(what, "see the errors of its ports (ethtool -S)"))
    if longest >= beat.dead_interval:
        what = f"the {name} took {span(longest)}, longer than heartbeat.dead_interval ({span(beat.dead_interval)})"
        found.append(fail(what, f"raise heartbeat.dead_interval to {span(3 * longest)} at least"))
    elif longest >= beat.interval:
        what = f"the {name} took {span(longest)}, longer than heartbeat.interval ({span(beat.interval)})"
        found.append(warn(what, "raise heartbeat.interval and heartbeat.dead_interval, or see what delays it"))
    return found


def _short(seconds: float) -> str:
    """Return a round trip, which on a cable is a small part of a millisecond."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else span(seconds)


def _bearable(ground: PreflightContext) -> int:
    """Return how many packets in a row may be lost until a path counts as dead."""
    beat = ground.config.heartbeat
    return max(1, math.floor(beat.dead_interval / beat.interval + 1e-9))
