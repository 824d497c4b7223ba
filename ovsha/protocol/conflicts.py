"""Who gets in the way of this pair: a stranger in its name, a second holder of the VIP; and the words for it.

What a stranger sends is never believed; it is only told to the operator.  It can
send as much as it likes under as many addresses as it likes, so the table is
bounded, and these laws hold, whatever comes:

* at most `keep` collisions are kept, and each is forgotten `forget` seconds after
  it was last seen; how many sightings found no room is counted;
* what can be sent without the pair's key never pushes out what cannot, and what
  anybody can repeat from invented addresses never what nobody can;
* each is news once, so that the log grows by a few lines in `forget` seconds;
* one whose cause has ended is over: it is kept, since somebody may ask, but is nothing that is wrong any more.

Nothing here reads a clock: `now` is the caller's monotonic time in seconds.

RFC 5227 section 2.4 (c): who keeps an address against others answers a claim by one announcement, so that the
neighbours are not left with the other's MAC, and by no more than one in ten seconds, so that two who both want it
do not fill the network.  The peer of a pair is another matter: who of the two has the VIP is settled between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from ovsha.core.election import Goal
from ovsha.core.facts import Presence
from ovsha.core.situation import Situation

KEEP = 8
FORGET = 3600.0
_LONGEST_CLAIM = 64

_HEARTBEATS, _FRAMES = 60.0, 300.0


class Kind(Enum):
    """What got in the way."""

    FORGED = "forged"  # heartbeats that are sealed with another key
    VIP = "vip"  # somebody else's MAC announces the VIP, or answers for it
    PEER_VIP = "peer-vip"  # the peer does, while we hold it
    ADDRESS = "address"  # heartbeats of our peer that come from an address which is not the peer's
    THIRD = "third"  # a third node with our pair id and key
    OTHER_PAIR = "other-pair"  # another pair with our key
    OWN = "own"  # another agent with our node name
    PREFERRED = "preferred"  # the two configurations prefer different sides
    IDENTITY = "identity"  # the peer's name and key, but another switch than the one that was learned


_RANK = dict.fromkeys(Kind, 1) | {
    Kind.FORGED: 0, Kind.VIP: 0, Kind.PEER_VIP: 0, Kind.PREFERRED: 2, Kind.IDENTITY: 2,
}  # fmt: skip
"""0: anybody can send it.  1: it was sealed with our key, if not now.  2: who sent it has the key and is heard now."""

QUIET = dict.fromkeys(Kind, _HEARTBEATS) | {Kind.VIP: _FRAMES, Kind.PEER_VIP: _FRAMES}
"""Seconds after which one that was not seen again is over, though nobody knows why.

