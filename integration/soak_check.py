"""Hold what a round of a soak left behind against the laws of the pair.

Pure functions over what was recorded; times are seconds of time.monotonic().
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import history
from history import Ack, Event
from nsx_switch import REMOTE
from session import mac_of
from soak_faults import Blow

SETTLE = 5.0
"""Seconds in which two sides that could not hear each other may find out who serves, started programs included."""


@dataclass(frozen=True)
class Evidence:
    """What is known after a round, in which `acks` and `controller` reach back to the beginning of the pair.

    `found` are the MACs in the database that serves, `kept` those in ledgers, `lost` those that an earlier round is
    known to have left in a ledger.  `gone` are the numbers of the rows that a reader missed since the judgement before,
    which was at `since`.  In the stretches `deaf` the two sides could not hear each other.
    """

    planned: bool
    acks: Sequence[Ack]
    controller: Sequence[Event]
    found: Collection[str]
    kept: Collection[str]
    lost: Collection[str]
    gone: Collection[int]
    since: float
    deaf: Sequence[tuple[float, float]]


def missing(evidence: Evidence) -> list[Ack]:
    """Return the acknowledged rows that are not in the database, those of earlier rounds left out."""
    return [ack for ack in history.missing(evidence.acks, evidence.found) if ack.mac not in evidence.lost]


def broken(evidence: Evidence) -> list[str]:
    """Return a sentence for each law that did not hold."""
    return [*_writes(evidence), *_reads(evidence), *_overlaps(evidence)]


def _writes(evidence: Evidence) -> Iterator[str]:
    away = missing(evidence)
    if evidence.planned and away:
        yield f"a planned round lost acknowledged writes: {named(away)}"
    nowhere = [ack for ack in away if ack.mac not in evidence.kept]
    if nowhere:
        yield f"acknowledged, and neither in the database nor in a ledger: {named(nowhere)}"


def _reads(evidence: Evidence) -> Iterator[str]:
    gone = [row for row in evidence.gone if mac_of(REMOTE, row) not in evidence.lost]
    if evidence.planned and gone:
        yield f"in a planned round a reader at the VIP missed rows it had read before: {numbers(gone)}"
    nowhere = [row for row in gone if mac_of(REMOTE, row) not in {*evidence.found, *evidence.kept}]
    if nowhere:
        yield f"read at the VIP, and now neither in the database nor in a ledger: {numbers(nowhere)}"


def _overlaps(evidence: Evidence) -> Iterator[str]:
    for overlap in history.overlaps(evidence.controller):
        if overlap.until > evidence.since and not any(a <= overlap.since <= b for a, b in evidence.deaf):
            both = " and ".join(overlap.switches)
            lasted = overlap.until - overlap.since
            yield (
                f"{both} were both in live sessions with the controller for {lasted:.2f} s at {overlap.since:.3f}, "
                f"though they could hear each other"
            )


def deaf(blows: Collection[Blow], begun: float, dealt: float) -> list[tuple[float, float]]:
    """Return when, by these blows, the two sides could not hear each other, and the time to settle it afterwards.

    They were dealt from `begun` to `dealt`; what that took longer than they wanted may have come anywhere in between.
    """
    alone = [(blow.at, blow.until) for blow in blows if blow.kind.what in ("agent", "power", "heartbeats")]
    cut = {path: [blow for blow in blows if blow.kind.what == path] for path in ("peer link", "backup path")}
    for one, other in product(*cut.values()):
        if one.at < other.until and other.at < one.until:
            alone.append((max(one.at, other.at), min(one.until, other.until)))
    late = max(0.0, dealt - begun - max((blow.until for blow in blows), default=0.0))
    return [(begun + since, begun + until + late + SETTLE) for since, until in alone]


def worst_outage(acks: Sequence[Ack], since: float, until: float) -> float:
    """Return the longest time without an acknowledgement that ended between `since` and `until`; 0 without any."""
    times = [ack.t for ack in acks if not ack.late and ack.t <= until]
    return max((b - max(a, since) for a, b in pairwise(times) if b > since), default=0.0)


def moves(acks: Sequence[Ack]) -> int:
    """Return how often writing went over to another switch."""
    return sum(a.switch != b.switch for a, b in pairwise(ack for ack in acks if not ack.late))


def named(acks: Sequence[Ack]) -> str:
    """Return the rows with who acknowledged them, the first few of many."""
    few = ", ".join(f"{ack.row} (by {ack.switch} at {ack.t:.3f})" for ack in acks[:6])
    return f"{len(acks)} rows: {few}{' ...' if len(acks) > 6 else ''}"


def numbers(rows: Sequence[int]) -> str:
    """Return the numbers of rows, the first few of many."""
    return f"{len(rows)} rows: {', '.join(map(str, rows[:10]))}{' ...' if len(rows) > 10 else ''}"
