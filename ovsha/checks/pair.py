"""Check what the pair rests on: MLAG, VIP, peer, BFD, disks."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ovsha.checks.context import START, Context
from ovsha.checks.result import Level, Result, critical, joined, ok, unknown, warning
from ovsha.config import Config
from ovsha.config.values import bare
from ovsha.core.facts import Clag
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.host.disk import MARGIN
from ovsha.mlag import reader
from ovsha.mlag.parse import CLAGD_DOWN, Detail
from ovsha.mlag.sources import CLAGCTL, OWN, Source
from ovsha.net import routes
from ovsha.words import ago, span

_CONNECT_LIMIT = 2.0
_START = "start the agent, which puts it there: systemctl start ovsha"


def check_vip(look: Context) -> Result:
    """Return where the VIP is, and whether it should be there."""
    vip = look.config.vip
    if vip.address is None:
        return ok("this switch stands alone without a VIP: its VTEP daemon uses the Unix socket")
    address = ip_address(str(vip.address))
    try:
        addresses = routes.held()
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


def _held_there(look: Context) -> bool:
    return look.current and look.other is not None and bool(look.other["vip"])


def _place(look: Context, on: list[str], serves: bool) -> list[Result]:
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


def _unusable(look: Context, on: list[str]) -> list[Result]:
    """Tell of an address that the kernel holds back until it is sure that nobody else has it, or for ever."""
    if not on:
        return []
    address, name = look.config.vip.address, on[0]
    do = f"find who else has it (ip -6 neighbour; ip address show dev {name}); the agent puts it back"
    return [critical(f"{address} on {name} cannot be used: another host has it, or that is not known yet", do)]


def _elsewhere(look: Context, here: bool) -> list[Result]:
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


def _subnet(look: Context, addresses: list[routes.Held]) -> list[Result]:
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
    subnets = routes.subnets(addresses, link, address)
    if any(address in each for each in subnets):
        return []
    names = ", ".join(map(str, subnets))
    return [warning(f"{address} is not in the peer link's subnet {names}", f"choose a vip.address in {names}")]


def _answered(look: Context) -> tuple[bool, str]:
    """Open a TCP connection to it, as a VTEP daemon would, and close it again."""
    vip = look.config.vip
    try:
        socket.create_connection((str(vip.address), vip.port), _CONNECT_LIMIT).close()
    except OSError as error:
        return False, error.strerror or str(error)
    return True, ""


_NAMES = {"peer-link": "the peer link", "backup-path": "the backup path"}
_RECENT = 60.0
"""Seconds for which heartbeats that were sealed with another key tell why the peer is not heard."""


def check_peer(look: Context) -> Result:
    """Return how the peer is heard."""
    document, peer = look.document, look.config.peer
    if look.config.standalone and document is None:
        why = look.trouble.removesuffix("; start ovsha")
        return critical(f"without the agent nothing is served again that stops: {why}", START)
    if look.config.standalone:
        return ok("this switch stands alone: there is no peer")
    if document is None:
        why = look.trouble.removesuffix("; start ovsha")
        return critical(f"without the agent {peer} is not heard here, and nothing moves by itself: {why}", START)
    identity, presence = document["identity"], document["presence"]
    facts = {"presence": presence, "paths": document["paths"]}
    if identity["stranger"] or identity["estranged"]:
        text = f"{peer} is not the switch that was learned as the peer, or does not know this one again"
        do = "if one of them was replaced: ovsha peer forget, on the other one; see ovsha peer show"
        return critical(text, do, **facts)
    if presence != "alive":
        said = document["sides"][peer]
        heard = ago(said["age"]) if said else "never"
        if _other_key(look, document):
            text = f"{peer} is {presence}, last heard {heard}: its heartbeats are sealed with another key"
            return critical(text, "copy pair.key_file from one switch to the other, and restart ovsha there", **facts)
        if presence == "silent":
            text = f"the agent on {peer} is silent, last heard {heard}, but the switch is not dead"
            return critical(text, f"start or restart ovsha on {peer}; on {peer}: ovsha check all", **facts)
        do = f"see that {peer} has power and runs ovsha, and that its links are up; on {peer}: ovsha check all"
        return critical(f"{peer} is {presence}: last heard {heard}", do, **facts)
    found = [each for name, path in document["paths"].items() for each in _path(peer, name, path)]
    if document["sides"][peer]["mode"] != "active":
        what = f"{peer} is heard, but its agent carries out nothing (mode {document['sides'][peer]['mode']})"
        found.append(warning(what, f"on {peer}: ovsha resume, or set mode: active in its configuration"))
    if "backup-path" not in document["paths"]:
        do = "set backup_path of both nodes in the configuration to their clagd-backup-ip addresses"
        text = "there is no backup path: a cut peer link cannot be told from a dead peer"
        found.append(warning(text, do))
    heard = "; ".join(_told(name, path) for name, path in document["paths"].items())
    return joined(found, ok(f"{peer} is alive, heard over {heard}", **facts))


def _other_key(look: Context, document: dict[str, Any]) -> bool:
    """Return whether heartbeats that come from the peer's own address were refused for their key a moment ago."""
    node = look.config.other
    own = (str(node.peer_link).partition("%")[0], str(node.backup_path))
    forged = (each for each in document["collisions"]["seen"] if each["kind"] == "forged")
    return any(each["address"] in own and each["last_age"] < _RECENT for each in forged)


