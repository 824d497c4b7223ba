"""Compare versions, schema, clocks and configurations of the two switches, and what their MLAG sources tell."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from ovsha import __version__
from ovsha.checks import pair as check
from ovsha.checks import server as server_check
from ovsha.checks import survey
from ovsha.checks.context import PreflightContext
from ovsha.checks.result import Finding, fail, of_check, passed, skip, together, warn
from ovsha.config import pair_key, read_key
from ovsha.core import lineage as schemas
from ovsha.errors import ConfigError, DriverError
from ovsha.host import child
from ovsha.mlag import reader
from ovsha.mlag.parse import Detail
from ovsha.mlag.sources import OWN
from ovsha.ovsdb import own_server
from ovsha.peer import rpc_client
from ovsha.words import span

_LEAST = (2, 8)
_DISCONNECTS = (3, 3)
_CLOCK_WARN, _CLOCK_ASKS = 1.0, 5
_VERSION = re.compile(r"\b([0-9]+)\.([0-9]+)")


def configuration(ground: PreflightContext) -> Finding:
    """The file was read already; here is what in it is doubtful, and whether the pair key can be used."""
    try:
        pair_key(ground.config)
    except ConfigError as error:
        return fail(str(error), "make the pair key once, and copy it to the other switch")
    doubts = [warn(each, "see the comments in etc/ovsha.yaml") for each in ground.config.warnings]
    return together(doubts, passed(f"can be used, for {ground.config.node} of pair {ground.config.pair.id}"))


def versions(ground: PreflightContext) -> Finding:
    """Is ovsdb-server one that can be spoken to, and do both switches have the same?"""
    server, running = ground.look.server.version, ground.look.server.version != (0, 0)
    if not running:
        try:
            found = _VERSION.search(child.read_output([own_server.program(ground.look.server), "--version"], 5.0)[1])
        except DriverError as error:
            return fail(f"{error}", "install openvswitch-vtep")
        server = (int(found[1]), int(found[2])) if found else (0, 0)
    told = f"{server[0]}.{server[1]}"
    if server < _LEAST:
        return fail(f"ovsdb-server is {told}, and has no active-backup replication before 2.8", "upgrade it")
    pointing = "disconnects before it follows another source" if server >= _DISCONNECTS else "re-points in one step"
    text = f"ovsdb-server {told} (at least 2.8; {pointing}), ovsha {__version__}, Python {platform.python_version()}"
    theirs = ground.survey or {}
    differ = []
    if theirs.get("version") not in (None, __version__):
        what = f"ovsha is {__version__} here and {theirs['version']} on {ground.peer}"
        differ.append(warn(what, "upgrade the older one"))
    if theirs.get("server") not in (None, list(server)):
        other = ".".join(map(str, theirs["server"]))
        what = f"ovsdb-server is {told} here and {other} on {ground.peer}"
        differ.append(warn(what, "upgrade the older one; the backup first"))
    return together(differ, passed(text, ovsdb_server=told, ovsha=__version__))


def server(ground: PreflightContext) -> Finding:
    """Does ovsdb-server run, and was it started so that it does no harm?"""
    return of_check(server_check.check_server(ground.look))


def schema(ground: PreflightContext) -> Finding:
    """Is the database there, and is its schema the peer's?"""
    config = ground.config
    if ground.look.server.pid is None:
        return skip("not looked at, as ovsdb-server does not run", "see the item server")
    try:
        with own_server.database(config) as session:
            own = session.schema()
    except DriverError as error:
        return fail(str(error), "see server.database and server.socket in the configuration")
    ours = schemas.describe_schema(own)
    told = f"{ours.name} {ours.version}, checksum {ours.checksum}"
    if config.standalone:
        return passed(told, checksum=ours.checksum)
    try:
        with own_server.database(config, ground.look.source) as session:
            theirs = session.schema()
    except DriverError as error:
        do = f"see that ovsdb-server runs on {ground.peer}"
        return skip(f"{told}; not compared with {ground.peer}'s: {error}", do)
    other = schemas.describe_schema(theirs)
    if other.checksum == ours.checksum:
        return passed(f"{told} on both sides", checksum=ours.checksum)
    what = f"{told} here, and {other.version}, checksum {other.checksum} on {ground.peer}"
    lacking = [schemas.schema_gap(own, theirs), schemas.schema_gap(theirs, own)]
    if all(lacking):
        return fail(f"{what}: neither can be copied to the other one", "bring both to the same release")
    return warn(f"{what}: a copy works only onto the newer one", "upgrade the older one; the backup first")


