"""Each operator order: why it is refused, and what it does to what the side remembers.

*Switchover* and *restore*: the side that shall serve asks for the service, with both sides alive and in sync.

*Resolve* may be said on either side.  The side whose data is kept asks for the service, which the other side then gives
whatever the state of the copies is; the other side takes a snapshot of its own data and follows.

*Failover* by force is the last resort: the pair itself never does this, because a side that is silent is not known to
be dead.

*Found*: that the second one has not joined yet is an operator's word, given once.  It is remembered on disk, holds
through restarts and reboots, and ends for good when the peer is heard for the first time: from then on two sides may
hold data, and a side that hears nobody no longer knows that nobody else serves.

*Upgrade*: one of the system replaces the database by a blank one, and the script that starts its server by one that
makes it active and writable.  So a side that was prepared for an upgrade follows the peer, even where it is the
preferred one, asks for nothing and takes nothing over, until an operator has the upgrade finished, which needs a copy
in sync.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import guard, lineage
from ovsha.core.facts import Life, Presence, Role, State, Token
from ovsha.core.situation import Situation
from ovsha.core.view import Memory, with_reason
from ovsha.words import ago, span

DECISION_HOLDS = 60.0
"""Seconds within which an operator's decision is carried out, or forgotten."""


def resolve_refusal(c: Situation, asked: bool, keep: str) -> str:
    """Say why node `keep`'s data cannot be kept by a word of the operator; `asked`: this side waits for such a word."""
    settings = c.view.settings
    idle = c.idle_side
    if idle:
        return idle
    if c.standalone and keep != settings.node:
        return f"{settings.node} stands alone: there is no other side whose data could be kept"
    if keep not in (settings.node, settings.peer):
        return f"node {keep} is not of this pair: it has {settings.node} and {settings.peer}"
    if not asked and not (c.alive and c.peer.decision):
        return "nothing waits for a decision; see ovsha status"
    if c.presence is Presence.SILENT:
        return f"the agent on {settings.peer} is silent while its switch lives: start ovsha there first"
    if keep == settings.peer:
        if c.peer_upgrading:
            return f"{settings.peer} is in an upgrade: say it on {settings.peer}, which ends the upgrade there"
        if not c.alive:
            return f"{settings.peer} is not heard: bring it up first, then its data can be copied"
        row = guard.objection(c)
        if row is not None and row.final and c.peer.serving:
            return row.find(c)
    return ""


def resolve_ordered(c: Situation, keep: str) -> Memory:
    """Return the memory with the operator's decision in it."""
    return replace(c.memory, keep=keep, keep_until=c.view.now + DECISION_HOLDS, failed_copies=0, moves=())


def force_refusal(c: Situation) -> str:
    """Say why this side must not be forced to serve, "" when it may be."""
    server, node, peer = c.view.server, c.view.settings.node, c.view.settings.peer
    if c.serving:
        return f"{node} serves already; nothing is to be forced"
    if c.standalone:
        return f"{node} stands alone and serves by itself, unless it needs a decision: see ovsha status"
    hindrance = c.idle_side
    if hindrance:
        return hindrance
    if c.alive:
        return _heard(c)
    if server.life is not Life.UP or not server.loaded:
        return f"ovsdb-server on {node} does not answer, so it cannot serve: see its log, and restart it"
    if server.empty:
        return f"the database on {node} is empty: it would have the controllers write everything anew"
    if c.memory.copying and server.stamp != c.known_stamp:
        return f"the copy on {node} is only half filled, and must not be served"
    if c.presence is Presence.DEAD and not (c.outdated or c.rolled_back or c.too_far_behind or c.upgrading):
        return f"{peer} is dead and {node} takes over by itself; see ovsha status"
    return ""


def _heard(c: Situation) -> str:
    peer = c.view.settings.peer
    if c.peer.decision or c.memory.stuck_since is not None:
        return f"{peer} is heard, so it can be asked: use `ovsha resolve --keep self --reason TEXT`"
    if c.peer_serving and c.in_sync:
        return f"{peer} is heard and healthy: use `ovsha switchover`, which loses nothing"
    return f"{peer} is heard, so nothing is forced: see ovsha status for what is wrong, then use `ovsha switchover`"


