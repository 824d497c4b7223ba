"""Say which step takes this side from where it is towards what it should do.

For each goal one table lists the steps in the order in which they are carried out, each
with the fact that shows it done.  The first step that is not done is the next one, so an
agent that lost its way, or was started anew, goes on from whatever is there.  The laws,
held by tests/core/test_transition.py:

* the VIP and its listener come only after the managers, and these after the stamp;
* writers are shut out before the VIP goes, and the token is committed after both;
* a server is connected as backup only when it is parked and a snapshot of it exists;
* the way out of service asks nothing of a server that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ovsha.core import belief, lineage
from ovsha.core.election import Goal
from ovsha.core.facts import Life, Role
from ovsha.core.situation import Situation


class Step(Enum):
    """What the agent can be told to do; it maps each to one call of a driver."""

    RESERVE_TERM = "reserve the term"
    PROMOTE = "make ovsdb-server active"
    STAMP = "stamp the term into the database"
    OPEN_MANAGERS = "open the remote of the managers"
    ADD_VIP = "add the VIP and announce it"
    OPEN_LISTENER = "open the listener on the VIP"
    CUT_STALE = "cut old sockets towards the VIP"
    CLOSE_MANAGERS = "close the remote of the managers"
    CLOSE_LISTENER = "close the listener on the VIP"
    DROP_VIP = "drop the VIP"
    COMMIT_TOKEN = "commit the barrier token"
    PARK_SERVER = "park ovsdb-server"
    SNAPSHOT = "take a snapshot"
    CONNECT = "follow the peer"
    HEAL = "write the stamp again that a client overwrote"
    FENCE_SERVER = "cut the sessions of the hanging ovsdb-server"


@dataclass(frozen=True, slots=True)
class Row:
    """A step and the fact that shows it done."""

    step: Step
    done: Callable[[Situation], bool]


def opening_term(c: Situation) -> int:
    """Return the term that this side serves in, or would open if it began to serve now."""
    memory, own, node = c.memory, c.view.server.stamp, c.view.settings.node
    if memory.claim is not None:
        return memory.claim
    if _unsettled(c) and own is not None and own.node == node:
        return own.term
    if c.view.server.role is Role.ACTIVE and own is not None and own.node == node and own.term >= memory.term:
        known = c.known_stamp
        if known is None or known.term < own.term or known.node == node:
            return own.term
    return max(memory.term + 1, c.view.reserved)


def _unsettled(c: Situation) -> bool:
    """Tell whether the peer's server is active like ours and its agent is not heard yet.

    A higher term would now be answered by a still higher one; the split is settled, and the
    winner opens its term, when the two hear each other.
    """
    return c.serving and not c.alive and c.view.source.role is Role.ACTIVE


def stamped(c: Situation) -> bool:
    """Tell whether our database carries the stamp of the term that this side serves in."""
    own = c.view.server.stamp
    return own is not None and (own.term, own.node) == (opening_term(c), c.view.settings.node)


def _harmless(c: Situation) -> bool:
    """Tell whether the server is a read-only copy that nothing but the peer can change."""
    server = c.view.server
    parked = server.role is Role.BACKUP and server.source == lineage.PARKED
    return parked or (c.following and not c.memory.severed)


def _barrier_committed(c: Situation) -> bool:
    grant = c.memory.grant
    return grant is None or grant.barrier is None or c.token_in_rows == grant.barrier


def _fenced(c: Situation) -> bool:
    """Tell whether a server that does not answer can do no harm when it wakes up."""
    server = c.view.server
    return server.life is Life.DOWN or server.fenced or _harmless(c)


def _kept_safe(c: Situation) -> bool:
    """Tell whether a connect can erase nothing that is not in a snapshot."""
    return c.following or c.view.server.saved or c.view.server.cells == 0


def _no_vip(c: Situation) -> bool:
    return not c.view.vip.present and not c.view.vip.astray


_CLOSE = (
    Row(Step.CLOSE_MANAGERS, lambda c: not c.view.server.managers_open),
    Row(Step.CLOSE_LISTENER, lambda c: not c.view.server.listener_open),
    Row(Step.DROP_VIP, _no_vip),
)

PLANS: dict[Goal, tuple[Row, ...]] = {
    Goal.SERVE: (
        Row(Step.RESERVE_TERM, lambda c: stamped(c) or c.view.reserved >= opening_term(c)),
        Row(Step.PROMOTE, lambda c: c.view.server.role is Role.ACTIVE),
        Row(Step.STAMP, stamped),
        Row(Step.OPEN_MANAGERS, lambda c: c.view.server.managers_open),
        Row(Step.ADD_VIP, lambda c: c.view.vip.present or not c.view.settings.has_vip),
        Row(Step.OPEN_LISTENER, lambda c: c.view.server.listener_open or not c.view.settings.has_vip),
        Row(Step.CUT_STALE, lambda c: not c.view.vip.stale),
        Row(Step.HEAL, belief.healed),
    ),
    Goal.DRAIN: (*_CLOSE, Row(Step.COMMIT_TOKEN, _barrier_committed)),
    Goal.PARK: (*_CLOSE, Row(Step.PARK_SERVER, _harmless)),
    Goal.FOLLOW: (
        *_CLOSE,
        Row(Step.PARK_SERVER, _harmless),
        Row(Step.SNAPSHOT, _kept_safe),
        Row(Step.CONNECT, lambda c: c.following),
    ),
    Goal.FENCE: (
        Row(Step.DROP_VIP, _no_vip),
        Row(Step.FENCE_SERVER, _fenced),
    ),
    Goal.KEEP: (),
}


def next_step(goal: Goal, c: Situation) -> Step | None:
    """Return the next step towards `goal`, or None when it is reached."""
    return next((row.step for row in PLANS[goal] if not row.done(c)), None)


def steps_left(goal: Goal, c: Situation) -> tuple[Step, ...]:
    """Return all steps towards `goal` that are not done."""
    return tuple(row.step for row in PLANS[goal] if not row.done(c))
