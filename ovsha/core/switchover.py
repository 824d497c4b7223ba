"""Take an operator's order to move the service, with both sides alive, or say why it cannot be taken."""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import upgrade
from ovsha.core.case import Case
from ovsha.core.memory import Memory, with_reason


def refusal(c: Case, target: str) -> str:
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
    hindrance = c.idle_side or upgrade.hindrance(c)
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


def ordered(c: Case, target: str, ident: str, reason: str, restore: bool) -> Memory:
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


def recalled(c: Case) -> tuple[Memory, str]:
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
