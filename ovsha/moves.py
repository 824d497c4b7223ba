"""Begin the moves that operators order, follow each to its end, and carry out the one that was planned for a time.

One move is under way at a time.  The last one is kept, so that who ordered it can still ask how it went.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ovsha import SCHEMA, acting, move
from ovsha.core import switchover
from ovsha.core.case import Case
from ovsha.core.facts import Presence
from ovsha.core.lineage import term_of
from ovsha.core.words import span
from ovsha.errors import DriverError
from ovsha.move import Move

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
            configured = Case(view, self.agent.memory, decision.presence).configured
            if configured is None:
                raise DriverError("which side is the original primary is not known: clagd has not elected one")
            return configured
        target = wanted or move.idle_side(view, decision)
        if target is None and decision.presence is not Presence.ALIVE:
            raise DriverError(self.agent.refuse_switchover(view.settings.node))
        if target is None:
            raise DriverError("which side serves is not clear now; see ovsha status")
        return target

    def there(self, target: str) -> bool:
        """Tell whether the service is at `target` already."""
        return move.arrived(*self._known(), target)

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
        found = self._broken() if refused in ("", switchover.unsynced(target)) else []
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
        now, source = self.agent.clock(), move.other(view, target)
        deadline = now + self.agent.config.handover.timeout + _GRACE
        giver = move.sides(view, decision).get(source)
        self._going = self._last = Move(source, target, now, deadline, term_of(giver.stamp if giver else None))
        self._result, self._error, self._over = None, "", over

    def told(self) -> dict[str, Any]:
        """Return how far the last move is, as JSON values."""
        last = self._last
        return {
            "schema": SCHEMA,
            "under_way": self.under_way,
            "phases": move.told_phases(last) if last else [],
            "result": self._result,
            "error": self._error or None,
            "in_sync": last is not None and last.at(move.FOLLOWED) is not None,
        }

    def run(self) -> None:
        """See how far the move is, and whether a planned one is due."""
        view, decision = self.agent.view, self.agent.decision
        if view is None or decision is None:
            return
        going, last = self._going, self._last
        if going is not None:
            self._going = self._last = going = move.look(going, view, decision)
            if move.arrived(view, decision, going.target):
                self._end(move.result(going, view, decision), "")
            elif self.agent.clock() >= going.deadline:
                self._end(None, move.failure(going, view, decision))
        elif last is not None and self._result and view.now < last.deadline + _WATCHED:
            self._last = move.look(last, view, decision)
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
            raise DriverError(acting.EARLY)
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
