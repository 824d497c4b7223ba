"""Check the sessions with the controllers: on the active side one at least, on the backup none.

`Manager.is_connected` of a backup is a copy of the active side's row and tells nothing of this switch.  So the rows
are compared with the TCP sessions that ovsdb-server has in the kernel.
"""

from __future__ import annotations

from ovsha.checks import sockets, targets
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, critical, ok, unknown, warning
from ovsha.core.facts import Role
from ovsha.core.words import span
from ovsha.errors import DriverError

_SETTLING = 15.0
"""Seconds that a controller is given to be connected (again): ovsdb-server's back-off is 8 s."""


def check(look: Look) -> Outcome:
    """Return whether the right side, and only that one, is connected."""
    server = look.server
    if server.pid is None or server.role is None:
        return unknown(f"ovsdb-server does not answer: {server.trouble}", "see ovsha check server")
    try:
        rows = targets.managers(look.config)
        sessions = [each for each in sockets.of(server.pid) if each.remote not in look.peers]
    except DriverError as error:
        return unknown(str(error), "run this as root, and see ovsha check server")
    connected = [row for row in rows if any(row.has_session(each) for each in sessions)]
    serves = server.role is Role.ACTIVE and look.serves is not False
    return _active(look, rows, connected) if serves else _backup(look, rows, connected)


def _backup(look: Look, rows: list[targets.Manager], connected: list[targets.Manager]) -> Outcome:
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


def _active(look: Look, rows: list[targets.Manager], connected: list[targets.Manager]) -> Outcome:
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


def _reasons(rows: list[targets.Manager]) -> str:
    said = []
    for row in rows:
        state, error = row.status.get("state", ""), row.status.get("last_error", "")
        words = ", ".join(word for word in (state, error) if word)
        said.append(f"{row.where} ({words})" if words else row.where)
    return "; ".join(said)


def _try(look: Look, rows: list[targets.Manager]) -> str:
    if not any(each.startswith("db:") for each in look.server.remotes):
        return "its Manager remote is closed; see ovsha status, which tells why"
    tls = any(row.target.startswith("ssl:") for row in rows)
    checks = "the route and the firewall to it (ovsha preflight)"
    return f"see {checks}, and its certificate (ovsha check certs)" if tls else f"see {checks}"
