"""Which rows of a ledger can be replayed on a database as it is now, and which a replay may touch.

A row is done again only where nothing has happened to it since; what has been done
already, by an earlier replay or by somebody else, is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ovsha.divergence.compare import Entry, Kind
from ovsha.errors import UsageError
from ovsha.ovsdb.contents import Row, Table, ordered

OURS = "ovsha:"
NEW = (Kind.INSERTED, Kind.DOUBT)
"""What a replay inserts.  A doubt is never more than that: what is there stays as it is."""

CONFIG = ("Global", "other_config")
"""The one map that ovsha writes into as well, so it is compared and changed by its pairs."""


class Verdict(Enum):
    """What becomes of a row: it is replayed, it is there already, it is left alone, for nobody asked for it, or it has
    moved on and the whole is refused.
    """

    REPLAY = "replay"
    THERE = "there"
    LEFT = "left"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Judged:
    """A row with its verdict.

    `same`: the uuid of the row that stands for it on the active side, None when that is its
    own.  `columns`: those of a changed row that have yet to be changed.  `goes`: it is still
    there, and goes by itself with the last row that refers to it.
    """

    entry: Entry
    verdict: Verdict
    why: str = ""
    same: str | None = None
    columns: tuple[str, ...] = ()
    goes: bool = False


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be looked up in `table`: the rows for which `where` holds (RFC 7047 section 5.1).

    No two are equal, even if they ask the same.
    """

    what: str
    table: str
    where: tuple[tuple[str, str, Any], ...]


Asked = Sequence[tuple[Question, list[Row]]]
"""The questions about an entry, each with the rows found, in which `_uuid` stands too."""


def questions(entry: Entry, table: Table, inserted: Mapping[str, str]) -> Iterator[Question]:
    """Yield what has to be known to judge an entry; `inserted`: the rows of the ledger that are or will be there.

    The values of an entry may refer to rows that stand for others: see `settle`.
    """
    yield Question("self", entry.table, (("_uuid", "==", ["uuid", entry.uuid]),))
    row = settle(entry.row or {}, inserted)
    if entry.kind in NEW:
        for key in table.keys:
            yield Question("key", entry.table, tuple((name, "==", row[name]) for name in key if name in row))
    for name in entry.changed if entry.row is not None else ():
        for uuid in sorted(uuids(row[name]) - set(inserted.values())):
            for other in table.references.get(name, ()):
                yield Question("reference", other, (("_uuid", "==", ["uuid", uuid]),))


def judge(entry: Entry, table: Table, asked: Asked, inserted: Mapping[str, str]) -> Judged:
    """Return the verdict on an entry, given what was found for its `questions`."""
    found = next((_plain(rows[0]) for question, rows in asked if question.what == "self" and rows), None)
    if entry.kind is Kind.DELETED:
        return _deleted(entry, table, found)
    if entry.kind is Kind.CHANGED:
        judged = _changed(entry, found, inserted)
    else:
        judged = _inserted(entry, found, asked, inserted)
    gone = next((q for q, rows in asked if q.what == "reference" and not rows), None)
    if judged.verdict is Verdict.REPLAY and gone is not None:
        return Judged(entry, Verdict.MOVED, f"it refers to {gone.table} {gone.where[0][2][1]}, which is gone")
    return judged


def _inserted(entry: Entry, found: Row | None, asked: Asked, inserted: Mapping[str, str]) -> Judged:
    row = settle(entry.row or {}, inserted)
    if found is not None:
        differs = _differing(row, found)
        if differs:
            return Judged(entry, Verdict.MOVED, f"it is there with another {differs[0]}: {shown(found[differs[0]])}")
        return Judged(entry, Verdict.THERE, "it is there already")
    for question, rows in asked:
        if question.what == "key" and rows:
            same = next((each["_uuid"][1] for each in rows if not _differing(row, _plain(each))), None)
            if same is not None:
                return Judged(entry, Verdict.THERE, f"it is there already, as row {same}", same)
            key = ", ".join(name for name, _, _ in question.where)
            return Judged(entry, Verdict.MOVED, f"row {rows[0]['_uuid'][1]} has the same {key} now")
    return Judged(entry, Verdict.REPLAY)


