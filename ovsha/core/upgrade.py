"""Keep a switch that is being upgraded from serving what the upgrade has left of its database.

An upgrade of the system replaces the database by a blank one, and the script that starts its server by one that makes
it active and writable.  So a side that was prepared for an upgrade follows the peer, even where it is the preferred
one, asks for nothing and takes nothing over, until an operator has the upgrade finished, which needs a copy in sync.
"""

from __future__ import annotations

from ovsha.core.case import Case
from ovsha.core.facts import Life, State


def hindrance(c: Case) -> str:
    """Say which side is in an upgrade, so that the service cannot move, "" when none is."""
    settings = c.view.settings
    for node, there in ((settings.node, c.upgrading), (settings.peer, c.peer_upgrading)):
        if there:
            return f"{node} is in an upgrade: run `ovsha upgrade finish` on {node} first"
    return ""


def prepare_refusal(c: Case) -> str:
    """Say why this side must not be upgraded now, "" when it may be.

    The backup side is upgraded first: a newer server can follow an older one, and not the other way round.  The one
    that cannot follow for that very reason is let through, for the upgrade is what it needs.
    """
    settings = c.view.settings
    node, peer = settings.node, settings.peer
    if c.standalone:
        return f"{node} stands alone, so nobody serves meanwhile: take a backup with `ovsha backup create`"
    if c.upgrading:
        return f"{node} is in an upgrade already; `ovsha upgrade finish` ends it"
    if c.open or c.serving:
        return f"{node} is the active side, and the backup side is upgraded first: run `ovsha switchover --to {peer}`"
    if not c.alive:
        return f"{peer} is not heard, so nobody would serve while {node} is upgraded: bring {peer} up first"
    why = c.idle_side or hindrance(c)
    if why:
        return why
    if c.peer.estranged:
        return f"{peer} knows {node} by another identity; run `ovsha peer forget` on {peer} first"
    if c.memory.grant is not None or c.memory.ask is not None or c.peer.ask is not None or c.peer.grant is not None:
        return "the service is just being moved; try again in a moment"
    if not c.peer_serving or c.peer.state is not State.ACTIVE:
        return f"{peer} does not serve, or only in part: see ovsha status, and upgrade {node} when the pair is well"
    if not c.in_sync and not c.view.schema_gap:
        return f"the copy on {node} is not in sync with {peer}: see ovsha sync-status, and wait until it is"
    return ""


def finish_refusal(c: Case) -> str:
    """Say why the upgrade cannot be called finished now, "" when it can: this side is a complete copy again."""
    settings = c.view.settings
    node, peer = settings.node, settings.peer
    if not c.upgrading:
        return f"{node} is in no upgrade"
    if c.idle:
        return c.idle_side
    if c.view.server.life is not Life.UP or not c.view.server.loaded:
        return f"ovsdb-server on {node} does not answer: start it, or see its log"
    if c.both_upgrading:
        return (
            f"{peer} is in an upgrade too, and neither side serves: if the data of {node} is good,"
            " `ovsha resolve --keep self --reason TEXT` ends the upgrade here and serves it"
        )
    if not c.peer_serving:
        return f"{peer} is not there to be followed ({c.unfollowed}): bring it up, or, if it is lost, add --peer-lost"
    if c.view.schema_gap:
        own = c.view.server.schema
        version = own.version if own is not None else "of this side"
        return (
            f"the schema of {peer} has {c.view.schema_gap}, which {version}, that of {node}, lacks: ovsdb-server on"
            f" {node} was not upgraded, or its database was not converted"
        )
    return "" if c.in_sync else NOT_YET


def passes(c: Case) -> bool:
    """Tell whether what is against the end of the upgrade may pass by itself, as a server that starts does."""
    return c.upgrading and not c.idle and not c.both_upgrading and not c.view.schema_gap


NOT_YET = "the copy is not in sync yet"


def lost_refusal(c: Case) -> str:
    """Say why the upgrade cannot be ended without the peer, "" when it can."""
    if not c.upgrading:
        return f"{c.view.settings.node} is in no upgrade"
    if c.alive:
        peer = c.view.settings.peer
        return f"{peer} is heard, so it is not lost: run `ovsha upgrade finish` without --peer-lost"
    return ""
