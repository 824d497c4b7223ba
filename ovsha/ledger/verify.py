"""Compare what two running servers hold, row by row, while it is being written to.

A row that differs may only be on its way to the copy.  So what differs is looked at again, later and later, and counts
as a difference only if at the end it still differs although neither side has changed it during the look.  A row that
is written at every look cannot be compared and is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ovsha.ledger import schema, slices
from ovsha.ledger.compare import Entry, difference
from ovsha.ledger.session import Session

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
class Found:
    """What came of it: rows compared by table, the differences, and how many rows were on their way or unsettled.

    An entry's `row` is the first side's and its `base` the other's.  `skipped` names the tables and columns
    that only one of the two schemas has.
    """

    rows: dict[str, int]
    entries: list[Entry]
    late: int
    unsettled: int
    skipped: tuple[str, ...]


def compare(one: Session, other: Session, progress: Progress, pauses: Sequence[float] = PAUSES) -> Found:
    """Compare two servers.  Raises DriverError when one of them does not answer."""
    first, second = schema.tables(one.schema()), schema.tables(other.schema())
    columns = schema.shared(first, second)
    keys = {table: sorted(slices.uuids(one, table) | slices.uuids(other, table)) for table in columns}
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
    return Found(
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
    found = slices.rows(one, table, columns, part), slices.rows(other, table, columns, part)
    time.sleep(_REST * (time.monotonic() - began))
    return found


def _slices(keys: Keys) -> Iterator[tuple[str, list[str]]]:
    for table, uuids in keys.items():
        for first in range(0, len(uuids), slices.SIZE):
            yield table, uuids[first : first + slices.SIZE]


def _only(rows: Mapping[str, str], uuids: Sequence[str]) -> dict[str, str]:
    return {uuid: rows[uuid] for uuid in uuids if uuid in rows}


def _count(keys: Keys) -> int:
    return sum(map(len, keys.values()))


def _skipped(one: Mapping[str, schema.Table], other: Mapping[str, schema.Table]) -> Iterator[str]:
    yield from sorted(one.keys() ^ other.keys())
    for name in sorted(one.keys() & other.keys()):
        yield from (f"{name}.{column}" for column in sorted({*one[name].columns} ^ {*other[name].columns}))
