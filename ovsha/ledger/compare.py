"""Say how one content of a database differs from another, row by row: a pure function."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from ovsha.ledger.content import Row


class Kind(Enum):
    """What was done to a row; DOUBT: nobody knows, for what it was before is not known."""

    INSERTED = "inserted"
    CHANGED = "changed"
    DELETED = "deleted"
    DOUBT = "doubt"


DONE = (Kind.INSERTED, Kind.CHANGED, Kind.DELETED)
"""What can be done to a row, where it is known how it was before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row that differs: `row` as it is in ours (None: deleted), `base` as it was before (None: inserted).

    Of a doubt `base` is the row as the other side had it, None when that had none; it says nothing of what was before.
    """

    table: str
    uuid: str
    kind: Kind
    row: Row | None
    base: Row | None

    @property
    def changed(self) -> tuple[str, ...]:
        """The columns that differ, in order; all of them for a row that is on one side only."""
        row, base = self.row or {}, self.base or {}
        return tuple(sorted(name for name in row.keys() | base.keys() if row.get(name) != base.get(name)))


def difference(
    base: Mapping[str, Mapping[str, str]], ours: Mapping[str, Mapping[str, str]]
) -> Iterator[Entry]:
    """Yield what was done to `base` to make it `ours`, by table and uuid; both as `content.of_file` returns them."""
    for table in sorted(base.keys() | ours.keys()):
        before, after = base.get(table, {}), ours.get(table, {})
        for uuid in sorted(before.keys() | after.keys()):
            old, new = before.get(uuid), after.get(uuid)
            if old != new:
                kind = Kind.INSERTED if old is None else Kind.DELETED if new is None else Kind.CHANGED
                yield Entry(table, uuid, kind, _row(new), _row(old))


def doubts(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield what is left of differences from something that is not known to be what was there before.

    A row that only the other side has is none of ours: it may have been written there since, and by no means
    was it deleted here.
    """
    for entry in entries:
        if entry.row is not None:
            yield replace(entry, kind=Kind.DOUBT)


def _row(text: str | None) -> Row | None:
    if text is None:
        return None
    row: Row = json.loads(text)
    return row
