"""Follow a switchover that an operator ordered until it is over, and say how it went."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsha.core.facts import Kind, Presence, Record, State, Token, View
from ovsha.core.lineage import term_of
from ovsha.core.side import Decision
from ovsha.core.status import SCHEMA, token_text
from ovsha.core.words import span


@dataclass(frozen=True, slots=True)
class Move:
    """The service on its way `source` -> `target` since `began`, monotonic seconds; to be over by `deadline`.

    `barrier`: the token that `source` committed when it had drained.  `refusal`: what a side last said against it.
    """

    source: str
    target: str
    began: float
    deadline: float
    barrier: Token | None = None
    refusal: str = ""


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
    giver = known.get(move.source)
    if giver is None:
        return move
    grant = giver.grant
    if grant is not None and grant.kind is Kind.SWITCHOVER and grant.barrier is not None:
        return replace(move, barrier=grant.barrier)
    return replace(move, refusal=giver.refusal) if giver.refusal else move


def result(move: Move, view: View, decision: Decision) -> dict[str, object]:
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
    }


def result_text(told: dict[str, object], duration: float) -> str:
    """Return the same in one line."""
    if told["barrier"] is None:
        shown = "no barrier was seen"
    else:
        shown = f"it holds all that {told['from']} had committed up to token {told['barrier']}"
    return f"{told['to']} is active in term {told['term']} after {span(duration)}; {shown}"


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
