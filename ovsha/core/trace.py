"""Remember what was decided, on which facts, so that it can be told and decided again afterwards.

An entry holds all that `side.turn` was given, and what it made of it; the same release
comes to the same decision again, which `replay` shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ovsha.core import side
from ovsha.core.memory import Memory
from ovsha.core.plain import from_plain as _from_plain
from ovsha.core.plain import to_plain as _to_plain
from ovsha.core.side import Decision
from ovsha.core.view import View

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
    return side.turn(entry.view, entry.memory)


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
