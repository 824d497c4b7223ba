"""Say in words what a collision is, and what an operator can do about it; the log and the status print the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ovsha.core.collisions import Collision, Kind


@dataclass(frozen=True, slots=True)
class Names:
    """How the pair and its sides are called."""

    pair: str
    own: str
    peer: str


_Say = Callable[[Collision, Names], str]

WORDS: dict[Kind, tuple[_Say, _Say]] = {
    Kind.FORGED: (
        lambda c, n: f"heartbeats that come from {c.address} on {c.where} are sealed with another key",
        lambda c, n: "if the peer has that address, copy pair.key_file from one switch to the other; if not, find out "
        "who sends them: they are not believed",
    ),
    Kind.VIP: (
        lambda c, n: f"{c.address} announces the VIP on {c.where} too, or answers for it",
        lambda c, n: f"find the switch port behind which {c.address} is, and take the address away there",
    ),
    Kind.PEER_VIP: (
        lambda c, n: f"{n.peer} ({c.address}) announces the VIP on {c.where} too, or answers for it",
        lambda c, n: f"wait until the sides have settled who serves; if it goes on, run ovsha status on {n.peer} too",
    ),
    Kind.ADDRESS: (
        lambda c, n: f"heartbeats of {n.peer} come from {c.address} on {c.where}, which is not where they should",
        lambda c, n: f"compare nodes on both switches, and see whether {c.address} has the configuration of {n.peer}",
    ),
    Kind.THIRD: (
        lambda c, n: f"a third switch takes part in pair {n.pair}: {c.claim or 'without a name'} at {c.address} on "
        f"{c.where}",
        lambda c, n: f"give it a pair.id and a key of its own; only {n.own} and {n.peer} are of this pair",
    ),
    Kind.OTHER_PAIR: (
        lambda c, n: f"an agent of pair {c.claim or 'without a name'} at {c.address} on {c.where} has this pair's key",
        lambda c, n: "compare pair.id and nodes on both switches, and give each pair a key of its own",
    ),
    Kind.OWN: (
        lambda c, n: f"an agent at {c.address} on {c.where} calls itself {n.own} as well",
        lambda c, n: "correct node in its configuration, and compare nodes on both switches",
    ),
    Kind.PREFERRED: (
        lambda c, n: f"the two sides prefer different ones: {c.claim}",
        lambda c, n: f"give both switches the same pair.preferred; run ovsha status on {n.peer} too",
    ),
    Kind.IDENTITY: (
        lambda c, n: f"the agent at {c.address} on {c.where} calls itself {n.peer}, but is not the {n.peer} that was "
        f"met before: its identity is {c.claim or 'not told'}",
        lambda c, n: f"if {n.peer} was replaced or lost its state directory, run `ovsha peer forget` on {n.own}; "
        "if not, find out what switch that is",
    ),
}
"""For each kind what it is and what to do."""


def what(collision: Collision, names: Names) -> str:
    """Return the sentence that tells what is in the way."""
    return WORDS[collision.kind][0](collision, names)


def do(collision: Collision, names: Names) -> str:
    """Return what an operator can do about it."""
    return WORDS[collision.kind][1](collision, names)
