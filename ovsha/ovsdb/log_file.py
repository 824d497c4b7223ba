"""Read a database file as the log that it is: cut it at a moment of its past, or look whether it ever held something.

A standalone file (ovsdb(5)) is a sequence of records, "OVSDB JSON LENGTH SHA1" and a line
of JSON: the schema first, then one record for each transaction.  Compaction replaces all
of them by two, and with that the past is gone.

What the other side went on with is only known to be a moment of our own past where our own
log says so.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ovsha.core.stamps import NODE, TERM, number, pairs_of
from ovsha.errors import DriverError
from ovsha.ovsdb import contents
from ovsha.ovsdb.contents import Columns, Row, Rows

_MAGIC = b"OVSDB JSON "
_LONGEST_HEADER = 128
_LONGEST_RECORD = 2**31


class Compacted(DriverError):
    """The file begins only after the moment asked for."""


def records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield header and content of each record, up to the first that is damaged or incomplete, as ovsdb-server does."""
    while True:
        header = file.readline(_LONGEST_HEADER)
        words = header[len(_MAGIC) :].split()
        length = number(words[0].decode("ascii", "replace"), _LONGEST_RECORD) if len(words) == 2 else None
        if not header.startswith(_MAGIC) or length is None:
            return
        content = file.read(length)
        if hashlib.sha1(content, usedforsecurity=False).hexdigest().encode() != words[1]:
            return
        yield header, content


def schema(path: Path) -> dict[str, Any]:
    """Return the schema that a database file begins with.  Raises DriverError when there is none to read."""
    try:
        with path.open("rb") as file:
            found = next((json.loads(content) for _, content in records(file)), None)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("tables"), dict):
        raise DriverError(f"{path}: is no standalone database file; see ovsdb-tool db-is-standalone")
    return found


def cut(source: Path, target: Path, term: int, node: str) -> int:
    """Write to `target` what `source` held before `node` stamped `term` into it; return how many transactions that is.

    Raises Compacted when that can no longer be told, DriverError when a file cannot be
    read or written or the stamp is not in it.
    """
    try:
        with source.open("rb") as file, target.open("wb") as part:
            for number, (header, content) in enumerate(records(file)):
                if number > 0 and _stamps(content, term, node):
                    if number == 1:
                        raise Compacted(f"{source}: was compacted since term {term} began")
                    return number - 1
                part.write(header)
                part.write(content)
    except OSError as error:
        raise DriverError(f"{error.filename or target}: {error.strerror}") from None
    raise DriverError(f"{source}: the stamp of term {term} of {node} is not in it")


def whole(path: Path) -> bool:
    """Tell whether a file has its schema and its data and nothing in it is damaged.  Raises DriverError."""
    try:
        with path.open("rb") as file:
            size = sum(len(header) + len(content) for header, content in records(file))
            return 0 < size == file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None


def compacted(path: Path, term: int, node: str) -> bool:
    """Tell whether a file was compacted since `node` opened `term`.  Raises DriverError."""
    try:
        with path.open("rb") as file:
            first = next(itertools.islice(records(file), 1, 2), None)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    return first is not None and _stamps(first[1], term, node)


def _stamps(content: bytes, term: int, node: str) -> bool:
    """Tell whether a transaction writes this stamp; a key that keeps its value is not in the record."""
    if TERM.encode() not in content:
        return False
    rows = json.loads(content).get("Global")
    for row in rows.values() if isinstance(rows, dict) else ():
        config = row.get("other_config") if isinstance(row, dict) else None
        pairs = pairs_of(config)
        if pairs.get(TERM) == str(term) and pairs.get(NODE, node) == node:
            return True
    return False


_BLANK: Mapping[str, Any] = {
    "integer": 0, "real": 0, "boolean": False, "string": "", "uuid": ["uuid", "00000000-0000-0000-0000-000000000000"],
}  # fmt: skip
"""What a column holds whose value is not in the record of an insert (RFC 7047 section 5.2.1)."""


def ever_held(path: Path, rows: Rows, columns: Columns) -> bool:
    """Tell whether at one moment of the log the database held just these `rows`, as far as these `columns` go.

    False also where that moment was taken from the log by a compaction.  Raises DriverError.
    """
    past = _Past(schema(path)["tables"], rows, columns)
    try:
        with path.open("rb") as file:
            for number, (_, record) in enumerate(records(file)):
                if number > 0:
                    past.follow(json.loads(record))
                if not past.unlike:
                    return True
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise DriverError(f"{path}: has a record in a form that is not known: {error}") from None
    return False


class _Past:
    """The rows as the log has them by now, and those that are `unlike` what is looked for."""

    def __init__(self, tables: Mapping[str, Any], wanted: Rows, columns: Columns) -> None:
        self.unlike = {(table, uuid) for table, rows in wanted.items() for uuid in rows}
        self._wanted = wanted
        self._types = {
            table: {name: tables[table]["columns"][name]["type"] for name in names} for table, names in columns.items()
        }
        # As text, which is smaller than a dict.
        self._rows: dict[tuple[str, str], str] = {}

    def follow(self, record: Mapping[str, Any]) -> None:
        """Do what a record says: of what has several members only those are in it that came or went, if it says so."""
        differs = bool(record.get("_is_diff"))
        for table in record.keys() & self._types.keys():
            for uuid, change in record[table].items():
                row = self._change(table, uuid, change, differs)
                text = None if row is None else contents.line(contents.without_ours(table, row))
                like = text == self._wanted.get(table, {}).get(uuid)
                (self.unlike.discard if like else self.unlike.add)((table, uuid))

    def _change(self, table: str, uuid: str, change: Mapping[str, Any] | None, differs: bool) -> Row | None:
        if change is None:
            self._rows.pop((table, uuid), None)
            return None
        types, old = self._types[table], self._rows.get((table, uuid))
        row: Row = {name: _blank(kind) for name, kind in types.items()} if old is None else json.loads(old)
        for name in change.keys() & types.keys():
            merged = differs and old is not None and _several(types[name])
            row[name] = _merged(row[name], change[name]) if merged else change[name]
        self._rows[table, uuid] = contents.line(row)
        return row


def _several(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("max", 1) != 1


def _blank(kind: Any) -> Any:
    if isinstance(kind, dict):
        if "value" in kind:
            return ["map", []]
        if kind.get("min", 1) == 0:
            return ["set", []]
        kind = kind["key"]
    return _BLANK[kind["type"] if isinstance(kind, dict) else kind]


def _merged(old: Any, change: Any) -> Any:
    """Return the value that is `change` away from `old`: members that both have go, and others come."""
    if isinstance(change, list) and change[:1] == ["map"]:
        pairs = {json.dumps(key): (key, value) for key, value in old[1]}
        for key, value in change[1]:
            if pairs.get(json.dumps(key)) == (key, value):
                del pairs[json.dumps(key)]
            else:
                pairs[json.dumps(key)] = (key, value)
        return ["map", [list(pair) for pair in pairs.values()]]
    members, others = ({json.dumps(each): each for each in _members(value)} for value in (old, change))
    return ["set", [each for text, each in (members | others).items() if (text in members) is not (text in others)]]


def _members(value: Any) -> list[Any]:
    return list(value[1]) if isinstance(value, list) and value[:1] == ["set"] else [value]
