"""Measure the moves of the service on this switch, and have each recorded.

The core follows a move (ovsha.report.moves); here its clock is read and the kernel is asked
for the first session with a controller, since the Manager rows tell it seconds later.
"""

from __future__ import annotations

from collections.abc import Callable

from ovs.poller import Poller

from ovsha.agent.steps import StepExecutor
from ovsha.agent.switch import Switch
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.errors import DriverError
from ovsha.history.recorder import Recorder
from ovsha.report.assessment import ServiceMove
from ovsha.report.history import why
from ovsha.report.moves import MoveTracker, TimedMove

_LOOK_EVERY, _LOOK_SELDOM = 0.01, 0.2
_SOON = 2.0


class MoveTimer:
    """The moves on `switch`, whose steps `orders` carry out; `clock` gives monotonic seconds."""

    def __init__(self, switch: Switch, orders: StepExecutor, recorder: Recorder, clock: Callable[[], float]) -> None:
        self._switch, self._recorder, self._clock = switch, recorder, clock
        self._passages = MoveTracker()
        self._since: float | None = None
        self._last: tuple[float, TimedMove] | None = None
        self._look_at = 0.0
        orders.ended = self._stepped
        switch.vip_added = lambda: self._passages.vip_added(clock())

    def look(self, view: View, decision: Decision) -> None:
        """Take note of one turn."""
        if self._passages.awaits_controller:
            self._look_for_controller(view.now)
        else:
            self._since = None
        for passage in self._passages.decided(view, decision):
            self._record(passage)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop to look for the controller, often at first."""
        if self._passages.awaits_controller:
            poller.timer_wait(max(0, int((self._look_at - now) * 1000) + 1))

    def last(self, now: float) -> ServiceMove | None:
        """Return the last move that came to its end, None when this agent has seen none."""
        if self._last is None:
            return None
        began, seen = self._last
        reason = why(seen.kind, seen.operator, seen.reason)
        return ServiceMove(now - began, seen.kind, seen.source, seen.target, reason, seen.said)

    def close(self) -> None:
        """Record what is under way."""
        for passage in self._passages.end(self._clock()):
            self._record(passage)

    def _stepped(self, step: Step) -> None:
        self._passages.stepped(step, self._clock())

    def _look_for_controller(self, now: float) -> None:
        self._since = now if self._since is None else self._since
        if now < self._look_at:
            return
        self._look_at = now + (_LOOK_EVERY if now - self._since < _SOON else _LOOK_SELDOM)
        try:
            seen = self._switch.clients.controllers()
        except DriverError:
            return  # what cannot be asked is not measured
        if seen:
            self._passages.controller_seen(self._clock())

    def _record(self, passage: TimedMove) -> None:
        self._recorder.event("service", passage.text, **passage.facts)
        if not passage.failed:
            self._last = (self._clock() - passage.age, passage)
