"""How a check or an item of the preflight ended, in the words and with the exit statuses of monitoring plugins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is; the number is the exit status (Monitoring Plugins Development Guidelines, 2.3)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_GRAVEST_FIRST = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found: a sentence without its full stop, and what to `do`, "" when nothing.

    `facts`: JSON values, for programs.
    """

    level: Level
    text: str
    do: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def ok(text: str, **facts: Any) -> Result:
    """Return that all is well."""
    return Result(Level.OK, text, "", facts)


def warning(text: str, do: str, **facts: Any) -> Result:
    """Return what has not broken anything yet."""
    return Result(Level.WARNING, text, do, facts)


def critical(text: str, do: str, **facts: Any) -> Result:
    """Return what is broken."""
    return Result(Level.CRITICAL, text, do, facts)


def unknown(text: str, do: str, **facts: Any) -> Result:
    """Return that it could not be found out."""
    return Result(Level.UNKNOWN, text, do, facts)


def gravity(level: Level) -> int:
    """Return a number that is smaller the worse the level is."""
    return _GRAVEST_FIRST.index(level)


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of them, OK for none; what is broken is worse than what is not known."""
    return min(levels, key=gravity, default=Level.OK)


def joined(found: list[Result], fine: Result) -> Result:
    """Return one outcome for several: the worst level, all sentences of what is not OK, or else `fine`."""
    bad = sorted((each for each in found if each.level is not Level.OK), key=lambda each: gravity(each.level))
    if not bad:
        return fine
    facts = dict(fine.facts)
    for each in bad:
        facts.update(each.facts)
    remedies = dict.fromkeys(each.do for each in bad if each.do)
    return Result(bad[0].level, "; ".join(each.text for each in bad), "; ".join(remedies), facts)


class Grade(Enum):
    """PASS: it is well.  WARN: it works, but not in each case.  FAIL: it cannot work.  SKIP: it was not looked at."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of what is needed and what was measured."""

    what: str
    needed: str
    measured: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence without its full stop, and the `fix`, "" when there is nothing to fix; `facts` are JSON values."""

    grade: Grade
    text: str
    fix: str = ""
    rows: tuple[Row, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def passed(text: str, **facts: Any) -> Finding:
    """Return that it is well."""
    return Finding(Grade.PASS, text, facts=facts)


def warn(text: str, fix: str, **facts: Any) -> Finding:
    """Return that it works, but not in each case."""
    return Finding(Grade.WARN, text, fix, facts=facts)


def fail(text: str, fix: str, **facts: Any) -> Finding:
    """Return that it cannot work."""
    return Finding(Grade.FAIL, text, fix, facts=facts)


def skip(text: str, fix: str = "") -> Finding:
    """Return that it was not looked at, and how it would be."""
    return Finding(Grade.SKIP, text, fix)


def of_check(found: Result) -> Finding:
    """Return what a check of a running switch means before it runs."""
    grade = {Level.OK: Grade.PASS, Level.WARNING: Grade.WARN}.get(found.level, Grade.FAIL)
    return Finding(grade, found.text, found.do, facts=found.facts)


_ORDER = (Grade.FAIL, Grade.WARN, Grade.SKIP, Grade.PASS)


def together(found: list[Finding], fine: Finding) -> Finding:
    """Return one finding for several: the worst grade, all sentences of what is not well, or else `fine`."""
    bad = sorted((each for each in found if each.grade in (Grade.FAIL, Grade.WARN)), key=_gravity)
    if not bad:
        return fine
    fixes = dict.fromkeys(each.fix for each in bad if each.fix)
    return Finding(bad[0].grade, "; ".join(each.text for each in bad), "; ".join(fixes), fine.rows, fine.facts)


def _gravity(finding: Finding) -> int:
    return _ORDER.index(finding.grade)
