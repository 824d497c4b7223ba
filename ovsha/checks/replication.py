"""Check the copy: its session in the kernel, what the agent measured, and the schemas of both sides.

`ovsdb-server/sync-status` says "replicating" of a source that is long dead, so the session is looked for among the
server's sockets.
"""

from __future__ import annotations

from typing import Any

from ovsha.addresses import bare
from ovsha.checks import ovsdb, sockets
from ovsha.checks.look import START, Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, unknown, warning
from ovsha.core import schema as schemas
from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED
from ovsha.core.words import span
from ovsha.errors import DriverError


def check(look: Look) -> Outcome:
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
        found, text = _active(look, session)
    else:
        found, text = _backup(look, session)
    schema, same = _schema(look) if session and not found else ([], "")
    facts = {"role": server.role.value, "source": server.source, "session": session, "schema": same or None}
    fine = ok(f"{text}{', schema ' + same + ' on both sides' if same else ''}{look.without_agent}", **facts)
    return joined([*found, *schema], fine)


def _session(look: Look, pid: int) -> bool:
    """Tell whether our server has a TCP session with the peer's for the copy.

    On the active side it may also be that of the peer's agent, which looks at our server over the same port.
    """
    peer, port = bare(look.config.other.peer_link), look.config.replication.port
    active = look.server.role is Role.ACTIVE
    return any(
        port == (each.local_port if active else each.remote_port)
        # From which of its link-local addresses the peer comes is its kernel's choice.
        and (each.remote == peer or (each.remote.is_link_local and peer.is_link_local and peer.version == 6))
        for each in sockets.of(pid)
    )


def _active(look: Look, session: bool) -> tuple[list[Outcome], str]:
    peer, side = look.config.peer, look.other if look.current else None
    do = _advice(look, f"see ovsha status on {peer}")
    if not session:
        what = f"no backup follows this side: {peer} has no session with port {look.config.replication.port}"
        return [critical(what, do)], ""
    if side is not None and not (side["role"] == "backup" and side["replicating"] and side["life"] in ("up", "busy")):
        return [critical(f"no backup follows this side; {peer} says: {side['why'] or 'not replicating'}", do)], ""
    found, measured = _measured(look, side, peer)
    return found, f"{peer} follows this side, session up{measured}"


def _backup(look: Look, session: bool) -> tuple[list[Outcome], str]:
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


def _measured(look: Look, side: dict[str, Any] | None, node: str) -> tuple[list[Outcome], str]:
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


def _schema(look: Look) -> tuple[list[Outcome], str]:
    """Compare the schemas of both servers: a backup that lacks something of the active side's makes itself active."""
    try:
        with ovsdb.database(look.config) as session:
            own = session.schema()
        with ovsdb.database(look.config, look.source) as session:
            theirs = session.schema()
    except DriverError as error:
        return [unknown(f"the schemas cannot be compared: {error}", "see ovsha check server on both sides")], ""
    ours, other = schemas.describe(own), schemas.describe(theirs)
    if ours.checksum == other.checksum:
        return [], f"{ours.name} {ours.version} ({ours.checksum})"
    backup, active = (theirs, own) if look.server.role is Role.ACTIVE else (own, theirs)
    lacking = schemas.gap(backup, active)
    versions = f"{ours.version} here, {other.version} on {look.config.peer}"
    if lacking:
        what = f"the backup's schema lacks {lacking} ({versions}), so it gives up copying and makes itself active"
        return [critical(what, "convert the backup's database to the newer schema (ovsdb-tool convert)")], ""
    do = "finish the upgrade: convert the active side's database too, after a switchover"
    return [warning(f"the schemas differ ({versions}), and a switchover back would not be copied", do)], ""


def _advice(look: Look, else_: str) -> str:
    """Return what the agent advises, which knows more than this check."""
    return (look.document and look.document["do"]) or else_
