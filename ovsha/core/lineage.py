"""Which of two databases is newer, whether one may be copied over the other, and how far a copy lags.

Connecting an ovsdb-server as a backup erases it, so these questions are asked before
every connect.  A database carries the *stamp* of the node that last opened it and the
*token* that node last committed; a database without a stamp is of unknown lineage: it may
be overwritten, but nothing that is known is ever overwritten by it.

A backup whose schema lacks something of the active side's gives replication up and makes
itself active; the other way round it works (since ovsdb-server 2.13).

"Replicating" is no evidence of being up to date, and there is no sequence number; but
everything that was committed before a token is in the copy when the token is.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from ovsha.core.facts import Copy, Schema, Server, Source, Stamp, Token

PARKED = "tcp:192.0.2.254:9999"
"""An address that cannot answer (TEST-NET-1, RFC 5737): a backup of it stays read-only and keeps its data."""

WITHOUT = " without "
"""What stands between a source and the tables that a backup of it leaves out."""

Rank = tuple[int, Token, bool, bool, bool, str]
"""How much a side deserves to serve while nobody does; the greater one serves."""


def newest(*stamps: Stamp | None) -> Stamp | None:
    """Return the stamp with the highest term, or None when there is none."""
    return max((stamp for stamp in stamps if stamp), key=lambda stamp: stamp.term, default=None)


def copied(source: str | None) -> tuple[str | None, str]:
    """Return whom a backup copies from and the tables that it leaves out, "" for none."""
    if source is None:
        return None, ""
    target, _, exclude = source.partition(WITHOUT)
    return target, exclude


def term_of(stamp: Stamp | None) -> int:
    """Return the stamp's term, or 0 for a database of unknown lineage: terms begin with 1."""
    return stamp.term if stamp else 0


def rank(stamp: Stamp | None, token: Token | None, empty: bool, preferred: bool, node: str) -> Rank:
    """Return how much a side deserves to serve: newer data first, then any data, then preference.

    The node that opened a term had each write of it before its backup did.
    """
    opener = stamp is not None and stamp.node == node
    return (term_of(stamp), token or (0, 0), opener, not empty, preferred, node)


def refusal(own: Server, source: Source) -> str:
    """Say why our database must not be overwritten with the source's, "" when it may be."""
    if not source.loaded:
        return "the peer's database cannot be read yet"
    if source.stamp is None:
        return "the peer's database is of unknown lineage"
    if source.empty and not own.empty:
        return "the peer's database is empty"
    if own.stamp is None:
        return ""
    if source.stamp.term < own.stamp.term:
        return f"the peer's data is older: term {source.stamp.term}, ours {own.stamp.term}"
    if source.stamp.term == own.stamp.term and source.stamp.node != own.stamp.node:
        return f"term {own.stamp.term} was opened by both nodes"
    if source.stamp.term == own.stamp.term and own.token is not None and own.token > (source.token or (0, 0)):
        # A copy is never ahead of what it is made from: something took the peer's database back.
        theirs = f"ends at token {source.token[0]}.{source.token[1]}" if source.token else "has no token"
        return f"the peer's data {theirs}, ours at {own.token[0]}.{own.token[1]}: it was damaged or replaced"
    return ""


def outdated(own: Server, known: int) -> str:
    """Say why our copy is too old to serve, given the highest term that any database was seen with; "" if it is not."""
    if known <= term_of(own.stamp):
        return ""
    if own.stamp is None:
        return f"our database is of unknown lineage, the peer's is of term {known}"
    return f"our copy is of term {own.stamp.term}, the peer's is of term {known}"


def rolled_back(own: Server, held: Token | None) -> str:
    """Say what our database lacks that it once held itself, "" when nothing.

    ovsdb-server drops silently what follows the first damaged record of its file, and a file
    may be replaced by an older one.  Two tokens may still have been on their way to the disk.
    """
    token = own.token or (0, 0)
    if not own.loaded or held is None or (token[0] == held[0] and token[1] + 2 >= held[1]) or token > held:
        return ""
    ends = f"ends at token {token[0]}.{token[1]}" if own.token else "has no token"
    return f"our database {ends}, and once held {held[0]}.{held[1]}: it was damaged or replaced"


def lacking(own: Server, known: Token | None) -> int | None:
    """Return by how many tokens our copy is behind the peer, whose newest one is `known`; None when it cannot be told.

    Tokens of two terms say nothing of each other: there the terms tell which data is older.
    """
    if not own.loaded or own.token is None:
        return None
    if known is None or known[0] != own.token[0]:
        return 0
    return max(0, known[1] - own.token[1])


def describe_schema(schema: Mapping[str, Any]) -> Schema:
    """Return the name, version and checksum of a schema as get_schema of RFC 7047 section 4.1.2 gives it.

    The checksum is over tables and columns; the one that stands in a schema is only what its author wrote there.
    """
    tables = json.dumps(schema.get("tables", {}), sort_keys=True)
    digest = hashlib.sha256(tables.encode()).hexdigest()[:12]
    return Schema(str(schema.get("name", "")), str(schema.get("version", "")), digest)


def schema_gap(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Say what `theirs` has and `own` lacks or has in another type, "" when nothing."""
    here = own.get("tables", {})
    for table, definition in theirs.get("tables", {}).items():
        if table not in here:
            return f"a table {table}"
        columns = here[table].get("columns", {})
        for column, kind in definition.get("columns", {}).items():
            if column not in columns:
                return f"a column {table}.{column}"
            if columns[column].get("type") != kind.get("type"):
                return f"another type of column {table}.{column}"
    return ""


class CopyWatch:
    """Compare the tokens on both sides; seconds, on the clock that `look` is given."""

    def __init__(self, max_lag: float, token_interval: float) -> None:
        self._max_lag = max_lag
        self._stale_after = 3 * token_interval + max_lag
        self._waiting: deque[tuple[Token, float]] = deque()
        self._seen: Token | None = None
        self._seen_at = 0.0
        self._since: float | None = None
        self._lag: float | None = None

    def look(self, now: float, own: Server, source: Source, following: bool) -> Copy:
        """Return how the copy stands, given what both databases say now."""
        if not following or not source.loaded or own.stamp is None or own.stamp != source.stamp:
            self._waiting.clear()
            self._seen = self._since = self._lag = None
            return Copy()
        if source.token is not None and source.token != self._seen:
            self._seen, self._seen_at = source.token, now
            self._waiting.append((source.token, now))
        while self._waiting and own.token is not None and own.token >= self._waiting[0][0]:
            self._lag = now - self._waiting.popleft()[1]
            self._since = now if self._since is None else self._since
        late = bool(self._waiting) and now - self._waiting[0][1] > self._max_lag
        if late or now - self._seen_at > self._stale_after:
            self._since = None
        return Copy(None if self._since is None else now - self._since, self._lag)
