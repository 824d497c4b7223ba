"""Check this switch's ovsdb-server: it runs, answers, is in the role that was ordered, and would start harmless."""

from __future__ import annotations

from ovsha.checks import ovsdb
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, warning
from ovsha.core import diagnosis_parts
from ovsha.core.lineage import PARKED
from ovsha.core.words import span

_RESTART = "start it: systemctl start ovsha-ovsdb-server; its log is /var/log/openvswitch/ovsdb-server.log"
_ROLES = {"active": "active", "backup": "backup"}


def check(look: Look) -> Outcome:
    """Return how the server is."""
    server = look.server
    if server.pid is None:
        return critical(f"ovsdb-server does not run: {server.trouble}", _RESTART, pid=None)
    if server.stranger:
        do = f"compare section server of the configuration; if that is right, {_RESTART}"
        return critical(f"the server of {look.config.server.file} does not run: {server.stranger}", do, pid=None)
    if server.stopped:
        do = f"let it go on: kill -CONT {server.pid}"
        return critical(f"ovsdb-server (pid {server.pid}) is stopped by a signal or a tracer", do, pid=server.pid)
    if server.trouble:
        return _silent(look, server.pid)
    assert server.role is not None or server.line
    role = server.role.value if server.role else "unknown"
    major, minor = server.version
    text = f"ovsdb-server {major}.{minor} (pid {server.pid}) answers, role {role}"
    fine = ok(f"{text}{_ordered(look)}{look.without_agent}", pid=server.pid, role=role, version=f"{major}.{minor}")
    return joined([*_file(look), *_role(look, role), *_start(look)], fine)


def _silent(look: Look, pid: int) -> Outcome:
    """Tell a server that is busy, which a copy makes it for seconds, from one that hangs."""
    life = look.own["life"] if look.own else ""
    if life == "busy":
        limit = span(look.config.server.stall_limit)
        return warning(
            f"ovsdb-server (pid {pid}) is busy and has not answered yet, as during a copy",
            f"wait; beyond {limit} (server.stall_limit) the other side takes over",
            pid=pid,
        )
    do = "look at its log and at top; if it hangs: systemctl restart ovsha-ovsdb-server"
    if look.serves is not False and life != "hung":
        do = (
            "it may serve all the same: see ovsha status, and restart it only while the other side is in sync, which"
            " then takes over at once (systemctl restart ovsha-ovsdb-server)"
        )
    return critical(f"ovsdb-server (pid {pid}) runs but does not answer: {look.server.trouble}", do, pid=pid)


def _ordered(look: Look) -> str:
    wanted = _ROLES.get(look.own["state"]) if look.own else None
    return ", as ordered" if wanted else ""


def _role(look: Look, role: str) -> list[Outcome]:
    wanted = _ROLES.get(look.own["state"]) if look.own else None
    found = []
    if look.idle:
        do = "ovsha resume, when the work is done" if "paused" in look.idle else "set mode: active in the configuration"
        found.append(warning(f"the agent of this side {look.idle}, and carries out nothing", do))
    if wanted not in (None, role):
        do = "the agent puts it right; if this stays, see ovsha status and the agent's log"
        found.append(critical(f"ovsdb-server is {role}, but the agent has ordered {wanted}", do))
    return found


def _file(look: Look) -> list[Outcome]:
    server = look.server
    if not server.astray:
        return []
    do = diagnosis_parts.file_anew(str(server.control), server.astray)
    return [warning(diagnosis_parts.file_lost(server.astray, look.config.node), do)]


def _start(look: Look) -> list[Outcome]:
    words, several = look.server.words, ovsdb.several(look.server, look.config.server.database)
    if several:
        return [critical(several, ovsdb.APART.format(look.config.server.database))]
    if any(word.startswith("--config-file") for word in words):
        return [
            critical(
                "ovsdb-server was started with --config-file, under which it refuses the commands that change its role",
                "start it without --config-file, with --sync-from and --remote options",
            )
        ]
    if not any(word.startswith("--sync-from") for word in words):
        return [
            warning(
                "ovsdb-server was started without --sync-from, so it is active and writable whenever it starts",
                f"add --sync-from={PARKED} to its start (ovs-ctl-vtep)",
            )
        ]
    return []