def clocks(ground: PreflightContext) -> Finding:
    """How far apart are the clocks?  The agents decide by clocks that nobody sets; logs and certificates do not."""
    if ground.survey is None:
        return skip(f"not compared, as {ground.peer} does not answer") if ground.asked else _not_asked(ground)
    address, port = str(ground.config.nodes[ground.peer].peer_link), ground.config.exchange.port
    samples = []
    try:
        with rpc_client.Asker(address, port, read_key(ground.config.pair.key_file), 10.0) as asker:
            for _ in range(_CLOCK_ASKS):
                sent = time.time()
                at = float(asker.ask(survey.CLOCK, {})["at"])
                back = time.time()
                samples.append((back - sent, at - (sent + back) / 2))
    except (DriverError, KeyError, TypeError, ValueError) as error:
        return warn(f"the clock of {ground.peer} cannot be asked: {error}", "see its log")
    trip, offset = min(samples)
    told = f"{ground.peer}'s clock is {span(abs(offset))} {'ahead' if offset > 0 else 'behind'} (to {span(trip / 2)})"
    if abs(offset) - trip / 2 > _CLOCK_WARN:
        fix = "let chrony or ntpd slew both clocks; a jump makes some releases of clagd stop"
        return warn(f"{told}: the logs of both sides cannot be read together", fix, offset=offset)
    return passed(told, offset=offset)


def agreement(ground: PreflightContext) -> Finding:
    """Are the keys that both configurations must have alike the same?"""
    if ground.survey is None:
        return _not_asked(ground)
    own, theirs = survey.settings(ground.config), ground.survey.get("settings")
    if not isinstance(theirs, dict):
        return warn(f"{ground.peer} does not tell its configuration", "upgrade both switches to one release")
    differ = [name for name, value in own.items() if theirs.get(name) != value]
    if not differ:
        return passed(f"the {len(own)} keys that both sides must share are the same on {ground.peer}")
    told = ", ".join(f"{name} is {own[name]} here and {theirs.get(name)} there" for name in differ)
    return fail(told, "use the same file on both switches; only `node` differs")


def _not_asked(ground: PreflightContext) -> Finding:
    if ground.asked:
        return fail(f"{ground.peer}'s agent does not answer: {ground.trouble}", f"start ovsha on {ground.peer}")
    return skip(f"{ground.peer} was not asked", "run ovsha preflight --peer once ovsha runs there")


INTERFACES = Path("/etc/network/interfaces")
_WORD = re.compile(r"^\s*(clagd-[a-z-]+)\s+(.*?)\s*$", re.MULTILINE)
_RESERVED = re.compile("44:38:39:(ff|be):", re.IGNORECASE)


def setup(ground: PreflightContext) -> Finding:
    """Return how MLAG is set up."""
    try:
        answer = reader.ask(ground.config.clag)
    except DriverError as error:
        return fail(
            f"the MLAG role cannot be asked for: {error}", "correct section clag of the file, or set MLAG up first"
        )
    detail = answer.detail
    now = of_check(check.judge(answer.clag, detail, answer.source))
    if answer.clag.role is None:
        return now
    clagd = [] if answer.source is OWN else [*_own(detail), *against_file(detail, read_interfaces())]
    found = [now, *clagd, *_addresses(ground, detail), *_peer(ground, detail)]
    return together(found, passed(f"{now.text}; system MAC {detail.system_mac or 'unknown'}", **now.facts))


