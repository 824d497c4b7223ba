"""Carry the conversation by which one living side gives the service to the other.

The side that wants to serve *asks*; the other drains, promises not to serve, and says so
with a *grant* that names the ask; the asker opens when the barrier token of the grant is
in its copy.  Both are part of the state that every heartbeat repeats, so loss and
repetition do no harm.  Three laws make it safe:

* an ask that was dropped is never acted on again, and its name is never used twice;
* a grant ends only when the asker serves, says that it dropped the ask, or is dead;
* a side that has granted has no ask of its own.

While both sides live, neither begins to serve in any other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ovsha.core import belief, damping, lineage, operator_orders
from ovsha.core.facts import Ask, Grant, Kind, Life, MlagRole, Presence, Record, Role, Stamp, Token
from ovsha.core.situation import USABLE, Situation
from ovsha.core.view import Memory, remember


@dataclass(frozen=True, slots=True)
class Wish:
    """One reason to ask for the service; the first that holds is asked for."""

    kind: Kind
    holds: Callable[[Situation], bool]


def _kept_by_operator(c: Situation) -> bool:
    return c.keep == c.view.settings.node


def _ordered_by_operator(c: Situation) -> bool:
    ordered = c.memory.wanted is not None or c.peer.offer is not None
    return ordered and c.peer_serving and c.in_sync


def _restore_by_operator(c: Situation) -> bool:
    return c.restore_ordered and _ordered_by_operator(c)


def _cut_off_from_the_data_plane(c: Situation) -> bool:
    cut_for = c.link_cut_for
    if cut_for is None or cut_for < c.view.settings.link_cut_hold or not c.peer_serving:
        return False
    if damping.held_for(c) is not None:
        return False
    roles = (c.view.clag.role, c.peer.mlag)
    return roles == (MlagRole.PRIMARY, MlagRole.SECONDARY) and not c.outdated


def _due_for_restore(c: Situation) -> bool:
    settings, synced = c.view.settings, c.view.copy.in_sync_for
    if not settings.restore_automatic or not c.peer_serving or not c.in_sync or synced is None:
        return False
    if damping.held_for(c) is not None:
        return False
    unpreferred_at = c.memory.unpreferred_at
    preferred_for = float("inf") if unpreferred_at is None else c.view.now - unpreferred_at
    return c.preferred == settings.node and min(synced, preferred_for) >= settings.restore_delay


def _nobody_serves(c: Situation) -> bool:
    # The word of a side that takes no orders, that it does not serve, is no more than what its agent can see.
    there = c.peer.life in USABLE or (c.peer.undriven and not c.peer_seen_active)
    idle = not c.peer_serving and there and c.peer.grant is None
    return idle and not (c.outdated or c.too_far_behind) and c.outranks


WISHES = (
    Wish(Kind.RESOLVE, _kept_by_operator),
    Wish(Kind.RESTORE, _restore_by_operator),
    Wish(Kind.SWITCHOVER, _ordered_by_operator),
    Wish(Kind.LINK_CUT, _cut_off_from_the_data_plane),
    Wish(Kind.RESTORE, _due_for_restore),
    Wish(Kind.START, _nobody_serves),
)

PLANNED = (Kind.SWITCHOVER, Kind.RESTORE)
"""The kinds that move a whole service, and so lose nothing."""


def wish(c: Situation) -> Kind | None:
    """Return why this side should ask for the service now, or None when it should not."""
    return None if c.idle or c.upgrading or (c.peer_idle and c.peer.serving) else reason_to_ask(c)


def reason_to_ask(c: Situation) -> Kind | None:
    """Return why this side would ask for the service if both sides carried out what they decide, None for no reason."""
    if not c.alive or c.serving or c.view.server.life is not Life.UP or not c.view.server.loaded:
        return None
    if c.memory.ordered is Role.ACTIVE:
        return None  # it has begun to take over
    return next((row.kind for row in WISHES if row.holds(c)), None)


def refusal(c: Situation, kind: Kind) -> str:
    """Say why the service is not given to the peer that asks for it, "" when it is."""
    if c.idle and c.open:
        return f"this side is in mode {c.view.mode.value} and gives nothing away"
    if kind is Kind.RESOLVE:
        return "" if c.keep == c.peer.node else "no operator has decided that"
    if c.undriven and (kind is not Kind.START or c.view.server.role is Role.ACTIVE):
        return "ovsdb-server on this side takes no orders, so it cannot give way: restart it first"
    if kind is Kind.START:
        if not c.view.server.loaded and not c.undriven and not _has_all_we_know(c):
            return "the database on this side has not been read yet"
        if c.serving or c.memory.ordered is Role.ACTIVE:
            return "this side serves or is about to"
        return "this side comes first: its data is newer or it is preferred" if c.outranks else ""
    if not c.serving:
        return "this side does not serve"
    if c.peer.life is not Life.UP or c.peer.stamp != c.view.server.stamp:
        return "the copy on the other side is not of this term, or its ovsdb-server does not answer"
    if kind is Kind.LINK_CUT:
        primary = c.view.clag.role is MlagRole.PRIMARY
        return "clagd says that this side is primary" if primary else ""
    if c.peer.in_sync_for is None:
        return "the copy on the other side is not in sync"
    if c.link_cut_for is not None:
        return "no heartbeat comes over the peer link, by which the last writes would have to arrive"
    if kind is Kind.RESTORE and c.preferred == c.view.settings.node and not c.restore_ordered:
        return "this side is the preferred one"
    return ""


def _has_all_we_know(c: Situation) -> bool:
    """Tell whether the peer's data is at least as new as all that ours was ever seen with, though ours is not read."""
    memory, theirs = c.memory, c.peer.token
    if c.view.server.role is not Role.BACKUP or memory.held is None or theirs is None or c.peer.stamp is None:
        return False
    known = max(memory.held, memory.peer_token or memory.held)
    return theirs >= known and lineage.term_of(c.peer.stamp) >= max(memory.term, lineage.term_of(c.known_stamp))


