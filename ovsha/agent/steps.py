"""Carry out the steps that the core orders: one call of a driver for each, again where it fails or is undone.

A step that fails, or that somebody undoes, is tried again, more and more seldom; the reason is logged once.  Only
one step waits for ovsdb-server at a time, but what needs no answer from it is never held
up by a step that does.

A script, ifupdown, NetworkManager or another client of ovsdb-server may take away what the agent has put there.  Put
back at once each time, that would be a fight which costs both a processor and the log its lines.  What was left alone
for `QUIET` seconds is put back at once again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ovsha.agent.switch import Switch
from ovsha.core.facts import Token
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.errors import DriverError
from ovsha.report.assessment import Undoing

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


class StepExecutor:
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


QUIET = 60.0
"""Seconds for which what was done again must stay before it counts as left alone."""

_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds that are waited after the first, second, ... time before what serves is put back."""

_AT_MOST_A_SECOND = (0.0, 0.1, 0.2, 0.4, 0.8, 1.0)
"""The same where what somebody has put there is taken away: a side that is not to serve must not for long."""

_COPY = (0.0, 1.0, 2.0, 4.0, 8.0)
"""The same before a server that was taken out of its role begins to copy: meanwhile it is parked, and gets older."""

MADE_ACTIVE = "ovsdb-server was found active where it is to copy"

WORDS: dict[Step, str] = {
    Step.PROMOTE: "ovsdb-server was made a backup",
    Step.ADD_VIP: "the VIP was taken away",
    Step.OPEN_LISTENER: "the listener on the VIP was closed",
    Step.OPEN_MANAGERS: "the remote of the managers was removed",
    Step.DROP_VIP: "the VIP was added where nothing is to be served",
    Step.CLOSE_LISTENER: "the listener on the VIP was opened where nothing is to be served",
    Step.CLOSE_MANAGERS: "the remote of the managers was added where nothing is to be served",
    Step.CONNECT: MADE_ACTIVE,
}
"""What somebody has done when the step, which was done and not undone by us, is due again.

That of CONNECT is noted as what it is, for such a server is parked, and so the step undone by us, in between.
"""

_OPPOSITES: dict[Step, tuple[Step, ...]] = {
    Step.PROMOTE: (Step.PARK_SERVER, Step.CONNECT, Step.FENCE_SERVER),
    Step.ADD_VIP: (Step.DROP_VIP,),
    Step.OPEN_LISTENER: (Step.CLOSE_LISTENER, Step.FENCE_SERVER),
    Step.OPEN_MANAGERS: (Step.CLOSE_MANAGERS, Step.FENCE_SERVER),
    Step.DROP_VIP: (Step.ADD_VIP,),
    Step.CLOSE_LISTENER: (Step.OPEN_LISTENER,),
    Step.CLOSE_MANAGERS: (Step.OPEN_MANAGERS,),
}
"""By which steps we undo one ourselves."""

_TAKE_AWAY = (Step.DROP_VIP, Step.CLOSE_LISTENER, Step.CLOSE_MANAGERS)
_OF_VIP = (Step.ADD_VIP, Step.DROP_VIP)


@dataclass(frozen=True, slots=True)
class _Kept:
    count: int
    first: float
    last: float
    again: float | None = None  # when it was done again, None while it is not


class Undone:
    """What was undone since when and how often; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self._done: set[Step] = set()
        self._kept: dict[str, _Kept] = {}
        self._pid: int | None = None

    def due(self, step: Step, pid: int | None, now: float) -> None:
        """Note that a step is due; `pid`: the process of our server, another one of which has forgotten its remotes."""
        if pid != self._pid:
            self._pid = pid
            self._done.intersection_update(_OF_VIP)
        if step in self._done:
            self._done.discard(step)
            if step is not Step.PROMOTE:  # which the server's own incidents tell
                self.incidents.append(WORDS[step])
            self.note(WORDS[step], now)

    def did(self, step: Step, now: float) -> None:
        """Note that a step was carried out."""
        self._done = {each for each in self._done if step not in _OPPOSITES[each]}
        if step in _OPPOSITES:
            self._done.add(step)
        words = WORDS.get(step, "")
        if words in self._kept:
            self._kept[words] = replace(self._kept[words], again=now)

    def note(self, words: str, now: float) -> None:
        """Note that somebody has done that."""
        kept = self._kept.get(words)
        if kept is None or (kept.again is not None and now - kept.again >= QUIET):
            kept = _Kept(0, now, now)
        self._kept[words] = replace(kept, count=kept.count + 1, last=now, again=None)

    def not_before(self, step: Step) -> float | None:
        """Return when the step may be carried out again, None when it may be at any time."""
        kept = self._kept.get(WORDS.get(step, ""))
        if kept is None or kept.again is not None:
            return None
        pauses = _AT_MOST_A_SECOND if step in _TAKE_AWAY else _COPY if step is Step.CONNECT else _PAUSES
        return kept.last + pauses[min(kept.count, len(pauses)) - 1]

    def listed(self, now: float) -> tuple[Undoing, ...]:
        """Return what was undone more than once of late."""

        def quiet(kept: _Kept) -> bool:
            return now - (kept.last if kept.again is None else kept.again) >= QUIET

        self._kept = {words: kept for words, kept in self._kept.items() if not quiet(kept)}
        told = ((words, kept) for words, kept in self._kept.items() if kept.count > 1)
        return tuple(Undoing(words, kept.count, now - kept.first, now - kept.last) for words, kept in told)
