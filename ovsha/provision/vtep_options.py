"""Say what the options of vtep-bootstrap are, and turn what was given into what is wanted.

The names are the vendor's, in which dashes and underscores mix; both are taken for each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ovsha.config import values
from ovsha.config.schema import Pair, Replication, Vip
from ovsha.errors import UsageError

CONTROLLER_PORT = 6640
HOME = Path("/home/cumulus")
DATA = Path("/var/lib/openvswitch")

KEY_FILE: Path = Pair.key_file

ACTIVE, STANDBY = "active", "standby"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is wanted.

    `side`: active or standby, "" for a switch of its own.  `source`: the active side's address on the peer link.
    `controllers`: Manager targets such as ssl:192.168.100.17:6640.  "" is an option that was not given.
    """

    name: str
    tunnel_ip: str
    management_ip: str
    controllers: tuple[str, ...] = ()
    encryption: bool = True
    credentials: Path = DATA
    pki: Path = DATA / "pki"
    side: str = ""
    vip: str = ""
    vip_port: int = Vip.port
    source: str = ""
    replication_port: int = Replication.port
    node: str = ""
    peer_name: str = ""
    own_ip: str = ""
    peer_ip: str = ""
    interface: str = ""

    def credential(self, kind: str) -> Path:
        """Return the file of the switch's `privkey`, `cert` or `req`."""
        return self.credentials / f"{self.name}-{kind}.pem"


def add(parser: Any) -> None:
    """Add the vendor's options, and then ours, to a parser."""
    parser.add_argument("switch_name", metavar="SWITCH_NAME", help="the name of the physical switch, the same on both")
    about = "the local VTEP address for tunnels; the anycast address of an MLAG pair"
    parser.add_argument("tunnel_ip", metavar="TUNNEL_IP", help=about)
    parser.add_argument("management_ip", metavar="MANAGEMENT_IP", help="the address that the controllers know it by")
    about = "a controller; may be repeated, or several with commas between them"
    _option(parser, "--controller_ip", "ADDRESS", about, action="append", default=[])
    about = f"the controllers' port; default: {CONTROLLER_PORT}, as NSX-V has it, where NSX-MH had 6632"
    _option(parser, "--controller_port", "PORT", about, default=str(CONTROLLER_PORT))
    about = "no TLS towards the controllers, and no certificate"
    parser.add_argument("--no_encryption", "--no-encryption", action="store_true", help=about)
    about = f"where certificate and key are; default: {HOME} where there is one, or else {DATA}"
    _option(parser, "--credentials-path", "DIRECTORY", about)
    _option(parser, "--pki-path", "DIRECTORY", f"where ovs-pki keeps its authorities; default: {DATA}/pki")
    about = "which side of a pair this is: active for the original primary; left out for a switch of its own"
    _option(parser, "--db_ha", None, about, choices=(ACTIVE, STANDBY), default="")
    _option(parser, "--db_ha_vip", "ADDRESS:PORT", "the VIP, the same on both switches")
    about = "where the active side gives its database away: its address on the peer link, the same on both switches"
    _option(parser, "--db_ha_repl_sv", "ADDRESS:PORT", about)
    about = "this side's name; default: that of an older configuration, or SWITCH_NAME-1 on the active, -2 on the other"
    _option(parser, "--node", "NAME", about)
    _option(parser, "--peer-name", "NAME", "the other side's name")
    _option(parser, "--own-ip", "ADDRESS", "this side's address on the peer link, where it cannot be found out")
    _option(parser, "--peer-ip", "ADDRESS", "the other side's, where clagd does not tell it")
    _option(parser, "--interface", "INTERFACE", "the interface of the peer link, where clagd does not tell it")


