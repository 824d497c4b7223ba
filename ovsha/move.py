"""Follow a switchover that an operator ordered until it is over, and say how it went."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ovsha import SCHEMA
from ovsha.core.facts import Presence, Record, Role, State, Token
from ovsha.core.handover import PLANNED
from ovsha.core.lineage import term_of
from ovsha.core.side import Decision
from ovsha.core.status import token_text
from ovsha.core.view import View
from ovsha.core.words import span


@dataclass(frozen=True, slots=True)
class Move:
    """The service on its way `source` -> `target` since `began`, monotonic seconds; to be over by `deadline`.

    `term`: that of `source`.  `barrier`: the token that `source` committed when it had drained.  `refusal`: what a side
    last said against it.  `phases`: what was seen to be done, and seconds since it began.
    """

    source: str
    target: str
    began: float
    deadline: float
    term: int = 0
    barrier: Token | None = None
    refusal: str = ""
    phases: tuple[tuple[str, float], ...] = ()

    def at(self, phase: str) -> float | None:
        """Return when a phase was over, None when it is not."""
        return next((moment for name, moment in self.phases if name == phase), None)

    @property
    def outage(self) -> float | None:
        """Seconds from the moment at which one side was no more whole until the other one was, as its agent sees it."""
        closed, served = self.at(CLOSED), self.at(SERVING)
        return None if closed is None or served is None else served - closed


ASKED, CLOSED, DRAINED, PROMOTED, SERVING, FOLLOWED = "asked", "closed", "drained", "promoted", "serving", "followed"
PHASES = {
    ASKED: "{target} has asked for the service",
    CLOSED: "{source} lets nobody write any more",
    DRAINED: "{source} has drained, its last write is before token {barrier}",
    PROMOTED: "{target} holds all of it and its ovsdb-server is active",
    SERVING: "{target} serves: VIP, listener and managers are there",
    FOLLOWED: "{source} follows {target} and is in sync",
}
"""What an operator reads of each phase, in their order."""


def told_phases(move: Move) -> list[dict[str, object]]:
    """Return the phases as JSON values, with a sentence each."""
    words = {"source": move.source, "target": move.target, "barrier": token_text(move.barrier)}
    return [{"phase": name, "at": at, "text": PHASES[name].format(**words)} for name, at in move.phases]


def sides(view: View, decision: Decision) -> dict[str, Record]:
    """Return the sides that are known now, by node."""
    found = {decision.record.node: decision.record}
    if decision.presence is Presence.ALIVE and view.record is not None:
        found[view.settings.peer] = view.record
    return found


def other(view: View, node: str) -> str:
    """Return the node that is not `node`."""
    settings = view.settings
    return settings.peer if node == settings.node else settings.node


def idle_side(view: View, decision: Decision) -> str | None:
    """Return the node that does not serve while the other does, None when there is no such one."""
    serving = [node for node, record in sides(view, decision).items() if record.serving]
    return other(view, serving[0]) if len(serving) == 1 else None


def arrived(view: View, decision: Decision, target: str) -> bool:
    """Tell whether `target` is active and the other side, as far as it is heard, does not serve."""
    known = sides(view, decision)
    there, here = known.get(target), known.get(other(view, target))
    return there is not None and there.state is State.ACTIVE and (here is None or not here.serving)


def look(move: Move, view: View, decision: Decision) -> Move:
    """Return the move with what the two sides say of it now."""
    known = sides(view, decision)
    giver, taker = known.get(move.source), known.get(move.target)
    if giver is not None:
        grant = giver.grant
        if grant is not None and grant.kind in PLANNED and grant.barrier is not None:
            move = replace(move, barrier=grant.barrier)
        elif giver.refusal and grant is None:
            move = replace(move, refusal=giver.refusal)
    for name, over in _seen(move, giver, taker).items():
        move = _marked(move, name, view.now) if over else move
    if arrived(view, decision, move.target):
        move = _marked(move, SERVING, view.now)
        if giver is not None and giver.in_sync_for is not None:
            move = _marked(move, FOLLOWED, view.now)
    return move


def _seen(move: Move, giver: Record | None, taker: Record | None) -> dict[str, bool]:
    """Return the phases up to the promotion, and whether a side shows that each is over."""
    grant = giver.grant if giver is not None else None
    moving = move.at(ASKED) is not None or grant is not None or (taker is not None and taker.ask is not None)
    promoted = taker is not None and taker.role is Role.ACTIVE and taker.stamp is not None
    return {
        ASKED: moving,
        CLOSED: moving and giver is not None and giver.state is not State.ACTIVE,
        DRAINED: grant is not None and grant.drained,
        PROMOTED: moving and promoted and taker is not None and term_of(taker.stamp) > move.term,
    }


def _marked(move: Move, name: str, now: float) -> Move:
    return move if move.at(name) is not None else replace(move, phases=(*move.phases, (name, now - move.began)))


def result(move: Move, view: View, decision: Decision) -> dict[str, Any]:
    """Return what is told of a move that has arrived, as JSON values."""
    record = sides(view, decision)[move.target]
    return {
        "schema": SCHEMA,
        "moved": True,
        "from": move.source,
        "to": move.target,
        "term": term_of(record.stamp),
        "duration": view.now - move.began,
        "barrier": token_text(move.barrier),
        "missing": missing(move),
        "outage": move.outage,
        "phases": told_phases(move),
    }


def missing(move: Move) -> int | None:
    """Return how many acknowledged rows did not come along, None when that was not shown.

    The source committed the barrier after everybody was shut out, and the target serves only once it holds the barrier:
    replication keeps the order of commits, so all that was acknowledged before it is there.
    """
    return None if move.barrier is None or move.at(DRAINED) is None else 0


def result_text(told: dict[str, Any]) -> str:
    """Return the same in one line."""
    if told["barrier"] is None:
        shown = "no barrier was seen"
    else:
        shown = f"it holds all that {told['from']} had committed up to token {told['barrier']}"
    return f"{told['to']} is active in term {told['term']} after {span(told['duration'])}; {shown}"


def failure(move: Move, view: View, decision: Decision) -> str:
    """Return why a move whose time is over has not arrived."""
    limit = span(move.deadline - move.began)
    text = f"the service did not get to {move.target} within {limit}"
    if move.refusal:
        return f"{text}: {move.source} refused, because {move.refusal}"
    if move.target not in sides(view, decision) or move.source not in sides(view, decision):
        return f"{text}: the peer's agent is no longer heard; see ovsha status"
    if move.barrier is not None:
        return f"{text}, though {move.source} has drained; see ovsha status"
    return f"{text}: {move.target} did not ask for it or {move.source} did not drain; see ovsha status"
