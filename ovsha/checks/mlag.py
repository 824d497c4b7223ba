"""Check the MLAG pair as its daemon sees it: peer, roles, backup path, anycast address, conflicts, proto-down."""

from __future__ import annotations

from ipaddress import ip_address

from ovsha import mlag
from ovsha.checks.look import Look
from ovsha.checks.mlag_detail import Detail
from ovsha.checks.outcome import Level, Outcome, critical, joined, ok, unknown, warning
from ovsha.config import Config
from ovsha.core.facts import Clag
from ovsha.drivers.clag_parse import CLAGD_DOWN
from ovsha.drivers.mlag_facts import CLAGCTL, OWN, Source
from ovsha.errors import DriverError

_SERVICE = "systemctl status clagd, and /var/log/clagd.log"


def check(look: Look) -> Outcome:
    """Return how the MLAG pair is."""
    if look.config.standalone:
        return ok("this switch stands alone: there is no MLAG pair")
    try:
        answer = mlag.ask(look.config.clag)
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


def judge(clag: Clag, detail: Detail, source: Source = CLAGCTL) -> Outcome:
    """Return what the answer of an MLAG source means for an operator."""
    if CLAGD_DOWN in clag.trouble:
        return critical(f"clagd does not run, or MLAG is not configured: {CLAGD_DOWN}", f"see {_SERVICE}")
    if clag.role is None:
        return unknown(f"what {source.who} prints is not understood: {clag.trouble}", source.see)
    found = [*_peer(clag, detail, source), *_backup(clag, detail, source), *_interfaces(detail)]
    return joined(found, ok(_fine(clag, detail), source=source.name, **_facts(clag, detail)))


def _peer(clag: Clag, detail: Detail, source: Source) -> list[Outcome]:
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


def _backup(clag: Clag, detail: Detail, source: Source) -> list[Outcome]:
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


def _interfaces(detail: Detail) -> list[Outcome]:
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
