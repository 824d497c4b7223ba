"""Have the first switch of a pair serve alone until the second one joins, and let a new unit take a lost one's place.

That the second one has not joined yet is an operator's word, given once.  It is remembered on disk, holds through
restarts and reboots, and ends for good when the peer is heard for the first time: from then on two sides may hold data,
and a side that hears nobody no longer knows that nobody else serves.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core.case import Case
from ovsha.core.facts import Life, Role
from ovsha.core.memory import Memory
from ovsha.core.words import ago

_DIGITS = frozenset("0123456789abcdef")


def refusal(c: Case, known: str) -> str:
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


def ordered(c: Case) -> Memory:
    """Return the memory with the operator's word in it."""
    return replace(c.memory, founding=True)


def replacement_refusal(c: Case, node: str, identity: str, known: str) -> str:
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