def force_ordered(c: Situation) -> Memory:
    """Return the memory with the operator's order in it."""
    return replace(resolve_ordered(c, c.view.settings.node), forced=True)


def force_exposure(c: Situation) -> tuple[str, ...]:
    """Return what an operator must know before forcing it: what may be lost, and what may go on over there."""
    return tuple(line for line in (_last_heard(c), _copy(c), _behind(c), _over_there(c), _stays(c)) if line)


def _last_heard(c: Situation) -> str:
    peer, age = c.view.settings.peer, c.view.heard_age
    if age is None:
        return f"the agent on {peer} was never heard since this one started or woke"
    return f"the agent on {peer} was last heard {ago(age)}; nothing it says is known since"


def _copy(c: Situation) -> str:
    server, node = c.view.server, c.view.settings.node
    if server.stamp is None:
        return f"the database on {node} is of unknown lineage"
    lag = "" if c.view.copy.lag is None else f"; its last measured lag was {span(c.view.copy.lag)}"
    return f"the copy on {node} is of term {server.stamp.term} and ends at token {_text(server.token)}{lag}"


def _behind(c: Situation) -> str:
    """Say how the copy compares with the newest that was ever seen of the peer."""
    server, peer = c.view.server, c.view.settings.peer
    old = lineage.outdated(server, lineage.term_of(c.known_stamp)) or lineage.rolled_back(server, c.memory.held)
    if old:
        return f"{old}; everything written since is lost"
    seen = c.memory.peer_token
    if seen is not None and seen > (server.token or (0, 0)):
        return f"{peer} was seen at token {_text(seen)}; what it acknowledged after {_text(server.token)} is lost"
    return f"what {peer} acknowledged after that token, if anything, is lost"


def _over_there(c: Situation) -> str:
    peer, source = c.view.settings.peer, c.view.source
    if c.presence is not Presence.SILENT:
        return ""
    if source.role is Role.ACTIVE:
        return (
            f"ovsdb-server on {peer} still answers as active: both sides will serve and hold the VIP until ovsha runs"
            f" on {peer}, unless you stop ovsdb-server there first; of what each acknowledges one half will be lost"
        )
    return f"the switch {peer} still answers: if it serves, both sides will, and one half of what they write is lost"


def _stays(c: Situation) -> str:
    node = c.view.settings.node
    if c.configured == node:
        return ""
    return f"the service stays at {node} until it is moved again: `ovsha restore-primary` gives it back"


def _text(token: Token | None) -> str:
    return "none" if token is None else f"{token[0]}.{token[1]}"


_DIGITS = frozenset("0123456789abcdef")


def founding_refusal(c: Situation, known: str) -> str:
    """Say why this side must not serve alone as the first of a new pair, "" when it may.

    `known`: the identity by which the peer is known, "" when it was never met.
    """
    server, node, peer = c.view.server, c.view.settings.node, c.view.settings.peer
    if c.standalone:
        return f"{node} stands alone: name the second switch under nodes first"
    hindrance = c.idle_side
    if hindrance:
        return hindrance
    if c.alive:
        return f"{peer} is heard, so the pair has both its sides: see ovsha status"
    if known or c.memory.met or c.view.estranged is not None:
        return f"{node} has met {peer} before, so this is no new pair: see ovsha status, and at last ovsha failover"
    if server.life is not Life.UP or not server.loaded:
        return f"ovsdb-server on {node} does not answer, so it cannot serve: see its log, and restart it"
    return c.unlike_a_new_unit or c.outdated


def founding_ordered(c: Situation) -> Memory:
    """Return the memory with the operator's word in it."""
    return replace(c.memory, founding=True)


def replacement_refusal(c: Situation, node: str, identity: str, known: str) -> str:
    """Say why the switch `identity` must not take the place of our peer, "" when it may.

    `node`: the name it goes by, `known`: the identity by which the peer is known, "" when it was never met.
    """
    settings = c.view.settings
    if node != settings.peer:
        return f"{settings.node} has {settings.peer} as its peer, and not {node}"
    if len(identity) != 32 or not _DIGITS.issuperset(identity):
        return "the identity of a switch is 32 hexadecimal digits"
    if identity == known:
        return ""
    if c.alive:
        age = c.view.heard_age
        heard = "" if age is None else f", heard {ago(age)}"
        return f"the {node} that {settings.node} knows is alive{heard}, so nothing replaces it: switch it off first"
    if c.view.source.loaded and c.view.source.role is Role.ACTIVE:
        return f"an ovsdb-server at {settings.source} is active: stop it first, for it may serve"
    if not c.serving:
        return f"{settings.node} does not serve, so there is nothing that {node} could copy: see ovsha status there"
    return ""