def advance(c: Situation) -> Memory:
    """Return the memory with the ask and the grant brought to where they stand now."""
    c = replace(c, memory=_operator(c))
    c = replace(c, memory=_grant(c))
    return _ask(c)


def _operator(c: Situation) -> Memory:
    """Forget an operator's order once it is carried out or its time is over."""
    memory = c.memory
    if memory.keep is not None and (c.view.now >= memory.keep_until or _kept(c)):
        memory = replace(memory, keep=None, forced=False)
    elif memory.forced and c.alive:
        memory = replace(memory, keep=None, forced=False)  # it was given for a peer that cannot be asked
    elif memory.keep is None and memory.stuck_since is not None and c.alive and c.peer.keep == c.view.settings.peer:
        # The other side may serve already, and so has nothing more to do: it is we who waited for this word.
        memory = operator_orders.resolve_ordered(c, c.view.settings.peer)
    late = c.view.now > memory.wanted_until
    if memory.wanted is not None and (late or c.serving):
        memory = replace(memory, wanted=None)
    if memory.offer is not None and (late or c.peer_serving):
        memory = replace(memory, offer=None)
    if memory.restore and (memory.wanted, memory.offer, memory.ask, memory.grant) == (None, None, None, None):
        memory = replace(memory, restore=False)
    return memory


def _kept(c: Situation) -> bool:
    """Tell whether the data that the operator keeps is served, and copied by the other side if that is heard."""
    own = c.view.server.stamp
    if c.memory.keep == c.view.settings.peer:
        return c.in_sync
    served = c.serving and own is not None and (own.node, own.term) == (c.view.settings.node, c.memory.term)
    return served and (not c.alive or c.peer.in_sync_for is not None)


def _grant(c: Situation) -> Memory:
    memory = c.memory
    if memory.grant is not None:
        if _grant_is_over(c):
            return replace(memory, grant=None, ordered=None)
        return remember(memory, grant=_drained(c, memory.grant))
    ask = c.peer.ask
    if not c.alive or ask is None or ask.ident == memory.granted:
        return remember(memory, refusal="")
    why_not = refusal(c, ask.kind)
    if why_not:
        return remember(memory, refusal=why_not)
    return replace(
        memory,
        sent=damping.order_kind(c, ask.kind) or memory.sent,
        grant=_drained(c, Grant(ask.ident, ask.kind)),
        granted=ask.ident,
        grant_since=c.view.now,
        grant_term=_newest_term(c),
        restore=ask.kind is Kind.RESTORE and c.restore_ordered,
        refusal="",
        ask=None,
        ordered=None,
    )


