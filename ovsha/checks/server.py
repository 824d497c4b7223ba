"""Check this switch's ovsdb-server, its replication, and its sessions with the controllers.

`ovsdb-server/sync-status` says "replicating" of a source that is long dead, so the session is looked for among the
server's sockets.

`Manager.is_connected` of a backup is a copy of the active side's row and tells nothing of this switch.  So the rows
are compared with the TCP sessions that ovsdb-server has in the kernel.
"""

from __future__ import annotations

from typing import Any

from ovsha.checks.context import START, Context
from ovsha.checks.result import Result, critical, joined, ok, unknown, warning
from ovsha.config.values import bare
from ovsha.core import lineage as schemas
from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED
from ovsha.errors import DriverError
from ovsha.net import routes
from ovsha.ovsdb import own_server
from ovsha.report import problems
from ovsha.words import span

_RESTART = "start it: systemctl start ovsha-ovsdb-server; its log is /var/log/openvswitch/ovsdb-server.log"
_ROLES = {"active": "active", "backup": "backup"}


def check_server(look: Context) -> Result:
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


def _silent(look: Context, pid: int) -> Result:
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


def _ordered(look: Context) -> str:
    wanted = _ROLES.get(look.own["state"]) if look.own else None
    return ", as ordered" if wanted else ""


def _role(look: Context, role: str) -> list[Result]:
    wanted = _ROLES.get(look.own["state"]) if look.own else None
    found = []
    if look.idle:
        do = "ovsha resume, when the work is done" if "paused" in look.idle else "set mode: active in the configuration"
        found.append(warning(f"the agent of this side {look.idle}, and carries out nothing", do))
    if wanted not in (None, role):
        do = "the agent puts it right; if this stays, see ovsha status and the agent's log"
        found.append(critical(f"ovsdb-server is {role}, but the agent has ordered {wanted}", do))
    return found


def _file(look: Context) -> list[Result]:
    server = look.server
    if not server.astray:
        return []
    do = problems.file_anew(str(server.control), server.astray)
    return [warning(problems.file_lost(server.astray, look.config.node), do)]


def _start(look: Context) -> list[Result]:
    words, several = look.server.words, own_server.several(look.server, look.config.server.database)
    if several:
        return [critical(several, own_server.APART.format(look.config.server.database))]
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


def check_replication(look: Context) -> Result:
    """Return how the copy is, seen from this side."""
    if look.config.standalone:
        return ok("this switch stands alone: nothing is copied from it or to it")
    server = look.server
    if server.pid is None or server.role is None:
        return critical(
            f"nothing is copied, as ovsdb-server does not answer: {server.trouble}", "see ovsha check server"
        )
    try:
        session = _session(look, server.pid)
    except DriverError as error:
        return unknown(str(error), "run this as root")
    if server.role is Role.ACTIVE:
        found, text = _active_replicates(look, session)
    else:
        found, text = _backup_replicates(look, session)
    schema, same = _schema(look) if session and not found else ([], "")
    facts = {"role": server.role.value, "source": server.source, "session": session, "schema": same or None}
    fine = ok(f"{text}{', schema ' + same + ' on both sides' if same else ''}{look.without_agent}", **facts)
    return joined([*found, *schema], fine)


def _session(look: Context, pid: int) -> bool:
    """Tell whether our server has a TCP session with the peer's for the copy.

    On the active side it may also be that of the peer's agent, which looks at our server over the same port.
    """
    peer, port = bare(look.config.other.peer_link), look.config.replication.port
    active = look.server.role is Role.ACTIVE
    return any(
        port == (each.local_port if active else each.remote_port)
        # From which of its link-local addresses the peer comes is its kernel's choice.
        and (each.remote == peer or (each.remote.is_link_local and peer.is_link_local and peer.version == 6))
        for each in routes.of(pid)
    )


