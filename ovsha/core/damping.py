"""Who ordered a move, and what holds a move by choice while faults come and go.

An ask and a grant end as soon as they have done their work, often before either side has seen the service at its new
place, and one side sees it later than the other.  So what they were given for is remembered apart from them: a side
*sends* the service by an operator's order from the grant on, until the service has arrived or its old holder serves
on.  The side that begins to serve says in its records whether it does so by order, for the one that sees only the end.

Only what is done by choice is held: giving the service back to the original primary, or to
the clagd primary of a cut pair.  A failover is never held, for that would turn flapping
into an outage.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core.facts import Kind, Role
from ovsha.core.situation import Situation
from ovsha.core.view import Memory, remember

_ALWAYS = (Kind.SWITCHOVER, Kind.RESOLVE)
RULES = ("granted", "forced", "resolved")
"""The rules by which a side begins to serve by order, or goes on by order with what it has begun for another reason."""

_OUTSIDE = {"forced": Kind.SWITCHOVER, "resolved": Kind.RESOLVE}
"""Those that need nobody who gives the service."""


def order_kind(c: Situation, asked: Kind) -> Kind | None:
    """Return `asked` when an operator ordered what a side asks for now, None when the pair wants it by itself."""
    return asked if asked in _ALWAYS or (asked is Kind.RESTORE and c.restore_ordered) else None


def order_holder(c: Situation) -> str | None:
    """Return the node that serves now, the one that was last seen to when nobody does, None when none ever was."""
    settings = c.view.settings
    return settings.node if c.serving else settings.peer if c.peer_serving else c.memory.holder


def order_noticed(c: Situation) -> Memory:
    """Return the memory with the order by which the service is on its way to another side, if it is."""
    memory = c.memory
    if c.being_granted and memory.ask is not None:
        # What was begun by order and then settled between the sides is still what the operator ordered.
        return remember(memory, sent=order_kind(c, memory.ask.kind) or memory.sent)
    if memory.grant is not None or order_holder(c) != memory.holder or not (c.serving or c.peer_serving):
        return memory  # it is under way, or has only just arrived
    if c.serving or memory.ordered is Role.ACTIVE:
        return remember(memory, sent=None)
    return remember(memory, sent=None, by_order=None, chosen=False)


def order_begun(c: Situation, rule: str) -> Memory:
    """Return the memory of a side that begins to serve now by the rule of that name."""
    memory, node = c.memory, c.view.settings.node
    order = _OUTSIDE.get(rule)
    if rule == "granted" and memory.holder != node:
        order = memory.sent
    unknown = order is None and memory.holder is None
    by_order = None if unknown else order is not None
    return remember(memory, by_order=by_order, chosen=order is Kind.SWITCHOVER)


def order_arrived(c: Situation) -> bool:
    """Tell whether the service that has just arrived at a side was ordered there."""
    told = c.memory.by_order if c.serving else c.peer.by_order
    return c.memory.sent is not None if told is None else told


def count_move(c: Situation) -> Memory:
    """Return the memory with a move that was just seen; those that an operator ordered do not count."""
    memory, settings = c.memory, c.view.settings
    holder = order_holder(c)
    if holder == memory.holder:
        return memory
    uncounted = memory.holder is None or order_arrived(c)
    memory = replace(memory, holder=holder, sent=None)
    if uncounted:
        return memory
    recent = tuple(moment for moment in memory.moves if c.view.now - moment < settings.move_window)
    return replace(memory, moves=(*recent, c.view.now)[-settings.move_limit :])


def held_for(c: Situation) -> float | None:
    """Return the seconds for which moves by choice are still held, None when they are not."""
    memory, settings = c.memory, c.view.settings
    if len(memory.moves) < settings.move_limit:
        return None
    left = memory.moves[-settings.move_limit] + settings.move_window - c.view.now
    return left if left > 0 else None
