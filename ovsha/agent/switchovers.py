"""Begin the moves that operators order, and follow each until it is over.

One move is under way at a time.  The last one is kept, so that who ordered it can still ask how it went.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ovsha import SCHEMA
from ovsha.agent import standing_orders
from ovsha.core import operator_orders
from ovsha.core.facts import Presence, Record, Role, State, Token
from ovsha.core.handover import PLANNED
from ovsha.core.lineage import term_of
from ovsha.core.situation import Situation
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.errors import DriverError
from ovsha.report.status import token_text
from ovsha.words import span


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


_GRACE = 1.0
"""Seconds that a move is given beyond the time limit of the handover: that runs from the ask, a little later."""

_LATE = 60.0
"""Seconds after its time at which a planned switchover is still carried out: the agent was started anew meanwhile."""

_SETTLING = 10.0
"""Seconds after its start in which an agent may not yet have heard its peer, or be in sync with it."""

_WATCHED = 60.0
"""Seconds for which the old side is watched after a move, until it is in sync again."""

Over = Callable[[dict[str, Any] | None, str], None]
"""Called when a move is over, with its result or with why it failed."""


class Moves:
    """The moves of `agent`; `broken` returns what is broken in the pair now, in words."""

    def __init__(self, agent: Any, broken: Callable[[], list[str]]) -> None:
        self.agent = agent
        self._broken = broken
        self._going: Move | None = None
        self._last: Move | None = None
        self._result: dict[str, Any] | None = None
        self._error = ""
        self._over: Over | None = None

    @property
    def under_way(self) -> bool:
        """A move is under way."""
        return self._going is not None

    def target(self, wanted: str, restore: bool) -> str:
        """Return the node that the service is to go to.  Raises DriverError when that is not clear."""
        view, decision = self._known()
        if restore:
            configured = Situation(view, self.agent.memory, decision.presence).configured
            if configured is None:
                raise DriverError("which side is the original primary is not known: clagd has not elected one")
            return configured
        target = wanted or idle_side(view, decision)
        if target is None and decision.presence is not Presence.ALIVE:
            raise DriverError(self.agent.refuse_switchover(view.settings.node))
        if target is None:
            raise DriverError("which side serves is not clear now; see ovsha status")
        return target

    def there(self, target: str) -> bool:
        """Tell whether the service is at `target` already."""
        return arrived(*self._known(), target)

    def refuse_second(self) -> None:
        """Raise DriverError while a move is under way."""
        if self._going is not None:
            raise DriverError(f"a switchover to {self._going.target} is under way; wait for its end")

    def check(self, target: str) -> None:
        """Raise DriverError with what is against a move to `target` now."""
        self.refuse_second()
        refused = self.agent.refuse_switchover(target)
        # What the core says first is nearer to the matter than the gravest problem, but for a copy
        # that is not in sync: why it is not is what the operator must know.
        found = self._broken() if refused in ("", operator_orders.unsynced(target)) else []
        if found:
            raise DriverError(f"the pair is not healthy: {found[0]}")
        if refused:
            raise DriverError(refused)

    def objection(self, target: str) -> str:
        """Say why a move to `target` would be refused now, "" when it would not be."""
        try:
            if not self.there(target):
                self.check(target)
        except DriverError as error:
            return str(error)
        return ""

    def begin(self, target: str, reason: str, who: str, restore: bool, over: Over | None = None) -> None:
        """Begin to move the service to `target`; raise DriverError when that cannot begin."""
        self.check(target)
        refused = self.agent.order_switchover(target, f"operator-{secrets.token_hex(4)}", reason, who, restore)
        if refused:
            raise DriverError(refused)
        view, decision = self._known()
        now, source = self.agent.clock(), other(view, target)
        deadline = now + self.agent.config.handover.timeout + _GRACE
        giver = sides(view, decision).get(source)
        self._going = self._last = Move(source, target, now, deadline, term_of(giver.stamp if giver else None))
        self._result, self._error, self._over = None, "", over

    def told(self) -> dict[str, Any]:
        """Return how far the last move is, as JSON values."""
        last = self._last
        return {
            "schema": SCHEMA,
            "under_way": self.under_way,
            "phases": told_phases(last) if last else [],
            "result": self._result,
            "error": self._error or None,
            "in_sync": last is not None and last.at(FOLLOWED) is not None,
        }

    def run(self) -> None:
        """See how far the move is, and whether a planned one is due."""
        view, decision = self.agent.view, self.agent.decision
        if view is None or decision is None:
            return
        going, last = self._going, self._last
        if going is not None:
            self._going = self._last = going = look(going, view, decision)
            if arrived(view, decision, going.target):
                self._end(result(going, view, decision), "")
            elif self.agent.clock() >= going.deadline:
                self._end(None, failure(going, view, decision))
        elif last is not None and self._result and view.now < last.deadline + _WATCHED:
            self._last = look(last, view, decision)
        self._due()

    def end(self, why: str) -> None:
        """Give up the move that is under way, because `why`; the pair may still carry it out."""
        if self._going is not None:
            self._end(None, why)

    def _end(self, result: dict[str, Any] | None, error: str) -> None:
        over, self._over, self._going = self._over, None, None
        self._result, self._error = result, error
        if over is not None:
            over(result, error)

    def _known(self) -> tuple[Any, Any]:
        view, decision = self.agent.view, self.agent.decision
        if view is None or decision is None:
            raise DriverError(standing_orders.EARLY)
        return view, decision

    def _due(self) -> None:
        """Carry out the planned switchover when its time has come, or give it up with an alarm."""
        standing = self.agent.standing
        plan = standing.now.plan
        if plan is None or time.time() < plan.at or self._may_still_do(plan.to):
            return
        standing.now = replace(standing.now, plan=None)
        late = time.time() - plan.at
        try:
            if late > _LATE:
                why = "the agent did not run at that time, or the clock was set past it"
                raise DriverError(f"{why}, and {span(late)} later is too late")
            if self.there(plan.to):
                self.agent.recorder.event("order", f"{plan.to} is active already; the planned switchover is done")
                return
            self.begin(plan.to, plan.reason, plan.who, False, lambda result, error: self._planned(plan.to, error))
        except DriverError as error:
            self._planned(plan.to, str(error))

    def _may_still_do(self, target: str) -> bool:
        """Whether what stands against the move may be over soon, since the agent was started a moment ago."""
        return self.agent.clock() - self.agent.started < _SETTLING and bool(self.objection(target))

    def _planned(self, target: str, error: str) -> None:
        if error:
            text = f"the planned switchover to {target} was given up: {error}"
            self.agent.recorder.event("alarm", text, what="plan-given-up", to=target, reason=error)
        else:
            text = f"the planned switchover to {target} is done"
            self.agent.recorder.event("order", text, order="planned", to=target)