def _active_replicates(look: Context, session: bool) -> tuple[list[Result], str]:
    peer, side = look.config.peer, look.other if look.current else None
    do = _advice(look, f"see ovsha status on {peer}")
    if not session:
        what = f"no backup follows this side: {peer} has no session with port {look.config.replication.port}"
        return [critical(what, do)], ""
    if side is not None and not (side["role"] == "backup" and side["replicating"] and side["life"] in ("up", "busy")):
        return [critical(f"no backup follows this side; {peer} says: {side['why'] or 'not replicating'}", do)], ""
    found, measured = _measured(look, side, peer)
    return found, f"{peer} follows this side, session up{measured}"


def _backup_replicates(look: Context, session: bool) -> tuple[list[Result], str]:
    server = look.server
    if server.source == PARKED:
        why = look.own["why"] if look.own else "as it was started, or as the agent left it"
        return [critical(f"this backup copies from nobody: it is parked ({why})", _advice(look, START))], ""
    if server.source != look.source:
        what = f"this backup is told to copy from {server.source}, and not from {look.source}"
        return [critical(what, _advice(look, START))], ""
    if not session:
        do = _advice(look, f"see ovsha check server on {look.config.peer}, and ovsha check peer")
        return [critical(f"this backup has no session with {server.source}: {server.line}", do)], ""
    found, measured = _measured(look, look.own, look.config.node)
    return found, f"backup of {server.source}, session up{measured}"


def _measured(look: Context, side: dict[str, Any] | None, node: str) -> tuple[list[Result], str]:
    """Return what the agent has measured of the copy on `node`."""
    if side is None:
        who = f"{node} is not heard" if look.document else "the agent does not answer"
        do = "see ovsha check peer" if look.document else START
        return [unknown(f"a session is up, but whether the copy on {node} is in sync is not known: {who}", do)], ""
    since, lag, limit = side["in_sync_for"], side["lag"], look.config.replication.max_lag
    if lag is not None and lag > limit:
        do = "see the load of both switches and the loss on the peer link (ovsha check peer)"
        return [warning(f"the copy on {node} lags by {span(lag)}, more than {limit:g} s", do, lag=lag)], ""
    if since is None:
        what = f"the copy on {node} is not in sync yet; {node} says: {side['why'] or 'it is being filled'}"
        return [warning(what, _advice(look, "wait; a copy of 100,000 rows takes some seconds"))], ""
    return [], f", in sync for {span(since)}" + ("" if lag is None else f", lag {span(lag)}")


def _schema(look: Context) -> tuple[list[Result], str]:
    """Compare the schemas of both servers: a backup that lacks something of the active side's makes itself active."""
    try:
        with own_server.database(look.config) as session:
            own = session.schema()
        with own_server.database(look.config, look.source) as session:
            theirs = session.schema()
    except DriverError as error:
        return [unknown(f"the schemas cannot be compared: {error}", "see ovsha check server on both sides")], ""
    ours, other = schemas.describe_schema(own), schemas.describe_schema(theirs)
    if ours.checksum == other.checksum:
        return [], f"{ours.name} {ours.version} ({ours.checksum})"
    backup, active = (theirs, own) if look.server.role is Role.ACTIVE else (own, theirs)
    lacking = schemas.schema_gap(backup, active)
    versions = f"{ours.version} here, {other.version} on {look.config.peer}"
    if lacking:
        what = f"the backup's schema lacks {lacking} ({versions}), so it gives up copying and makes itself active"
        return [critical(what, "convert the backup's database to the newer schema (ovsdb-tool convert)")], ""
    do = "finish the upgrade: convert the active side's database too, after a switchover"
    return [warning(f"the schemas differ ({versions}), and a switchover back would not be copied", do)], ""


def _advice(look: Context, else_: str) -> str:
    """Return what the agent advises, which knows more than this check."""
    return (look.document and look.document["do"]) or else_


_SETTLING = 15.0
"""Seconds that a controller is given to be connected (again): ovsdb-server's back-off is 8 s."""