def _grant_is_over(c: Situation) -> bool:
    grant = c.memory.grant
    if grant is None or c.presence is Presence.DEAD:
        return True
    if _newest_term(c) > c.memory.grant_term or c.peer_serving:
        return True
    if grant.kind in PLANNED and not grant.drained and c.view.server.role is not Role.ACTIVE:
        return True  # the server was lost half-way, and what it last wrote may not have arrived
    if c.alive:
        return c.peer.ask is None or c.peer.ask.ident != grant.ident
    silent_for = c.view.now - c.memory.grant_since
    return c.view.source.role is Role.BACKUP and silent_for > 2 * c.view.settings.handover_timeout


def _newest_term(c: Situation) -> int:
    """Return the highest term that either database shows now; one above it is opened by the asker."""
    return lineage.term_of(lineage.newest(c.view.server.stamp, c.peer.stamp, c.view.source.stamp))


def _drained(c: Situation, grant: Grant) -> Grant:
    """Return the grant with its barrier set once nothing is open here, and drained once that is committed."""
    if grant.drained or c.open:
        return grant
    server = c.view.server
    if grant.kind not in PLANNED:
        return replace(grant, drained=True)
    if server.role is not Role.ACTIVE:
        return grant
    if grant.barrier is None:
        # Not the very next token: that one may be on its way already, ahead of the last writes.
        term = lineage.term_of(server.stamp)
        return replace(grant, barrier=following(belief.above(c) or following(server.token, term), term))
    return replace(grant, drained=c.token_in_rows == grant.barrier)


def following(token: Token | None, term: int) -> Token:
    """Return the token to commit after `token` in `term`."""
    return (term, token[1] + 1) if token is not None and token[0] == term else (term, 1)


def periodic_token(record: Record, opening: Stamp) -> Token | None:
    """Return the token that a serving side commits now and then, by which its peer sees how far the copy is.

    None while there is none to commit: this side does not serve, or not in the term that it opened with `opening`, or
    it is giving the service away, for which the barrier is the last token, or a client wrote over the last one.
    """
    own = record.stamp
    if not record.serving or record.role is not Role.ACTIVE or record.grant is not None or record.overwritten:
        return None
    if own is None or (own.term, own.node) != (opening.term, opening.node):
        return None
    return following(record.token, own.term)


def _ask(c: Situation) -> Memory:
    memory, settings, now = c.memory, c.view.settings, c.view.now
    if memory.grant is not None or c.idle or c.upgrading:
        return remember(memory, ask=None)
    if memory.ask is not None:
        if c.serving:
            return replace(memory, ask=None, ask_after=now + settings.restore_delay)
        if c.view.server.role is Role.ACTIVE and c.granted:
            return memory
        if c.presence is Presence.DEAD or now > memory.ask_deadline or _pointless(c, memory.ask) or _unable(c):
            return replace(memory, ask=None, ask_after=now + max(settings.restore_delay, 1.0))
        return memory
    kind = wish(c)
    if kind is None or (kind is Kind.RESTORE and now < memory.ask_after and not c.restore_ordered):
        return memory
    ask = Ask(f"{settings.node}-{memory.boot}-{memory.asks}", kind)
    return replace(memory, ask=ask, asks=memory.asks + 1, ask_deadline=now + settings.handover_timeout)


def _unable(c: Situation) -> bool:
    """Tell whether our server has ended, and with it whatever it was ordered: the service is not coming here."""
    return c.view.server.life is Life.DOWN


def _pointless(c: Situation, ask: Ask) -> bool:
    """Tell whether the reason for the ask is gone while the peer has not begun to drain for it."""
    return c.alive and not c.being_granted and wish(c) is not ask.kind
