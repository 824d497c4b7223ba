"""Say which faults a soak deals, round by round: a pure function of the seed.

A round is a handful of *blows* that overlap in time; when all have ended, the pair has to come to order.  Each round is
drawn from the seed and its own number alone, so that one round can be done again without those before it.

A *harmless* blow may cost time but never an acknowledged write: an order to move, an agent, clagd, a client, the backup
path.  A round of harmless blows is *planned*: whatever moves in it, moves by a barrier.  The others may end in an
unplanned failover, which by asynchronous replication leaves the last writes on the side that was left.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from topology import SWITCHES

SHORT, LONG = (0.2, 0.6, 1.2, 2.5), (0.6, 1.5, 3.0, 4.5, 6.0)
"""Seconds that a blow lasts.  A server must be frozen for three before it counts as hung."""

PLANNED = 0.25
"""The share of rounds that are meant to be planned; others are so by chance."""

WITHIN = 1.5
"""Seconds from a round's beginning in which its blows begin."""


@dataclass(frozen=True)
class Kind:
    """A kind of blow: what is hit and how, how often it is drawn, and for how long it may last (seconds).

    `where` are the places it may be dealt at: switches, "into" which switch a path loses frames, or "lab".
    """

    what: str
    how: str
    harmless: bool
    weight: int
    where: tuple[str, ...] = SWITCHES
    lasting: tuple[float, ...] = (0.0,)

    @property
    def name(self) -> str:
        """Return the words by which blows are counted."""
        return f"{self.what}: {self.how}"


# With "heartbeats" the peer link is cut and the backup path loses heartbeats and echoes only, so that both switches go
# on reaching the controller: a split brain.
BOTH = "both"
PATH_ENDS = (*SWITCHES, BOTH)
AWAY = "the other side"
"""Wherever the service is not when the order is given."""
KINDS = (
    Kind("switchover", "ordered", True, 8, (*SWITCHES, AWAY, AWAY)),
    Kind("agent", "kill", True, 3, lasting=LONG),
    Kind("agent", "stop", True, 2, lasting=SHORT),
    Kind("agent", "freeze", True, 3, lasting=LONG),
    Kind("clagd", "kill", True, 2, lasting=LONG),
    Kind("clagd", "freeze", True, 1, lasting=LONG),
    Kind("vtepd", "kill", True, 1, lasting=SHORT),
    Kind("vtepd", "freeze", True, 1, lasting=LONG),
    Kind("controller", "kill", True, 2, ("lab",), SHORT),
    Kind("backup path", "cut", True, 3, PATH_ENDS, LONG),
    Kind("role", "backup made active by hand", True, 2, ("lab",)),
    Kind("server", "kill", False, 5, lasting=LONG),
    Kind("server", "stop", False, 3, lasting=SHORT),
    Kind("server", "freeze", False, 4, lasting=LONG),
    Kind("power", "cut", False, 3, lasting=LONG),
    Kind("power", "kill", False, 3, lasting=LONG),
    Kind("peer link", "cut", False, 4, PATH_ENDS, LONG),
    Kind("heartbeats", "cut", False, 3, PATH_ENDS, LONG),
    Kind("role", "active made a backup of nobody by hand", False, 2, ("lab",)),
)


@dataclass(frozen=True)
class Blow:
    """One fault: of which kind, where, when it begins, counted from the round's beginning, and for how many seconds."""

    kind: Kind
    where: str
    at: float
    seconds: float

    @property
    def until(self) -> float:
        """When it ends, counted from the round's beginning."""
        return self.at + self.seconds

    def __str__(self) -> str:
        lasting = f" for {self.seconds:g} s" if self.seconds else ""
        place = {"lab": "", BOTH: " both ways"}.get(self.where, f" {'into' if self._on_path else 'at'} {self.where}")
        if self.kind.what == "switchover":
            place = f" to {self.where}"
        return f"{self.at:.2f} s {self.kind.what} {self.kind.how}{place}{lasting}"

    @property
    def _on_path(self) -> bool:
        return self.kind.where is PATH_ENDS


@dataclass(frozen=True)
class Round:
    """What is dealt between two times of order; `planned` when nothing of it may cost an acknowledged write."""

    number: int
    planned: bool
    blows: tuple[Blow, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.blows))


def rounds(seed: int, first: int = 1) -> Iterator[Round]:
    """Give the rounds of a seed without end, from number `first` on."""
    while True:
        yield draw(seed, first)
        first += 1


def draw(seed: int, number: int) -> Round:
    """Return the round of that number."""
    lot = random.Random(f"{seed}/{number}")
    planned = lot.random() < PLANNED
    kinds = [kind for kind in KINDS if kind.harmless or not planned]
    chosen = lot.choices(kinds, [kind.weight for kind in kinds], k=lot.choice((1, 2, 2, 3, 3, 4)))
    if not planned and all(kind.harmless for kind in chosen):
        planned = True
    blows = [
        Blow(kind, lot.choice(kind.where), round(lot.uniform(0, WITHIN), 2), lot.choice(kind.lasting))
        for kind in dict.fromkeys(chosen)  # one of a kind is enough, but for the moves there and back
    ]
    blows += [Blow(kind, lot.choice(kind.where), WITHIN, 0.0) for kind in chosen if kind.what == "switchover"][1:]
    return Round(number, planned, tuple(sorted(blows, key=lambda blow: (blow.at, blow.kind.name))))