def upgrading_side(c: Situation) -> str:
    """Say which side is in an upgrade, so that the service cannot move, "" when none is."""
    settings = c.view.settings
    for node, there in ((settings.node, c.upgrading), (settings.peer, c.peer_upgrading)):
        if there:
            return f"{node} is in an upgrade: run `ovsha upgrade finish` on {node} first"
    return ""


def upgrade_prepare_refusal(c: Situation) -> str:
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
    why = c.idle_side or upgrading_side(c)
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


def upgrade_finish_refusal(c: Situation) -> str:
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


def upgrade_passes(c: Situation) -> bool:
    """Tell whether what is against the end of the upgrade may pass by itself, as a server that starts does."""
    return c.upgrading and not c.idle and not c.both_upgrading and not c.view.schema_gap


NOT_YET = "the copy is not in sync yet"


def peer_lost_refusal(c: Situation) -> str:
    """Say why the upgrade cannot be ended without the peer, "" when it can."""
    if not c.upgrading:
        return f"{c.view.settings.node} is in no upgrade"
    if c.alive:
        peer = c.view.settings.peer
        return f"{peer} is heard, so it is not lost: run `ovsha upgrade finish` without --peer-lost"
    return ""


def switchover_refusal(c: Situation, target: str) -> str:
    """Say why the service cannot begin to move to node `target`, "" when it can."""
    settings, ours = c.view.settings, target == c.view.settings.node
    if c.standalone:
        return f"{settings.node} stands alone: there is no other side to move the service to or from"
    if target not in (settings.node, settings.peer):
        return f"node {target} is not of this pair: it has {settings.node} and {settings.peer}"
    if not c.alive or c.view.record is None:
        return f"the agent on {settings.peer} is not heard, so nothing can be handed over; see ovsha status"
    if c.peer.estranged:
        peer = settings.peer
        return f"{peer} knows this switch by another identity; run `ovsha peer forget` on {peer} first"
    hindrance = c.idle_side or upgrading_side(c)
    if hindrance:
        return hindrance
    if c.undriven or c.peer.undriven:
        node = settings.node if c.undriven else settings.peer
        return f"ovsdb-server on {node} takes no orders: restart it first; see ovsha status"
    if not (c.peer.serving if ours else c.serving):
        return "the other side does not serve now" if ours else "this side does not serve now"
    if not (c.in_sync if ours else c.peer.in_sync_for is not None):
        return unsynced(target)
    return ""


def unsynced(target: str) -> str:
    """Return the refusal of a copy that lacks something, which does not say why it does."""
    return f"the copy on {target} is not in sync"


def switchover_ordered(c: Situation, target: str, ident: str, reason: str, restore: bool) -> Memory:
    """Return the memory with the order `ident` in it, which holds for one handover's time.

    `restore`: it gives the service back to the original primary, and undoes what an operator chose before.
    """
    ours = target == c.view.settings.node
    memory = replace(
        c.memory,
        wanted=ident if ours else None,
        offer=None if ours else ident,
        wanted_until=c.view.now + c.view.settings.handover_timeout,
        restore=restore,
    )
    return with_reason(memory, reason)


def switchover_recalled(c: Situation) -> tuple[Memory, str]:
    """Return the memory without a move that was ordered here, and why it cannot be called off, "" when it is.

    Once the other side has begun to drain, giving up would cost an outage and gain nothing.
    """
    memory = c.memory
    if memory.grant is not None or c.being_granted:
        giver = c.view.settings.node if memory.grant is not None else c.view.settings.peer
        return memory, f"too late: {giver} has begun to drain; wait for the end of the move"
    if memory.wanted is None and memory.offer is None:
        return memory, "no move that was ordered here is under way"
    return replace(memory, wanted=None, offer=None, ask=None), ""
