"""Carry out the steps that the core orders: one call of a driver for each.

A step that fails, or that somebody undoes, is tried again, more and more seldom; the reason is logged once.  Only
one step waits for ovsdb-server at a time, but what needs no answer from it is never held
up by a step that does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ovsha.core.facts import Token
from ovsha.core.side import Decision
from ovsha.core.transition import Step
from ovsha.errors import DriverError
from ovsha.switch import Switch
from ovsha.undone import Undone

log = logging.getLogger("ovsha")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_AT_ONCE = (Step.DROP_VIP, Step.FENCE_SERVER)

Done = Callable[[str | None], None]
Act = Callable[[Switch, Decision, float, Done], None]


def _sync(act: Callable[[Switch, float], None]) -> Act:
    """Return an act that is over when it returns."""

    def call(switch: Switch, decision: Decision, now: float, done: Done) -> None:
        try:
            act(switch, now)
        except DriverError as error:
            done(str(error))
        else:
            done(None)

    return call


def _commit(switch: Switch, decision: Decision, now: float, done: Done) -> None:
    if decision.barrier is None:
        done(None)
    else:
        _write(switch, decision, decision.barrier, done)


def _heal(switch: Switch, decision: Decision, now: float, done: Done) -> None:
    if decision.above is None:
        done(None)
    else:
        _write(switch, decision, decision.above, done)


def _write(switch: Switch, decision: Decision, token: Token, done: Done) -> None:
    """Write a token, and the stamp with it: a client may have overwritten both."""
    if decision.record.stamp is None:
        switch.server.commit(token, done)
    else:
        switch.server.renew(decision.record.stamp, token, done)


def _snapshot(switch: Switch, decision: Decision, now: float, done: Done) -> None:
    stamp = decision.record.stamp
    switch.snapshot(stamp.term if stamp else 0, done)


ACTS: dict[Step, Act] = {
    Step.PROMOTE: lambda switch, decision, now, done: switch.server.promote(done),
    Step.STAMP: lambda switch, decision, now, done: switch.server.stamp(decision.opening, done),
    Step.OPEN_MANAGERS: lambda switch, decision, now, done: switch.server.open(switch.server.managers, done),
    Step.ADD_VIP: _sync(lambda switch, now: switch.add_vip(now)),
    Step.OPEN_LISTENER: lambda switch, decision, now, done: switch.server.open(switch.server.listener, done),
    Step.CUT_STALE: _sync(lambda switch, now: switch.cut_stale()),
    Step.CLOSE_MANAGERS: lambda switch, decision, now, done: switch.server.shut(switch.server.managers, done),
    Step.CLOSE_LISTENER: lambda switch, decision, now, done: switch.server.shut(switch.server.listener, done),
    Step.DROP_VIP: _sync(lambda switch, now: switch.drop_vip(now)),
    Step.COMMIT_TOKEN: _commit,
    Step.PARK_SERVER: lambda switch, decision, now, done: switch.server.park(done),
    Step.SNAPSHOT: _snapshot,
    Step.CONNECT: lambda switch, decision, now, done: switch.connect(done),
    Step.HEAL: _heal,
    Step.FENCE_SERVER: _sync(lambda switch, now: switch.fence()),
}
"""Every step but RESERVE_TERM, which the store does by itself as soon as a term is used."""


class Orders:
    """Carry out steps on `switch`, one after the other; `ended` is called when one has ended well."""

    def __init__(self, switch: Switch) -> None:
        self.under_way: Step | None = None
        self.failing: dict[Step, str] = {}
        self.ended: Callable[[Step], None] = lambda step: None
        self.undone = Undone()
        self._switch = switch
        self._pause: dict[Step, float] = {}
        self._not_before: dict[Step, float] = {}

    def carry_out(self, decision: Decision, now: float) -> bool:
        """Begin the step that was decided on; True when it is over already and went well."""
        step = decision.step
        if step is None or step is Step.RESERVE_TERM:
            return False
        self.undone.due(step, self._switch.server.pid, now)
        if now < (self.deadline(step) or 0.0):
            return False
        if self.under_way is not None and step not in _AT_ONCE:
            return False
        over: list[bool] = []
        waits = step not in _AT_ONCE
        if waits:
            self.under_way = step

        def done(error: str | None) -> None:
            over.append(error is None)
            if waits:
                self.under_way = None
            self._note(step, error, now)
            if error is None:
                self.undone.did(step, now)
                self.ended(step)

        log.debug("%s", step.value)
        ACTS[step](self._switch, decision, now, done)
        return bool(over) and over[0]

    def deadline(self, step: Step | None) -> float | None:
        """Return when a step that failed, or was undone, may be tried again, None when it may be at any time."""
        if step is None:
            return None
        moments = (self._not_before.get(step), self.undone.not_before(step))
        return max((each for each in moments if each is not None), default=None)

    def _note(self, step: Step, error: str | None, now: float) -> None:
        if error is None:
            self.failing.pop(step, None)
            self._pause.pop(step, None)
            self._not_before.pop(step, None)
            return
        if self.failing.get(step) != error:
            log.error("cannot %s: %s", step.value, error)
        self.failing[step] = error
        pause = self._pause.get(step, _FIRST_PAUSE)
        self._not_before[step] = now + pause
        self._pause[step] = min(2 * pause, _LONGEST_PAUSE)
