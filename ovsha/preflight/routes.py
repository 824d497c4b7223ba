"""Ask the kernel which way is taken to the controllers and to the peer's backup address."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from ovsha.checks import net, targets
from ovsha.core.facts import Role
from ovsha.errors import DriverError
from ovsha.preflight.finding import Finding, fail, passed, skip, together, warn
from ovsha.preflight.ground import Ground, trunk

_ACCEPT = "net.ipv4.tcp_l3mdev_accept"
_BACKUP = "clagd-backup-ip and backup_path have to be addresses of another network, such as that of eth0"


def controllers(ground: Ground) -> Finding:
    """Is there a way to each controller, and by which of our addresses would it know us?"""
    if ground.look.server.pid is None:
        return skip("not looked at, as ovsdb-server, which knows them, does not run", "see the item server")
    try:
        rows = targets.managers(ground.config)
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


def _controller(ground: Ground, row: targets.Manager, ways: list[str]) -> Finding | None:
    where, vrf = str(row.address), _vrf_of_server(ground)
    try:
        way = net.way(where, vrf=vrf)
    except DriverError as error:
        other = next((name for name in net.vrfs() if name != vrf and _has_way(where, name)), "")
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


def vrf(ground: Ground) -> Finding:
    """Are the addresses of both paths in the VRFs where the agent looks for them?"""
    node, config, found = ground.config.node, ground.config, []
    try:
        of = {each.interface: net.vrf_of(each.interface) for each in ground.held}
        names = net.vrfs()
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


def backup(ground: Ground) -> Finding:
    """Is the backup path another way than the peer link?"""
    own, peer = ground.backup(ground.config.node), ground.backup(ground.peer)
    if own is None or peer is None:
        return warn("no backup path is configured: a cut peer link cannot be told from a dead peer", _BACKUP)
    try:
        if not any(each.address.ip == own for each in ground.held):
            return fail(f"this switch does not have {own}", f"correct nodes.{ground.config.node}.backup_path")
        way = net.way(str(peer), source=str(own), vrf=ground.config.backup_path.vrf)
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
        net.way(where, vrf=vrf)
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
    return interface if interface in net.vrfs() else net.vrf_of(interface)


def _accepts() -> bool | None:
    """Return whether sockets of the default VRF get what comes in over another, None where there are no VRFs."""
    try:
        return Path("/proc/sys", *_ACCEPT.split(".")).read_text().strip() == "1"
    except OSError:
        return None


def _vrf_of_server(ground: Ground) -> str:
    """Return the VRF that ovsdb-server runs in, as `ip vrf identify` tells it; "" for the default one."""
    if ground.look.server.pid is None:
        return ""
    try:
        groups = Path(f"/proc/{ground.look.server.pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.rpartition("/vrf/")[2] for line in groups if "/vrf/" in line), "")
