"""Say which rows of a ledger a replay may touch: nothing is taken away unasked, and no doubt is added unnamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ovsha.errors import UsageError
from ovsha.ledger.compare import Entry, Kind
from ovsha.ledger.judge import uuids
from ovsha.ledger.schema import Table

SHORTEST = 4
"""Characters of a uuid that name a row, if it is the only one that begins with them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the operator asked for: the rows `named` by their uuids, None for all; `deletions`: rows may go, too.

    `tried`: those that a replay has begun with before.  What became of them since is not known.
    """

    named: frozenset[str] | None = None
    deletions: bool = False
    tried: frozenset[str] = frozenset()

    def hindrance(self, entry: Entry, schema: Mapping[str, Table]) -> str:
        """Return why a row is to be left alone, "" when it is to be replayed."""
        if self.named is not None and entry.uuid not in self.named:
            return "it is not named"
        if removes(entry, schema) and not self.deletions:
            return "rows go with it, and --deletions was not given"
        if entry.uuid in self.tried:
            if entry.kind is not Kind.INSERTED:
                return "it was brought back before, and is again as it was before that"
            return "" if self.named is not None else "it was brought back before, and is gone since: name it"
        if entry.kind is Kind.DOUBT and self.named is None:
            return "it may have been deleted since: name it"
        return ""


def removes(entry: Entry, schema: Mapping[str, Table]) -> bool:
    """Tell whether a row goes when this is replayed: itself, or one that stays only as long as it is referred to."""
    if entry.kind is Kind.CHANGED:
        return any(not schema[table].root for table, _ in dropped(entry, schema))
    return entry.kind is Kind.DELETED


def dropped(entry: Entry, schema: Mapping[str, Table]) -> Iterable[tuple[str, str]]:
    """Yield the rows that a changed row referred to before, and does no more, each with its table."""
    row, base = entry.row or {}, entry.base or {}
    for column in entry.changed:
        for table in schema[entry.table].references.get(column, ()):
            for uuid in sorted(uuids(base.get(column)) - uuids(row.get(column))):
                yield table, uuid


def named(entries: Sequence[Entry], words: Iterable[str]) -> frozenset[str]:
    """Return the uuids of rows that an operator names, each by its uuid or a beginning of it.  Raises UsageError."""
    every = {entry.uuid for entry in entries}
    return frozenset(_one(every, word.strip().lower()) for word in words)


def _one(every: set[str], word: str) -> str:
    fitting = [uuid for uuid in every if uuid.startswith(word)] if len(word) >= SHORTEST else []
    if word in every or len(fitting) == 1:
        return word if word in every else fitting[0]
    what = f"{len(fitting)} rows of the ledger begin so" if fitting else "no row of the ledger is named so"
    raise UsageError(f"row {word!r:.60}: {what}; see ovsha ledger show")