def read(given: argparse.Namespace) -> Options:
    """Return what is wanted.  Raises UsageError in one line that names the option."""
    encryption = not given.no_encryption
    side: str = given.db_ha
    for option, value in (("--db_ha_vip", given.db_ha_vip), ("--db_ha_repl_sv", given.db_ha_repl_sv)):
        if side and not value:
            raise UsageError(f"{option}: is missing, which --db_ha {side} needs")
        if value and not side:
            raise UsageError(f"{option}: belongs to a pair: add --db_ha active or --db_ha standby")
    vip, vip_port = _endpoint("--db_ha_vip", given.db_ha_vip, Vip.port)
    source, replication_port = _endpoint("--db_ha_repl_sv", given.db_ha_repl_sv, Replication.port)
    if vip and vip == source:
        raise UsageError(
            f"--db_ha_repl_sv: {source} is the VIP; the standby copies from the active's own address, or it ends up"
            " copying itself"
        )
    home = HOME if HOME.is_dir() else DATA
    return Options(
        name=_value("SWITCH_NAME", given.switch_name, values.name),
        tunnel_ip=_address("TUNNEL_IP", given.tunnel_ip),
        management_ip=_address("MANAGEMENT_IP", given.management_ip),
        controllers=tuple(_controllers(given.controller_ip, given.controller_port, encryption)),
        encryption=encryption,
        credentials=_directory("--credentials-path", given.credentials_path) or home,
        pki=_directory("--pki-path", given.pki_path) or DATA / "pki",
        side=side,
        vip=vip,
        vip_port=vip_port,
        source=source,
        replication_port=replication_port,
        node=_value("--node", given.node, values.name) if given.node else "",
        peer_name=_value("--peer-name", given.peer_name, values.name) if given.peer_name else "",
        own_ip=_address("--own-ip", given.own_ip) if given.own_ip else "",
        peer_ip=_address("--peer-ip", given.peer_ip) if given.peer_ip else "",
        interface=_value("--interface", given.interface, values.interface_name) if given.interface else "",
    )


def bracketed(address: str) -> str:
    """Return an address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def _option(parser: Any, name: str, metavar: str | None, about: str, **more: Any) -> None:
    """Add an option under both styles of its name; the vendor's own is the one that is shown."""
    plain = name.removeprefix("--")
    names = dict.fromkeys([name, f"--{plain.replace('_', '-')}", f"--{plain.replace('-', '_')}"])
    more = {"default": "", **more}
    if metavar is not None:
        more["metavar"] = metavar
    parser.add_argument(*names, dest=plain.replace("-", "_"), help=about, **more)


def _controllers(given: Sequence[str], port: str, encryption: bool) -> list[str]:
    kind, common = "ssl" if encryption else "tcp", _port("--controller_port", port)
    found = []
    for word in (word.strip() for each in given for word in each.split(",")):
        if not word:
            raise UsageError("--controller_ip: an address is missing; several have one comma between them")
        address, own = _endpoint("--controller_ip", word, common)
        found.append(f"{kind}:{bracketed(address)}:{own}")
    return list(dict.fromkeys(found))


def _endpoint(option: str, text: str, port: int) -> tuple[str, int]:
    """Read ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; ("", port) for an option that was not given."""
    if not text:
        return "", port
    address, closed, after = text.removeprefix("[").partition("]") if text.startswith("[") else (text, "", "")
    if not closed and text.count(":") == 1:
        address, _, after = text.partition(":")
        after = f":{after}"
    elif not closed and _bare_ipv6_with_port(text):
        raise UsageError(f"{option}: is {text} an address, or one with a port? write [ADDRESS] or [ADDRESS]:PORT")
    if after and not after.startswith(":"):
        raise UsageError(f"{option}: {text} is not ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")
    return _address(option, address), _port(option, after[1:]) if after else port


def _bare_ipv6_with_port(text: str) -> bool:
    """Say whether an IPv6 address may be meant and a port behind it: fd00::11:9998 is an address as a whole as well."""
    address, _, port = text.rpartition(":")
    try:
        return len(port) >= 4 and port.isdecimal() and ip_address(address).version == 6
    except ValueError:
        return False


def _address(option: str, text: str) -> str:
    return str(_value(option, text, values.address))


def _port(option: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise UsageError(f"{option}: {text or 'what stands behind the colon'} is not a port from 1 to 65535")
    return int(text)


def _directory(option: str, text: str) -> Path | None:
    return Path(text).absolute() if text else None


def _value(option: str, text: str, reader: values.Reader) -> Any:
    try:
        return reader(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def same(first: str, second: str) -> bool:
    """Say whether two texts are the same address."""
    return bool(first and second) and ip_address(first) == ip_address(second)
