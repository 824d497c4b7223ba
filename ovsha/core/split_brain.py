"""Settle a split brain: of two sides that both serve, name the one that goes on.

One pure function of the two records that both sides exchange.  Exchanging its arguments
exchanges nothing in its answer, so both sides come to the same verdict without asking
anybody.  The criteria are searched in order; the first that tells the two apart decides.
None of them compares two ages or terms: each side sees its own as it is now and the other's
as it was a moment ago, so that two sides of nearly the same age would both win.

Where both sides serve after a silence, one of the two may have been cut off from everybody: its sessions are still
there, since TCP needs a while to give them up, but nobody has answered on them.  What clients wrote meanwhile is on the
other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ovsha.core.facts import Mode, Record


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing in which two serving sides can differ; the greater `weight` goes on serving."""

    weight: Callable[[Record], float]
    why: str


SETTLED = 60.0
"""Seconds of service after which a side counts as the one that was active before."""

CRITERIA = (
    Criterion(lambda r: r.undriven, "its ovsdb-server takes no orders, so it cannot give way"),
    Criterion(lambda r: r.mode is not Mode.ACTIVE, "it carries out nothing, so it cannot give way"),
    Criterion(lambda r: r.upgrade is None, "it is in no upgrade"),
    Criterion(lambda r: not r.lapsed, "it has watched without a gap"),
    Criterion(lambda r: not r.cut_off, "clients reached it while the two were apart"),
    Criterion(lambda r: r.controllers > 0, "it has a controller's session"),
    Criterion(lambda r: r.vteps, "more VTEP daemons are attached to it"),
    Criterion(lambda r: (r.active_for or 0.0) >= SETTLED, "it has been active for longer"),
    Criterion(lambda r: r.preferred == r.node, "it is the preferred side"),
)


def winner(one: Record, other: Record) -> tuple[str, str]:
    """Return the node that goes on serving and the clause that tells why."""
    for criterion in CRITERIA:
        first, second = criterion.weight(one), criterion.weight(other)
        if first != second:
            return (one if first > second else other).node, criterion.why
    return min(one.node, other.node), "all else is equal and its name comes first"


class Reach:
    """Adds up the time of one silence of the peer, by whether a client answered in it."""

    def __init__(self) -> None:
        self._answered = self._unanswered = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether no client answered for most of it; false before the first look."""
        return self._unanswered > self._answered

    def look(self, answered: bool, seconds: float) -> None:
        """Take note of a look while the peer is silent that stands for so many seconds.

        `answered`: a client on another host acknowledges what it is sent.
        """
        if answered:
            self._answered += seconds
        else:
            self._unanswered += seconds

    def forget(self) -> None:
        """Begin anew: the silence has ended, and one side at most serves."""
        self._answered = self._unanswered = 0.0