def check_controller(look: Context) -> Result:
    """Return whether the right side, and only that one, is connected."""
    server = look.server
    if server.pid is None or server.role is None:
        return unknown(f"ovsdb-server does not answer: {server.trouble}", "see ovsha check server")
    try:
        rows = own_server.managers(look.config)
        sessions = [each for each in routes.of(server.pid) if each.remote not in look.peers]
    except DriverError as error:
        return unknown(str(error), "run this as root, and see ovsha check server")
    connected = [row for row in rows if any(row.has_session(each) for each in sessions)]
    serves = server.role is Role.ACTIVE and look.serves is not False
    return _active_has_one(look, rows, connected) if serves else _backup_has_none(look, rows, connected)


def _backup_has_none(look: Context, rows: list[own_server.Manager], connected: list[own_server.Manager]) -> Result:
    facts = {"expected": False, "connected": [row.target for row in connected]}
    if not connected:
        text = f"no session with any of {len(rows)} controllers, as it should be on the side that does not serve"
        return ok(f"{text}{look.without_agent}", **facts)
    names = ", ".join(row.where for row in connected)
    remote = next((each for each in sorted(look.server.remotes) if each.startswith("db:")), "")
    closing = f"ovs-appctl -t {look.config.server.pidfile.parent}/ovsdb-server.{look.server.pid}.ctl "
    do = f"take the remote away: {closing}ovsdb-server/remove-remote {remote}" if remote else "see ovsha check server"
    return critical(
        f"connected to {names}, but this side does not serve: the controller sees two switches with one identity",
        do,
        **facts,
    )


def _active_has_one(look: Context, rows: list[own_server.Manager], connected: list[own_server.Manager]) -> Result:
    facts = {"expected": True, "connected": [row.target for row in connected], "configured": len(rows)}
    if not rows:
        return warning(
            "the Manager table is empty: no controller is configured", "vtep-ctl set-manager ssl:ADDRESS:6640", **facts
        )
    lying = [row.where for row in rows if row.connected and row not in connected and row.read is not None]
    if lying:
        do = "look again in some seconds; if it stays, ovs-appctl ... ovsdb-server/reconnect"
        return warning(f"the Manager row of {', '.join(lying)} says connected, but there is no session", do, **facts)
    if connected:
        names = ", ".join(row.where for row in connected)
        return ok(f"connected to {len(connected)} of {len(rows)} controllers: {names}{look.without_agent}", **facts)
    since = look.own["active_for"] if look.own else None
    if since is not None and since < _SETTLING:
        return warning(
            f"no controller is connected yet; this side became active {span(since)} ago",
            f"look again in {span(_SETTLING - since)}",
            **facts,
        )
    lost = [int(word) for row in rows if (word := row.status.get("sec_since_disconnect", "")).isdecimal()]
    if lost and min(lost) < _SETTLING:
        what = f"the session with the last controller ended {span(min(lost))} ago: {_reasons(rows)}"
        return warning(what, f"look again in {span(_SETTLING - min(lost))}; ovsdb-server tries again", **facts)
    return critical(f"this side serves, but no controller is connected: {_reasons(rows)}", _try(look, rows), **facts)


def _reasons(rows: list[own_server.Manager]) -> str:
    said = []
    for row in rows:
        state, error = row.status.get("state", ""), row.status.get("last_error", "")
        words = ", ".join(word for word in (state, error) if word)
        said.append(f"{row.where} ({words})" if words else row.where)
    return "; ".join(said)


def _try(look: Context, rows: list[own_server.Manager]) -> str:
    if not any(each.startswith("db:") for each in look.server.remotes):
        return "its Manager remote is closed; see ovsha status, which tells why"
    tls = any(row.target.startswith("ssl:") for row in rows)
    checks = "the route and the firewall to it (ovsha preflight)"
    return f"see {checks}, and its certificate (ovsha check certs)" if tls else f"see {checks}"
