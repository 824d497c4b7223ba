"""Have this side serve by an operator's order while the other side cannot be asked, and say what that may cost.

It is the last resort: the pair itself never does this, because a side that is silent is not known to be dead.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import lineage, resolve
from ovsha.core.case import Case
from ovsha.core.facts import Life, Presence, Role, Token
from ovsha.core.memory import Memory
from ovsha.core.words import ago, span


def refusal(c: Case) -> str:
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


def _heard(c: Case) -> str:
    peer = c.view.settings.peer
    if c.peer.decision or c.memory.stuck_since is not None:
        return f"{peer} is heard, so it can be asked: use `ovsha resolve --keep self --reason TEXT`"
    if c.peer_serving and c.in_sync:
        return f"{peer} is heard and healthy: use `ovsha switchover`, which loses nothing"
    return f"{peer} is heard, so nothing is forced: see ovsha status for what is wrong, then use `ovsha switchover`"


def ordered(c: Case) -> Memory:
    """Return the memory with the operator's order in it."""
    return replace(resolve.decided(c, c.view.settings.node), forced=True)


def exposure(c: Case) -> tuple[str, ...]:
    """Return what an operator must know before forcing it: what may be lost, and what may go on over there."""
    return tuple(line for line in (_last_heard(c), _copy(c), _behind(c), _over_there(c), _stays(c)) if line)


def _last_heard(c: Case) -> str:
    peer, age = c.view.settings.peer, c.view.heard_age
    if age is None:
        return f"the agent on {peer} was never heard since this one started or woke"
    return f"the agent on {peer} was last heard {ago(age)}; nothing it says is known since"


def _copy(c: Case) -> str:
    server, node = c.view.server, c.view.settings.node
    if server.stamp is None:
        return f"the database on {node} is of unknown lineage"
    lag = "" if c.view.copy.lag is None else f"; its last measured lag was {span(c.view.copy.lag)}"
    return f"the copy on {node} is of term {server.stamp.term} and ends at token {_text(server.token)}{lag}"


def _behind(c: Case) -> str:
    """Say how the copy compares with the newest that was ever seen of the peer."""
    server, peer = c.view.server, c.view.settings.peer
    old = lineage.outdated(server, lineage.term_of(c.known_stamp)) or lineage.rolled_back(server, c.memory.held)
    if old:
        return f"{old}; everything written since is lost"
    seen = c.memory.peer_token
    if seen is not None and seen > (server.token or (0, 0)):
        return f"{peer} was seen at token {_text(seen)}; what it acknowledged after {_text(server.token)} is lost"
    return f"what {peer} acknowledged after that token, if anything, is lost"


def _over_there(c: Case) -> str:
    peer, source = c.view.settings.peer, c.view.source
    if c.presence is not Presence.SILENT:
        return ""
    if source.role is Role.ACTIVE:
        return (
            f"ovsdb-server on {peer} still answers as active: both sides will serve and hold the VIP until ovsha runs"
            f" on {peer}, unless you stop ovsdb-server there first; of what each acknowledges one half will be lost"
        )
    return f"the switch {peer} still answers: if it serves, both sides will, and one half of what they write is lost"


def _stays(c: Case) -> str:
    node = c.view.settings.node
    if c.configured == node:
        return ""
    return f"the service stays at {node} until it is moved again: `ovsha restore-primary` gives it back"


def _text(token: Token | None) -> str:
    return "none" if token is None else f"{token[0]}.{token[1]}"
