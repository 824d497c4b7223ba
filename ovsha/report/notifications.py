"""Say when the operator's hooks are told, and of what: before and after a role changes, when something is wrong.

    before-role-change   a move has begun: its first step is being taken, and does not wait for the hooks
    after-role-change    this side has another role than before; what it was is "start" for the first one
    degraded             something is wrong that has not broken the pair
    alarm                the pair is not what it should be, or needs an operator
    cleared              what `degraded` or `alarm` told of is over

Each is told once, and the first two in this order, both when a change is over as soon as it
is seen.  A move that is begun and called off has only the first.  To be between two roles
(init) is told of when it has lasted for `hold` seconds.

A problem is told of when it has stood for `hold` seconds, and is over when it has not been
found for as long, so that what a move brings with it tells nobody; but a split brain, and a
decision that is needed, are told of at once.

Nothing here reads a clock: `now` is the caller's monotonic time in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ovsha.core.election import Goal
from ovsha.core.facts import State
from ovsha.core.turn import Decision
from ovsha.report.diagnosis import Level, Problem

BEFORE, AFTER = "before-role-change", "after-role-change"
DEGRADED, ALARM, CLEARED = "degraded", "alarm", "cleared"

AT_ONCE = ("split-brain", "needs-decision")

_LEADS_TO = {
    Goal.SERVE: State.ACTIVE,
    Goal.FOLLOW: State.BACKUP,
    Goal.DRAIN: State.BACKUP,
    Goal.FENCE: State.FAULT,
}
"""What a goal ends in; to park or to keep is to wait for what comes."""

_START = "start"
_FOUND = "the agent has started and found it so"


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell.

    `before`, `to`: states, and "start"; `rule`: the one that began the move.  All None for problems.
    `problem`, `level`, `remedy`: of a problem; None for roles.
    """

    event: str
    reason: str
    before: str | None = None
    to: str | None = None
    rule: str | None = None
    problem: str | None = None
    level: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """A problem: since when, when it was last found, and whether it was told of."""

    problem: Problem
    since: float
    last: float
    told: bool = False


class Notifications:
    """What has been told so far."""

    def __init__(self, hold: float) -> None:
        self.hold = hold
        self._role = _START
        self._begun: Notification | None = None
        self._between: float | None = None
        self._standing: dict[str, _Standing] = {}

    def roles(self, now: float, decision: Decision) -> Iterator[Notification]:
        """Yield what the decision of a turn begins or has come to."""
        state, goal = decision.state, decision.rule.goal
        self._between = None if state is not State.INIT else now if self._between is None else self._between
        if decision.step is not None and goal in _LEADS_TO and _LEADS_TO[goal] is not state:
            yield from self._begin(_LEADS_TO[goal], decision, decision.why)
        # A side is between two roles for some hundredths of a second in each move.
        if self._between is not None and now - self._between < self.hold:
            return
        if state.value != self._role:
            yield from self._begin(state, decision, _FOUND if self._role == _START else decision.why)
            assert self._begun is not None
            # Why it moved is what it began with; by now the reason is that it serves, or follows.
            yield replace(self._begun, event=AFTER)
            self._role, self._begun = state.value, None

    def _begin(self, to: State, decision: Decision, why: str) -> Iterator[Notification]:
        begun = self._begun.to if self._begun is not None else None
        if to.value not in (self._role, begun):
            self._begun = Notification(BEFORE, why, self._role, to.value, decision.rule.name)
            yield self._begun

    def problems(self, now: float, found: Sequence[Problem]) -> Iterator[Notification]:
        """Yield what has been wrong for long enough by now, and what is right again."""
        for problem in found:
            known = self._standing.get(problem.name)
            if known is None:
                known = _Standing(problem, now, now)
            # The gravest and first of a name is told; the words may change while it stands.
            self._standing[problem.name] = replace(known, last=now)
        for name, standing in list(self._standing.items()):
            if not standing.told and standing.last == now:
                if name in AT_ONCE or now - standing.since >= self.hold:
                    current = next(problem for problem in found if problem.name == name)
                    self._standing[name] = replace(standing, problem=current, told=True)
                    yield _wrong(current)
            elif standing.last < now and (not standing.told or now - standing.last >= self.hold):
                del self._standing[name]
                if standing.told:
                    yield replace(_wrong(standing.problem), event=CLEARED, remedy=None)


def _wrong(problem: Problem) -> Notification:
    event = ALARM if problem.level is Level.BROKEN else DEGRADED
    return Notification(event, problem.what, problem=problem.name, level=problem.level.value, remedy=problem.do)
