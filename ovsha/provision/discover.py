"""Find out from clagd and the kernel what a configuration needs: addresses, the peer link, the backup path."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from ovsha.config import Config
from ovsha.config.switch import Clag, Server
from ovsha.core.facts import MlagRole
from ovsha.errors import DriverError
from ovsha.mlag import reader
from ovsha.mlag.parse import Detail
from ovsha.net import routes
from ovsha.ovsdb import contents, own_server
from ovsha.provision.database_file import PLACES

DATABASE = "hardware_vtep"
VENDORS_START = Path("/usr/share/openvswitch/scripts/ovs-ctl-vtep")


@dataclass(frozen=True)
class Found:
    """What was found; "" is not known, and then `trouble` has a line that says why.

    `own` and `peer`: the addresses on the peer link; `own_backup` and `peer_backup`: those of clagd's backup path, in
    `vrf`, "" for the default one.  `role` and `priority`: clagd's own, None when it does not tell.
    """

    interface: str = ""
    own: str = ""
    peer: str = ""
    own_backup: str = ""
    peer_backup: str = ""
    vrf: str = ""
    role: MlagRole | None = None
    priority: int | None = None
    anycast: str = ""
    trouble: tuple[str, ...] = ()


def look(clag: Clag | None = None, interface: str = "", not_own: str = "") -> Found:
    """Ask clagd, by the commands of the configuration or their defaults, and the kernel; nothing is raised.

    `interface` is believed above clagd; the address `not_own`, the VIP, is never taken for one of the switch's own.
    """
    trouble: list[str] = []
    detail, role, vrf = Detail(), None, ""
    try:
        detail, role, vrf = _ask(clag or Clag())
    except DriverError as error:
        trouble.append(str(error))
    link = interface or detail.peer_interface
    peer = _address(detail.peer_address)
    own = ""
    try:
        own = own_address(link, peer, not_own) if link else ""
    except DriverError as error:
        trouble.append(str(error))
    backup = _address(detail.backup)
    own_backup = ""
    if backup:
        try:
            own_backup, vrf = _way(backup, vrf)
        except DriverError as error:
            trouble.append(f"clagd's backup IP {backup}: {error}")
            backup = ""
    return Found(
        link, own, peer, own_backup, backup, vrf, role, detail.priority, detail.anycast, tuple(trouble)
    )  # fmt: skip


def own_address(interface: str, peer: str = "", but: str = "") -> str:
    """Return the address of this switch on an interface, "" when there is none or it cannot be told which.

    It is the one in the subnet of `peer`, or the only one that is not link-local; `but` never is.  Raises DriverError.
    """
    here = [each.address for each in routes.held() if each.interface == interface and str(each.address.ip) != but]
    if peer:
        near = {str(each.ip) for each in here if ip_address(peer) in each.network and each.network.num_addresses > 1}
        return near.pop() if len(near) == 1 else ""
    wide = {str(each.ip) for each in here if not (each.version == 6 and each.is_link_local)}
    return wide.pop() if len(wide) == 1 else ""


def _ask(clag: Clag) -> tuple[Detail, MlagRole | None, str]:
    """Return what the MLAG tells, and the VRF of its backup path.  Raises DriverError when it tells no role."""
    answer = reader.ask(clag)
    if answer.clag.role is None:
        raise DriverError(answer.clag.trouble)
    return answer.detail, answer.clag.role, answer.detail.vrf


def _address(text: str) -> str:
    """Return an address that means something on the other switch too; "" for a link-local one or a typing error."""
    try:
        found: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return "" if found.version == 6 and found.is_link_local else str(found)


def _way(destination: str, vrf: str) -> tuple[str, str]:
    """Return our source address towards `destination`, and the VRF: the given one, the default, or the only other."""
    if vrf:
        return routes.way(destination, vrf=vrf).source, vrf
    try:
        return routes.way(destination).source, ""
    except DriverError:
        for other in routes.vrfs():
            return routes.way(destination, vrf=other).source, other
        raise


def database_file(config: Config | None = None) -> Path:
    """Return the file that holds, or is to hold, the hardware_vtep database of this switch.

    It is the one that an older configuration names, that a running server serves, that is there in one of the usual
    places, or else the vendor's, or Debian's where conf.db is another database.
    """
    if config is not None:
        return config.server.file
    for word in reversed(own_server.look_at(Server()).words[1:]):
        if not word.startswith("-") and holds_vtep(Path(word)):
            return Path(word)
    return next((each for each in PLACES if holds_vtep(each)), PLACES[0] if VENDORS_START.exists() else PLACES[1])


def holds_vtep(file: Path) -> bool:
    """Say whether a file is a database of the schema hardware_vtep."""
    try:
        return file.is_absolute() and file.is_file() and contents.tool(30.0, "db-name", str(file)).strip() == DATABASE
    except DriverError:
        return False
