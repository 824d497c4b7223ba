"""Say how far our copy is behind what is known of the peer's data, and whether that is too far to serve it unasked.

A copy is behind when the peer's database was seen with a token that ours lacks: in a heartbeat, or over our own session
to its server.  News that is missing is not that: a copy that has all that was ever seen is complete, however long ago
that was.  How far it is behind counts from the moment at which the first token that it lacks was seen, until the peer
can write no more; or it is what so many tokens are worth, if that is more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsha.core import lineage
from ovsha.core.facts import Lack, Life, Presence, Record, Role, Server, Token
from ovsha.core.view import Memory, Settings, View, remember
from ovsha.words import span


@dataclass(frozen=True, slots=True)
class Behind:
    """A copy that ends at token `ours` while its source was seen at `theirs`, `tokens` further.

    `age`: for how many seconds it has lacked something.  `least`: it may be any number more.  `passing`: it may well be
    on its way, as the last token is when a server dies.
    """

    ours: Token
    theirs: Token
    tokens: int
    age: float
    least: bool = False
    passing: bool = False

    @property
    def text(self) -> str:
        """What is lacking and for how long, in words."""
        least = "at least " if self.least else ""
        return f"it lacks tokens {written(self.ours)} to {written(self.theirs)}, {least}{span(self.age)} of writes"


def written(token: Token) -> str:
    """Return a token as it stands in the database."""
    return f"{token[0]}.{token[1]}"


def watch(view: View, memory: Memory, presence: Presence) -> Memory:
    """Remember the newest token that the peer was seen with, and since when our copy has lacked one."""
    known = _known(view, memory, presence)
    number = lineage.lacking(view.server, known)
    own, lack = view.server.token, memory.lack
    if number == 0:
        lack = None
    elif number is not None and own is not None:
        lack = _lack(view, lack, own, number)
    if lack is not None:
        # While we did not watch it may have come back and written; so for that time it counts as one that did.
        until = None if view.woke else lack.until
        stopped = _writes_no_more(view, presence)
        lack = replace(lack, until=(view.now if until is None else until) if stopped else None)
        lack = memory.lack if lack == memory.lack else lack
    return remember(memory, peer_token=known, lack=lack)


def found(view: View, memory: Memory) -> Behind | None:
    """Return how far our copy is behind, None when it is not."""
    own, known, lack, settings = view.server, memory.peer_token, memory.lack, view.settings
    number = lineage.lacking(own, known)
    if not number or lack is None or own.token is None or known is None or not settings.peer:
        return None
    seen_for = (view.now if lack.until is None else lack.until) - lack.since
    passing = number < 3 and seen_for <= settings.max_lag and not lack.least
    return Behind(own.token, known, number, max(seen_for, _worth(number, settings)), lack.least, passing)


def of_the_peer(own: Server, peer: Record, settings: Settings) -> Behind | None:
    """Return how far the copy on the other side is behind ours, as far as its last record and the tokens tell."""
    copy = Server(loaded=True, stamp=peer.stamp, token=peer.token)
    number = lineage.lacking(copy, own.token)
    if not number or peer.token is None or own.token is None or own.role is not Role.ACTIVE:
        return None
    passing = number < 3 and peer.behind is None
    return Behind(peer.token, own.token, number, max(peer.behind or 0.0, _worth(number, settings)), False, passing)


def too_far(behind: Behind | None, settings: Settings) -> str:
    """Say why our copy must not be served unasked, "" when it may be."""
    limit = settings.max_behind
    if behind is None or limit is None or not (behind.least or behind.age > limit):
        return ""
    return (
        f"our copy ends at token {written(behind.ours)} and {settings.peer} was seen at {written(behind.theirs)},"
        f" so {behind.text}; failover.max_behind is {span(limit)}"
    )


def _worth(number: int, settings: Settings) -> float:
    """Return the seconds in which so many tokens are committed; a barrier leaves a number out."""
    return (number - 1) * settings.token_interval


def _known(view: View, memory: Memory, presence: Presence) -> Token | None:
    """Return the newest token that the peer is known to have held.

    What it serves is all that there is, even if somebody has set its token back.
    """
    record, known = view.record, memory.peer_token
    told = [token for token in (record.token if record else None, view.source.token) if token is not None]
    if not told:
        return known
    newest = max(told)
    served = presence is Presence.ALIVE and record is not None and record.serving
    if known is None or (served and newest[0] == known[0]):
        return newest
    return max(newest, known)


def _lack(view: View, lack: Lack | None, own: Token, number: int) -> Lack:
    """Return since when the copy has lacked something, now that it lacks `number` tokens after `own`."""
    if lack is None or lack.after[0] != own[0]:
        return Lack(view.now, own)
    if own > lack.after:
        # It goes on to be filled, late: the first one that it lacks now was committed only so long ago.
        since = max(lack.since, view.now - number * view.settings.token_interval)
        return Lack(since, own)
    return lack if own == lack.after else replace(lack, after=own)


def _writes_no_more(view: View, presence: Presence) -> bool:
    """Tell whether the peer's server is known to take no writes now."""
    if presence is Presence.ALIVE:
        record = view.record
        idle = record is not None and (record.life in (Life.DOWN, Life.HUNG) or record.role is Role.BACKUP)
        return idle and view.source.role is not Role.ACTIVE
    if presence is Presence.SILENT:
        return view.source.role is Role.BACKUP
    return presence is Presence.DEAD
