"""Say how a check ended, in the words and with the exit statuses of monitoring plugins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is; the number is the exit status (Monitoring Plugins Development Guidelines, 2.3)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_GRAVEST_FIRST = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: a sentence without its full stop, and what to `do`, "" when nothing.

    `facts`: JSON values, for programs.
    """

    level: Level
    text: str
    do: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def ok(text: str, **facts: Any) -> Outcome:
    """Return that all is well."""
    return Outcome(Level.OK, text, "", facts)


def warning(text: str, do: str, **facts: Any) -> Outcome:
    """Return what has not broken anything yet."""
    return Outcome(Level.WARNING, text, do, facts)


def critical(text: str, do: str, **facts: Any) -> Outcome:
    """Return what is broken."""
    return Outcome(Level.CRITICAL, text, do, facts)


def unknown(text: str, do: str, **facts: Any) -> Outcome:
    """Return that it could not be found out."""
    return Outcome(Level.UNKNOWN, text, do, facts)


def gravity(level: Level) -> int:
    """Return a number that is smaller the worse the level is."""
    return _GRAVEST_FIRST.index(level)


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of them, OK for none; what is broken is worse than what is not known."""
    return min(levels, key=gravity, default=Level.OK)


def joined(found: list[Outcome], fine: Outcome) -> Outcome:
    """Return one outcome for several: the worst level, all sentences of what is not OK, or else `fine`."""
    bad = sorted((each for each in found if each.level is not Level.OK), key=lambda each: gravity(each.level))
    if not bad:
        return fine
    facts = dict(fine.facts)
    for each in bad:
        facts.update(each.facts)
    remedies = dict.fromkeys(each.do for each in bad if each.do)
    return Outcome(bad[0].level, "; ".join(each.text for each in bad), "; ".join(remedies), facts)
