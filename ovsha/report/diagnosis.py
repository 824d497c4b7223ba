"""Say what is wrong with the pair, in words, and what an operator can do about it.

One table.  Its rows are searched from the top; what the first of them finds is the verdict
of `ovsha sync-status`, and `ovsha status` shows all.  A row is BROKEN when the pair is not
what it should be: one side active, the other in sync with it.  DEGRADED is what has not
broken the pair yet.  Each law is held by tests/report/test_status.py:

* a pair that is not in sync has a problem that is BROKEN, whatever its facts are;
* a pair that is in sync has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from ovsha.core.facts import Presence
from ovsha.protocol.conflicts import Names
from ovsha.report import problems, problems_serving
from ovsha.report import problems as parts
from ovsha.report import problems_serving as serving
from ovsha.report.assessment import Assessment


class Level(Enum):
    """Whether a problem has broken the pair, or only some of what keeps it whole."""

    BROKEN = "broken"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: `what` it is, and what to `do`."""

    name: str
    level: Level
    what: str
    do: str


Finding = tuple[str, str]
Finder = Callable[[Assessment], Iterator[Finding]]


def find(moment: Assessment) -> list[Problem]:
    """Return all that is wrong, the gravest first."""
    found = [Problem(row, level, what, do) for row, level, finder in ROWS for what, do in finder(moment)]
    if not moment.well and not any(problem.level is Level.BROKEN for problem in found):
        found.insert(0, _unexplained(moment))
    return found


def _idle(m: Assessment) -> Iterator[Finding]:
    yield from problems_serving.idle(m.sides, m.decision, m.outside)


def _forgotten(m: Assessment) -> Iterator[Finding]:
    yield from problems_serving.forgotten(m.outside)


def _upgrade(m: Assessment) -> Iterator[Finding]:
    yield from problems_serving.upgrade(m.sides, m.outside)


def _peer_lost(m: Assessment) -> Iterator[Finding]:
    if not m.case.standalone:
        yield from problems_serving.lost(m.case, m.outside, m.own.node)


def _other_key(m: Assessment) -> Iterator[Finding]:
    yield from problems_serving.key(m.case, m.outside)


def _paths(m: Assessment) -> Iterator[Finding]:
    # Where the agent there is not heard at all, that both paths are silent is no further news.
    if m.decision.presence is Presence.ALIVE:
        yield from problems.paths(m.own.node, m.case.view.settings.peer, m.outside.paths)


def _collisions(m: Assessment) -> Iterator[Finding]:
    settings = m.case.view.settings
    yield from problems.collisions(Names(m.outside.pair, settings.node, settings.peer), m.outside)


def _unexplained(m: Assessment) -> Problem:
    states = " and ".join(f"{side.node} is in state {side.state.value}" for side in m.sides)
    what = f"it is not served: {states}" if m.case.standalone else f"the pair is not in sync: {states}"
    return Problem("settling", Level.BROKEN, what, "wait a moment and ask again")


ROWS: tuple[tuple[str, Level, Finder], ...] = (
    ("split-brain", Level.BROKEN, serving.split),
    ("server-down", Level.BROKEN, parts.server_down),
    ("server-hung", Level.BROKEN, parts.server_hung),
    ("server-undriven", Level.BROKEN, parts.server_undriven),
    ("server-unknown", Level.BROKEN, parts.server_unknown),
    ("peer-lost", Level.BROKEN, _other_key),
    ("needs-decision", Level.BROKEN, serving.decision),
    ("handover", Level.BROKEN, serving.moving),
    ("not-served", Level.BROKEN, serving.nobody),
    ("peer-lost", Level.BROKEN, _peer_lost),
    ("partly-served", Level.BROKEN, serving.partial),
    ("copy-behind", Level.BROKEN, serving.copy_behind),
    ("exposed", Level.DEGRADED, serving.exposed),
    ("server-file", Level.DEGRADED, parts.server_file),
    ("step-failing", Level.DEGRADED, parts.failing),
    ("undone", Level.DEGRADED, parts.undone),
    ("moves-held", Level.DEGRADED, serving.held),
    ("idle", Level.DEGRADED, _idle),
    ("overwritten", Level.DEGRADED, parts.overwritten),
    ("upgrade", Level.DEGRADED, _upgrade),
    ("pause-forgotten", Level.DEGRADED, _forgotten),
    ("path", Level.DEGRADED, _paths),
    ("estranged", Level.DEGRADED, parts.estranged),
    ("collision", Level.DEGRADED, _collisions),
    ("peer-link", Level.DEGRADED, parts.link),
    ("server-busy", Level.DEGRADED, parts.busy),
    ("mlag", Level.DEGRADED, parts.clag),
    ("no-controller", Level.DEGRADED, parts.no_controller),
    ("no-vtep", Level.DEGRADED, parts.no_vtep),
    ("divergence", Level.DEGRADED, parts.divergence),
    ("trouble", Level.DEGRADED, parts.troubles),
)
"""Name, level, and what finds it."""