def read_interfaces(path: Path = INTERFACES) -> dict[str, str]:
    """Return the clagd- keywords of /etc/network/interfaces, none where it is not there; the last one holds."""
    try:
        return {found[1]: found[2] for found in _WORD.finditer(path.read_text(errors="replace"))}
    except OSError:
        return {}


def _own(detail: Detail) -> Iterator[Finding]:
    if detail.priority == detail.peer_priority is not None:
        what = f"both switches have priority {detail.priority}, so that the lower MAC decides who is primary"
        yield warn(what, "set clagd-priority 1000 on the one that is to be primary")
    if detail.system_mac and not _RESERVED.match(detail.system_mac):
        what = f"the system MAC {detail.system_mac} is not of the range for MLAG pairs"
        yield warn(what, "set clagd-sys-mac to one of 44:38:39:ff:00:00 to 44:38:39:ff:ff:ff, the same on both")
    if not detail.anycast:
        what = "there is no anycast IP, so each switch is a VTEP of its own to the controller"
        yield warn(what, "set clagd-vxlan-anycast-ip on lo, the same on both")


def against_file(detail: Detail, configured: dict[str, str]) -> Iterator[Finding]:
    """Compare what clagd does with what it will do after the next boot, by the keywords of `configured`."""
    for keyword, running, remedy in (
        (
            "clagd-priority",
            "" if detail.priority is None else str(detail.priority),
            "; clagctl priority N sets the first",
        ),
        ("clagd-backup-ip", detail.backup, ""),
        ("clagd-sys-mac", detail.system_mac, ""),
        ("clagd-vxlan-anycast-ip", detail.anycast, ""),
    ):
        written = configured.get(keyword, "").partition(" ")[0].lower()
        if written and running and written != running:
            what = f"clagd runs with {running}, and {keyword} in {INTERFACES} is {written}, which holds after a boot"
            yield warn(what, f"make them the same{remedy}")


def _addresses(ground: PreflightContext, detail: Detail) -> Iterator[Finding]:
    """Compare clagd's addresses with those in our configuration."""
    link, peer = ground.config.peer_link.interface, ground.address(ground.peer)
    if detail.peer_interface and detail.peer_interface != link:
        what = f"clagd's peer link is {detail.peer_interface}, and peer_link.interface is {link}"
        yield fail(what, f"write peer_link.interface: {detail.peer_interface}")
    told = _address(detail.peer_address)
    if told is not None and told != str(peer) and not ip_address(told).is_link_local:
        yield fail(f"clagd's peer is {told}, and nodes.{ground.peer}.peer_link is {peer}", "correct one of them")
    backup, path = _address(detail.backup), ground.backup(ground.peer)
    if backup is not None and path is not None and backup != str(path):
        what = f"clagd's backup IP is {backup}, and nodes.{ground.peer}.backup_path is {path}"
        yield warn(what, "use the same network for both, unless two backup paths are meant")
    elsewhere = check.other_vrf(ground.config, detail)
    if elsewhere is not None:
        yield fail(*elsewhere)


def _peer(ground: PreflightContext, detail: Detail) -> Iterator[Finding]:
    theirs = (ground.survey or {}).get("mlag") or {}
    for key, own, name in (
        ("system_mac", detail.system_mac, "system MAC (clagd-sys-mac)"),
        ("anycast_ip", detail.anycast, "anycast IP (clagd-vxlan-anycast-ip)"),
    ):
        other = theirs.get(key)
        if other is not None and other != own:
            what = f"the {name} is {own or 'not set'} here and {other or 'not set'} on {ground.peer}"
            yield fail(what, "set the same on both switches")


def _address(text: str) -> str | None:
    try:
        address = str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
    # The configured one of a point-to-point link over IPv6 is not the one that clagd resolves.
    return None if address.startswith("169.254.") and text == "linklocal" else address