def _path(peer: str, name: str, path: dict[str, Any]) -> list[Result]:
    where = _NAMES.get(name, name)
    if path["trouble"]:
        return [warning(f"{where} cannot be used from here: {path['trouble']}", "correct that address or that link")]
    if path["state"] in ("up", "degraded"):
        return []
    age = ago(path["heard_age"])
    what = {
        "one-way in": f"{peer} is heard over {where}, but does not hear this switch there",
        "one-way out": f"{peer} hears this switch over {where}, but is not heard there (last {age})",
    }.get(path["state"], f"{peer} is not heard over {where} (last {age})")
    do = f"see that {where} is up on both sides and that UDP passes both ways; on {peer}: ovsha check peer"
    return [warning(what, do)]


def _told(name: str, path: dict[str, Any]) -> str:
    trip = path["round_trip"]
    return _NAMES.get(name, name) + ("" if trip is None else f" (round trip {span(trip)})")


_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """One BFD session: over which port, to which service node, and its state ("Up" is well)."""

    port: str
    peer: str
    state: str
    diagnosis: str


def check_bfd(look: Context) -> Result:
    """Return whether every session is up."""
    del look
    if shutil.which("ptmctl") is None:
        return ok("ptmctl is not installed, so no BFD session is looked at")
    try:
        status, text = child.read_output(["ptmctl", "-b"], _LIMIT)
        sessions = parse(text)
    except (DriverError, ValueError) as error:
        return unknown(f"the BFD sessions are not known: {error}", "see systemctl status ptmd")
    if status and not sessions:
        first = next(iter(text.strip().splitlines()), "it printed nothing")
        return unknown(f"ptmctl -b failed: {first}", "see systemctl status ptmd")
    facts = {"sessions": len(sessions)}
    down = [each for each in sessions if each.state.lower() != "up"]
    if down:
        names = ", ".join(f"{each.peer} on {each.port} is {each.state}{_why(each)}" for each in down)
        do = "see the way to the service node; after a restart of switchd or networking: restart openvswitch-vtep"
        return warning(f"{len(down)} of {len(sessions)} BFD sessions are not up: {names}", do, **facts)
    return ok(f"{len(sessions)} BFD sessions, all up" if sessions else "there is no BFD session", **facts)


