"""Say how one item of the preflight came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ovsha.checks.outcome import Level, Outcome


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


def of_check(found: Outcome) -> Finding:
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
