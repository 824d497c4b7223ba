"""Decisions that are kept, chosen for the disk, and taken again.

An entry holds all that `turn.turn` was given, and what it made of it; the same release
comes to the same decision again, which `replay` shows.

Those that differ from the one before are, with the last one before them and one in
`SPACING` seconds of the `SPAN` seconds before; so is one in `SPACING` seconds before and
after an event; and one in `EVERY` seconds whatever happens.  Times are those of the views.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ovsha.codec import from_plain as _from_plain
from ovsha.codec import to_plain as _to_plain
from ovsha.core import turn
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View

SIZE = 400
"""Changes that are remembered: hours of a quiet pair, some minutes of a bad one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision came to, in words."""

    rule: str
    step: str | None
    state: str
    presence: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision: when, what it was, why, and what it was taken on.

    `number` counts the turns of this agent; `at` is seconds since 1970 by this side's clock, while `view.now` is
    monotonic.
    """

    number: int
    at: float
    outcome: Outcome
    why: str
    view: View
    memory: Memory


def outcome(decision: Decision) -> Outcome:
    """Return what `decision` came to."""
    step = decision.step.value if decision.step is not None else None
    return Outcome(decision.rule.name, step, decision.state.value, decision.presence.value)


def replay(entry: Entry) -> Decision:
    """Decide again on the facts of `entry`."""
    return turn.turn(entry.view, entry.memory)


def holds(entry: Entry) -> bool:
    """Tell whether the facts of `entry` lead to its decision again."""
    decision = replay(entry)
    return (outcome(decision), decision.why) == (entry.outcome, entry.why)


def to_plain(entry: Entry) -> dict[str, Any]:
    """Return the entry as JSON values."""
    plain: dict[str, Any] = _to_plain(entry)
    return plain


def from_plain(plain: Mapping[str, Any]) -> Entry:
    """Return the entry that `plain` was made of.  Raises ValueError, with the field's name, when it is not usable."""
    return _from_plain(Entry, plain)


class Trace:
    """The last `size` decisions that differed from the one before, and the very last one."""

    def __init__(self, size: int = SIZE) -> None:
        self._changes: deque[Entry] = deque(maxlen=size)
        self._last: Entry | None = None
        self._number = 0

    def note(self, at: float, view: View, memory: Memory, decision: Decision) -> Entry:
        """Remember and return the decision that was taken on `view` and `memory`; `at` as in `Entry`."""
        self._number += 1
        self._last = Entry(self._number, at, outcome(decision), decision.why, view, memory)
        if not self._changes or self._changes[-1].outcome != self._last.outcome:
            self._changes.append(self._last)
        return self._last

    def entries(self, after: int = 0) -> list[Entry]:
        """Return what is remembered of the turns after that number, the oldest first."""
        known = list(self._changes)
        if self._last is not None and self._last is not known[-1]:
            known.append(self._last)
        return [entry for entry in known if entry.number > after]


SPAN, SPACING, EVERY = 3.0, 0.25, 600.0


class DecisionSample:
    """What was chosen, and what may yet be; `turn` is the number of the last decision, 0 before the first."""

    def __init__(self) -> None:
        self.turn = 0
        self._last: Entry | None = None
        self._written: Entry | None = None
        self._recent: deque[Entry] = deque(maxlen=round(SPAN / SPACING))
        self._until = float("-inf")

    def note(self, entry: Entry) -> list[Entry]:
        """Return what is to be written now that this was decided, the oldest first."""
        last, self._last, self.turn = self._last, entry, entry.number
        now = entry.view.now
        if last is None or last.outcome != entry.outcome:
            return self._chosen([*self._before(now), *([last] if last is not None else []), entry])
        written = self._written
        since = now - written.view.now if written is not None else EVERY
        if since >= EVERY or (now < self._until and since >= SPACING):
            return self._chosen([entry])
        if not self._recent or now - self._recent[-1].view.now >= SPACING:
            self._recent.append(entry)
        return []

    def event(self) -> list[Entry]:
        """Return what is to be written because something happens now."""
        if self._last is None:
            return []
        now = self._last.view.now
        self._until = now + SPAN
        return self._chosen([*self._before(now), self._last])

    def _before(self, now: float) -> list[Entry]:
        before = [each for each in self._recent if now - each.view.now <= SPAN]
        self._recent.clear()
        return before

    def _chosen(self, entries: list[Entry]) -> list[Entry]:
        """Return those that were not written before, which is in their order."""
        fresh: list[Entry] = []
        for each in entries:
            if self._written is None or each.number > self._written.number:
                self._written = each
                fresh.append(each)
        return fresh


def differing(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return, as JSON values, each decision that this release takes otherwise, or gives another reason for."""
    return [_told(entry) for entry in entries if not holds(entry)]


def _told(entry: Entry) -> dict[str, Any]:
    decision = replay(entry)
    now = outcome(decision)
    changed = [name for name, value in asdict(entry.outcome).items() if getattr(now, name) != value]
    return {
        "at": entry.at,
        "node": entry.view.settings.node,
        "turn": entry.number,
        "what": f"another {' and '.join(changed)}" if changed else "the same for another reason",
        "changed": changed,
        "then": {**asdict(entry.outcome), "why": entry.why},
        "now": {**asdict(now), "why": decision.why},
    }