def parse(text: str) -> list[Session]:
    """Return the sessions in what `ptmctl -b` prints: a table with its titles between two rules.

    Raises ValueError, which names what is not as ptmctl prints it.
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("---")]
    start = next((number for number, words in enumerate(lines) if words[:3] == ["port", "peer", "state"]), None)
    if start is None:
        if not lines or "no " in text.lower():
            return []
        raise ValueError(f"ptmctl printed {' '.join(lines[0])[:60]!r}")
    titles = lines[start]
    sessions = []
    for words in lines[start + 1 :]:
        row = dict(zip(titles, words, strict=False))
        if len(words) < 3:
            raise ValueError(f"ptmctl printed a session as {' '.join(words)[:60]!r}")
        sessions.append(Session(row["port"], row["peer"], row["state"], row.get("diag", "N/A")))
    return sessions


def _why(session: Session) -> str:
    return "" if session.diagnosis in ("N/A", "-") else f" ({session.diagnosis})"


_MEGABYTE = 1 << 20
_COPIES = 3
"""Sizes of the database that are to be free: a compaction and a resync write it whole, and so does a snapshot."""


def check_disk(look: Context) -> Result:
    """Return whether each directory has room and can be written to."""
    config = look.config
    places = {
        "the database": config.server.file.parent,
        "the agent's state": config.state_directory,
        "the snapshots": config.snapshots.directory,
    }
    try:
        size = config.server.file.stat().st_size
    except OSError as error:
        do = "correct server.file in the configuration, or create the database (vtep-bootstrap)"
        return critical(f"{config.server.file}: the database cannot be looked at: {error.strerror}", do)
    found: list[Result] = []
    told: dict[int, str] = {}
    for what, place in places.items():
        found += look_at(what, place, size, told)
    text = f"all can be written to, free {', '.join(told.values())}; the database has {megabytes(size)}"
    return joined(found, ok(text, database=size))


def look_at(what: str, place: Path, size: int, told: dict[int, str]) -> list[Result]:
    """Return what is wrong with a directory; `told` gets the room on its disk, once for each disk.

    The agent makes its own directories, so that for one that does not exist the nearest above it is looked at.
    """
    there = next(path for path in (place, *place.parents) if path.exists())
    try:
        space, device = os.statvfs(there), there.stat().st_dev
        free = space.f_bavail * space.f_frsize
        first = device not in told
        told.setdefault(device, f"{megabytes(free)} on the disk of {place}")
        if first and free < size + MARGIN:
            text = f"the disk of {what} ({place}) has {megabytes(free)} free, and {megabytes(size + MARGIN)} are needed"
            return [critical(text, "free some there; an active ovsdb-server refuses every write on a full disk")]
        with tempfile.NamedTemporaryFile(dir=there, prefix=".ovsha-check-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return [critical(f"{what} ({place}) cannot be written to: {error.strerror}", _remedy(error))]
    if first and free < _COPIES * size + MARGIN:
        wanted = megabytes(_COPIES * size + MARGIN)
        text = f"the disk of {what} ({place}) has {megabytes(free)} free; a full copy and a snapshot want {wanted}"
        return [warning(text, "free some there, or lower snapshots.keep")]
    if first and space.f_files and space.f_favail < 100:
        return [warning(f"the disk of {what} ({place}) has {space.f_favail} inodes left", "remove files there")]
    return []


def megabytes(size: int) -> str:
    """Return a size the way df -h does."""
    return f"{size / _MEGABYTE / 1024:.1f} GB" if size >= 1024 * _MEGABYTE else f"{size / _MEGABYTE:.0f} MB"


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run this as root; as root it may be a read-only mount"
    return "see dmesg, and mount it writable: a disk with errors becomes read-only"


_SERVICE = "systemctl status clagd, and /var/log/clagd.log"


def check_mlag(look: Context) -> Result:
    """Return how the MLAG pair is."""
    if look.config.standalone:
        return ok("this switch stands alone: there is no MLAG pair")
    try:
        answer = reader.ask(look.config.clag)
    except DriverError as error:
        return unknown(f"the MLAG role cannot be asked for: {error}", "correct section clag of the configuration")
    outcome = judge(answer.clag, answer.detail, answer.source)
    elsewhere = None if answer.source is OWN else other_vrf(look.config, answer.detail)
    return joined([warning(*elsewhere)], outcome) if elsewhere and outcome.level is Level.OK else outcome


def other_vrf(config: Config, detail: Detail) -> tuple[str, str] | None:
    """Return that clagd's backup IP is in another VRF than our backup path, and what to do; None when it is not."""
    peer = config.nodes.get(config.peer)
    own = peer.backup_path if peer else None
    if own is None or detail.backup != str(own) or detail.vrf == config.backup_path.vrf:
        return None
    told, ours = (f"VRF {name}" if name else "the default VRF" for name in (detail.vrf, config.backup_path.vrf))
    what = f"clagd reaches its backup IP {detail.backup} in {told}, and the agent looks for it in {ours}"
    return what, f"set backup_path.vrf: {detail.vrf or 'null'} on both switches"


def judge(clag: Clag, detail: Detail, source: Source = CLAGCTL) -> Result:
    """Return what the answer of an MLAG source means for an operator."""
    if CLAGD_DOWN in clag.trouble:
        return critical(f"clagd does not run, or MLAG is not configured: {CLAGD_DOWN}", f"see {_SERVICE}")
    if clag.role is None:
        return unknown(f"what {source.who} prints is not understood: {clag.trouble}", source.see)
    found = [*_peer(clag, detail, source), *_backup(clag, detail, source), *_interfaces(detail)]
    return joined(found, ok(_fine(clag, detail), source=source.name, **_facts(clag, detail)))


