"""The difference of two contents, row by row; and of two running servers while they are written to.

A row that differs may only be on its way to the copy.  So what differs is looked at again, later and later, and counts
as a difference only if at the end it still differs although neither side has changed it during the look.  A row that
is written at every look cannot be compared and is told apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ovsha.ovsdb import contents
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.contents import Row


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
    """Yield what was done to `base` to make it `ours`, by table and uuid; both as `contents.of_file` returns them."""
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


PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds before each further look; a copy is a few milliseconds behind, and a few seconds where it is made anew."""

_BETWEEN = 0.1
"""Seconds within which a row must not change to count as different."""

_REST = 0.5
"""The share of its own time that a slice leaves the two servers to others."""

Keys = dict[str, list[str]]
Progress = Callable[[int, int, str], None]
"""Called with how many of how many rows are done, and what is being done."""


@dataclass(frozen=True, slots=True)
class LiveDifference:
    """What came of it: rows compared by table, the differences, and how many rows were on their way or unsettled.

    An entry's `row` is the first side's and its `base` the other's.  `skipped` names the tables and columns
    that only one of the two schemas has.
    """

    rows: dict[str, int]
    entries: list[Entry]
    late: int
    unsettled: int
    skipped: tuple[str, ...]


def compare_live(one: Session, other: Session, progress: Progress, pauses: Sequence[float] = PAUSES) -> LiveDifference:
    """Compare two servers.  Raises DriverError when one of them does not answer."""
    first, second = contents.tables(one.schema()), contents.tables(other.schema())
    columns = contents.shared(first, second)
    keys = {table: sorted(contents.row_uuids(one, table) | contents.row_uuids(other, table)) for table in columns}
    total, done = sum(map(len, keys.values())), 0
    suspects: Keys = {}
    for table, part in _slices(keys):
        ours, theirs = _both(one, other, table, columns[table], part)
        suspects.setdefault(table, []).extend(uuid for uuid in part if ours.get(uuid) != theirs.get(uuid))
        done += len(part)
        progress(done, total, table)
    suspected = _count(suspects)
    entries: list[Entry] = []
    unsettled = 0
    for number, pause in enumerate(pauses):
        if not _count(suspects):
            break
        progress(total, total, f"looking again at {_count(suspects)} rows ({number + 1} of {len(pauses)})")
        time.sleep(pause)
        entries, moving = _look(one, other, columns, suspects)
        unsettled = _count(moving)
        suspects = {table: list(moving.get(table, [])) for table in columns}
        for entry in entries:
            suspects[entry.table].append(entry.uuid)
    return LiveDifference(
        {table: len(found) for table, found in keys.items()}, entries, suspected - len(entries) - unsettled, unsettled,
        tuple(_skipped(first, second)),
    )  # fmt: skip


def _look(
    one: Session, other: Session, columns: Mapping[str, Sequence[str]], suspects: Keys
) -> tuple[list[Entry], Keys]:
    """Return what differs and stood still meanwhile, and which rows moved; what is equal by now is in neither."""
    entries: list[Entry] = []
    moving: Keys = {}
    for table, part in _slices(suspects):
        before = _both(one, other, table, columns[table], part)
        if all(before[0].get(uuid) == before[1].get(uuid) for uuid in part):
            continue
        time.sleep(_BETWEEN)
        ours, theirs = after = _both(one, other, table, columns[table], part)
        unequal = [uuid for uuid in part if ours.get(uuid) != theirs.get(uuid)]
        pairs = tuple(zip(before, after, strict=True))
        still = [uuid for uuid in unequal if all(old.get(uuid) == new.get(uuid) for old, new in pairs)]
        moving.setdefault(table, []).extend(sorted({*unequal} - {*still}))
        entries += difference({table: _only(theirs, still)}, {table: _only(ours, still)})
    return entries, moving


def _both(
    one: Session, other: Session, table: str, columns: Sequence[str], part: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    began = time.monotonic()
    found = contents.rows_in_slices(one, table, columns, part), contents.rows_in_slices(other, table, columns, part)
    time.sleep(_REST * (time.monotonic() - began))
    return found


def _slices(keys: Keys) -> Iterator[tuple[str, list[str]]]:
    for table, uuids in keys.items():
        for first in range(0, len(uuids), contents.SIZE):
            yield table, uuids[first : first + contents.SIZE]


def _only(rows: Mapping[str, str], uuids: Sequence[str]) -> dict[str, str]:
    return {uuid: rows[uuid] for uuid in uuids if uuid in rows}


def _count(keys: Keys) -> int:
    return sum(map(len, keys.values()))


def _skipped(one: Mapping[str, contents.Table], other: Mapping[str, contents.Table]) -> Iterator[str]:
    yield from sorted(one.keys() ^ other.keys())
    for name in sorted(one.keys() & other.keys()):
        yield from (f"{name}.{column}" for column in sorted({*one[name].columns} ^ {*other[name].columns}))