Who sends heartbeats sends several a second; who has the VIP may announce it once, and not for long after.
"""

OF_REFUSAL = {
    "forged": Kind.FORGED,
    "stranger_pair": Kind.OTHER_PAIR,
    "stranger_node": Kind.THIRD,
    "stranger_address": Kind.ADDRESS,
    "own": Kind.OWN,
    "identity": Kind.IDENTITY,
}
"""The refused heartbeats that are collisions, by the reason they are counted under."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One thing in our way: `address` (IP or MAC) on the path or interface `where`, and what it claims to be.

    `first_age` and `last_age`: seconds since it was first and last seen, `count`: how often.  `over`: its cause has
    ended, or it was not seen for so long that it must have.
    """

    kind: Kind
    address: str
    where: str
    claim: str
    first_age: float
    last_age: float
    count: int
    over: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    claim: str
    first: float
    last: float
    count: int
    ended: bool = False


_Key = tuple[Kind, str, str]


class Conflicts:
    """The table; `keep` entries at most, each for `forget` seconds after it was last seen."""

    def __init__(self, keep: int = KEEP, forget: float = FORGET) -> None:
        self._keep, self._forget = keep, forget
        self._kept: dict[_Key, _Kept] = {}
        self._news: list[_Key] = []
        self._missed = 0
        self._missed_at = 0.0

    def see(self, now: float, kind: Kind, address: str, where: str, claim: str = "") -> None:
        """Take in one sighting; the newest claim is kept."""
        key = (kind, address, where)
        claim = "".join(letter if letter.isprintable() else "?" for letter in claim[:_LONGEST_CLAIM])
        known = self._kept.get(key)
        if known is not None and now - known.last < self._forget:
            self._kept[key] = replace(known, claim=claim, last=now, count=known.count + 1, ended=False)
            return
        self._expire(now)
        if len(self._kept) >= self._keep and not self._make_room(kind, now):
            self._miss(1, now)
            return
        self._kept[key] = _Kept(claim, now, now, 1)
        self._news.append(key)

    def listed(self, now: float) -> tuple[Conflict, ...]:
        """Return what is kept, in the order in which it was first seen."""
        self._expire(now)
        return tuple(self._collision(key, now) for key in self._kept)

    def missed(self, now: float) -> int:
        """Return how many sightings found no room in the table, until that has not been so for a while."""
        self._expire(now)
        return self._missed

    def news(self, now: float) -> tuple[Conflict, ...]:
        """Return what appeared since this was last asked."""
        found = tuple(self._collision(key, now) for key in self._news if key in self._kept)
        self._news.clear()
        return found

    def forget(self, kind: Kind) -> None:
        """Forget the collisions of this kind, which an operator has settled."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] is not kind}

    def end(self, kind: Kind) -> None:
        """Note that what caused the collisions of this kind has ended; the next sighting begins them again."""
        for key, kept in self._kept.items():
            if key[0] is kind and not kept.ended:
                self._kept[key] = replace(kept, ended=True)

    def known_as(self, address: str, kind: Kind, better: Kind) -> None:
        """Tell of `address` under the kind `better` from now on, where it was taken for `kind`."""
        for key in [key for key in self._kept if key[:2] == (kind, address)]:
            kept, renamed = self._kept.pop(key), (better, *key[1:])
            self._kept.setdefault(renamed, kept)
            self._news = [renamed if each == key else each for each in self._news]

    def _collision(self, key: _Key, now: float) -> Conflict:
        kept = self._kept[key]
        age = now - kept.last
        return Conflict(*key, kept.claim, now - kept.first, age, kept.count, kept.ended or age >= QUIET[key[0]])

    def _expire(self, now: float) -> None:
        if any(now - kept.last >= self._forget for kept in self._kept.values()):
            self._kept = {key: kept for key, kept in self._kept.items() if now - kept.last < self._forget}
        if now - self._missed_at >= min(self._forget, _FRAMES):
            self._missed = 0

    def _make_room(self, kind: Kind, now: float) -> bool:
        """Drop what ranks below `kind` and was not seen for longest; False when nothing does."""
        below = [key for key in self._kept if _RANK[key[0]] < _RANK[kind]]
        if not below:
            return False
        self._miss(self._kept.pop(min(below, key=lambda key: (_RANK[key[0]], self._kept[key].last))).count, now)
        return True

    def _miss(self, count: int, now: float) -> None:
        self._missed, self._missed_at = self._missed + count, now


@dataclass(frozen=True, slots=True)
class Names:
    """How the pair and its sides are called."""

    pair: str
    own: str
    peer: str


_Say = Callable[[Conflict, Names], str]

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


def conflict_text(collision: Conflict, names: Names) -> str:
    """Return the sentence that tells what is in the way."""
    return WORDS[collision.kind][0](collision, names)


def conflict_cure(collision: Conflict, names: Names) -> str:
    """Return what an operator can do about it."""
    return WORDS[collision.kind][1](collision, names)


ANSWER_INTERVAL = 10.0
"""Seconds between two answers: DEFEND_INTERVAL of RFC 5227."""


def claim_answered(c: Situation, goal: Goal, mac: str) -> bool:
    """Tell whether the claim of `mac` is to be answered by this side, which does what `goal` says."""
    if goal is not Goal.SERVE or not c.serving or not c.view.vip.present:
        return False
    if c.standalone:
        return True
    peer = c.view.record
    if peer is None:
        # Its MAC is not known: the claim may be its own, and right, unless there is nobody who could have made it.
        return c.presence in (Presence.DEAD, Presence.NEVER)
    if peer.mac and mac != peer.mac:
        return True
    return c.alive and not peer.serving and not peer.vip