def _peer(clag: Clag, detail: Detail, source: Source) -> list[Result]:
    if clag.peer_alive is None:
        why = f": {detail.reason}" if detail.reason else ""
        return [unknown(f"{source.who} does not tell whether the peer is alive{why}", source.see)]
    if clag.peer_alive:
        return []
    role = clag.role.value if clag.role else "unknown"
    if clag.backup_active:
        what = f"the peer is not alive over {detail.peer_interface or 'the peer link'}, but the backup path is active"
        return [critical(f"{what}: the peer link is cut (our role {role})", "see the peer link's bond and its ports")]
    what = f"the peer is not alive and the backup path is inactive (our role {role})"
    if source is OWN:
        return [critical(what, f"the peer is down, or its MLAG daemon is: on the peer {source.see}")]
    return [critical(what, f"the peer is down, or its clagd is: on the peer see {_SERVICE}")]


def _backup(clag: Clag, detail: Detail, source: Source) -> list[Result]:
    if source is OWN:
        silent = clag.backup_active is False and clag.peer_alive
        what = "the backup path is not alive: a cut peer link could not be told from a dead peer"
        return [warning(what, source.see)] if silent else []
    if not detail.backup:
        what = "no backup IP is configured: if the primary dies hard, the secondary never takes over"
        return [warning(what, "set clagd-backup-ip to the peer's address on another network, on both switches")]
    try:
        ip_address(detail.backup.partition("%")[0])
    except ValueError:
        what = f"the backup IP is {detail.backup!r}, which is no address"
        return [warning(what, "correct clagd-backup-ip in /etc/network/interfaces")]
    if clag.backup_active is False and clag.peer_alive:
        what = f"the backup path to {detail.backup} is inactive: a cut peer link could not be told from a dead peer"
        return [warning(what, f"ping {detail.backup}; UDP port 5342 must pass; on a VRF: clagd-backup-ip ADDRESS vrf")]
    return []


def _interfaces(detail: Detail) -> list[Result]:
    conflicts = [f"{each.name} ({each.conflict})" for each in detail.interfaces if each.conflict]
    down = [f"{each.name} ({each.down})" for each in detail.interfaces if each.down]
    found = []
    if conflicts:
        what = f"{len(conflicts)} interfaces have a conflict: {_few(conflicts)}"
        found.append(warning(what, "give the bond the same clag-id and the same hosts on both switches; clagctl -v"))
    if down:
        what = f"{len(down)} interfaces are kept down by clagd: {_few(down)}"
        do = "vxlan-single: configure it on the peer too; else restore the peer link (clagctl; ip -d link show)"
        found.append(warning(what, do))
    return found


def _fine(clag: Clag, detail: Detail) -> str:
    role, peer_role = clag.role.value if clag.role else "", clag.peer_role.value if clag.peer_role else "unknown"
    priorities = f" (priority {detail.priority})" if detail.priority is not None else ""
    theirs = f" (priority {detail.peer_priority})" if detail.peer_priority is not None else ""
    anycast = f"anycast IP {detail.anycast}" if detail.anycast else "no anycast IP"
    bonds = f"; {len(detail.interfaces)} interfaces without conflict" if detail.interfaces else ""
    path = f"backup IP {detail.backup}" if detail.backup else "backup path"
    path += {True: " active", False: "", None: " unknown"}[clag.backup_active]
    return f"peer alive; {role}{priorities}, peer {peer_role}{theirs}; {path}; {anycast}{bonds}"


def _facts(clag: Clag, detail: Detail) -> dict[str, object]:
    return {
        "role": clag.role.value if clag.role else None,
        "peer_role": clag.peer_role.value if clag.peer_role else None,
        "peer_alive": clag.peer_alive,
        "backup_active": clag.backup_active,
        "priority": detail.priority,
        "peer_priority": detail.peer_priority,
        "backup_ip": detail.backup or None,
        "anycast_ip": detail.anycast or None,
        "conflicts": [each.name for each in detail.interfaces if each.conflict],
        "proto_down": [each.name for each in detail.interfaces if each.down],
    }


def _few(names: list[str]) -> str:
    """Name three, and say how many more there are: a switch may have hundreds."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