def _changed(entry: Entry, found: Row | None, inserted: Mapping[str, str]) -> Judged:
    if found is None:
        return Judged(entry, Verdict.MOVED, "it was deleted since")
    row, base = settle(entry.row or {}, inserted), entry.base or {}
    left = []
    for name in entry.changed:
        now = found.get(name)
        if (entry.table, name) == CONFIG:
            key, done = _pairs(base[name], row[name], now)
            if key is not None:
                return Judged(entry, Verdict.MOVED, f"its {name} has another {key} now")
        elif now not in (ordered(row.get(name)), ordered(base.get(name))):
            return Judged(entry, Verdict.MOVED, f"its {name} is {shown(now)} now")
        else:
            done = now == ordered(row.get(name))
        left += [] if done else [name]
    if left:
        return Judged(entry, Verdict.REPLAY, columns=tuple(left))
    return Judged(entry, Verdict.THERE, "it is so already")


def _pairs(base: Any, row: Any, found: Any) -> tuple[str | None, bool]:
    """Return a key of the map that is neither as it was nor as it became, and whether all are as they became."""
    before, after, now = (dict(each[1]) for each in (base, row, found))
    differing = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    moved = [key for key in differing if now.get(key) not in (before.get(key), after.get(key))]
    return next(iter(moved), None), all(now.get(key) == after.get(key) for key in differing)


def _deleted(entry: Entry, table: Table, found: Row | None) -> Judged:
    if found is None:
        return Judged(entry, Verdict.THERE, "it is gone already")
    differs = _differing(entry.base or {}, found)
    if differs:
        return Judged(entry, Verdict.MOVED, f"its {differs[0]} is {shown(found[differs[0]])} now")
    if not table.root:
        return Judged(entry, Verdict.THERE, "it goes by itself when nothing refers to it", goes=True)
    return Judged(entry, Verdict.REPLAY)


def settle(row: Row, inserted: Mapping[str, str]) -> Row:
    """Return the row with references to what stands for other rows: `inserted` maps uuids as they are in the ledger."""
    return {name: _settled(value, inserted) for name, value in row.items()}


def uuids(value: Any) -> set[str]:
    """Return every uuid in a value."""
    if isinstance(value, list):
        if len(value) == 2 and value[0] == "uuid":
            return {value[1]}
        return set().union(*(uuids(each) for each in value))
    return set()


def shown(value: Any) -> str:
    """Return a value the way an operator reads it."""
    if isinstance(value, list) and len(value) == 2:
        kind, inner = value
        if kind == "uuid":
            return str(inner)
        if kind == "set":
            return "[" + ", ".join(shown(each) for each in inner) + "]"
        if kind == "map":
            return "{" + ", ".join(f"{shown(key)}={shown(each)}" for key, each in inner) + "}"
    return value if isinstance(value, str) and value else json.dumps(value)


def _settled(value: Any, inserted: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        if len(value) == 2 and value[0] == "uuid":
            return ["uuid", inserted.get(value[1], value[1])]
        return [_settled(each, inserted) for each in value]
    return value


def _plain(row: Row) -> Row:
    """Return a row as it was found without its uuid, and without what ovsha wrote."""
    plain = {name: ordered(value) for name, value in row.items() if name != "_uuid"}
    if CONFIG[1] in plain:
        plain[CONFIG[1]] = ["map", [pair for pair in plain[CONFIG[1]][1] if not str(pair[0]).startswith(OURS)]]
    return plain


def _differing(row: Row, found: Row) -> list[str]:
    """Return the columns in which a row found differs; one that is not known any more counts as the same."""
    return [name for name in sorted(row) if name in found and ordered(row[name]) != found[name]]


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
