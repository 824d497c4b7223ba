"""Tell whether a database ever was in a certain state: its log (ovsdb(5)) is read from its beginning.

What the other side went on with is only known to be a moment of our own past where our own
log says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovsha.errors import DriverError
from ovsha.ledger import content, records
from ovsha.ledger.content import Columns, Row, Rows

_BLANK: Mapping[str, Any] = {
    "integer": 0, "real": 0, "boolean": False, "string": "", "uuid": ["uuid", "00000000-0000-0000-0000-000000000000"],
}  # fmt: skip
"""What a column holds whose value is not in the record of an insert (RFC 7047 section 5.2.1)."""


def held(path: Path, rows: Rows, columns: Columns) -> bool:
    """Tell whether at one moment of the log the database held just these `rows`, as far as these `columns` go.

    False also where that moment was taken from the log by a compaction.  Raises DriverError.
    """
    past = _Past(records.schema(path)["tables"], rows, columns)
    try:
        with path.open("rb") as file:
            for number, (_, record) in enumerate(records.records(file)):
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
                text = None if row is None else content.line(content.without_ours(table, row))
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
        self._rows[table, uuid] = content.line(row)
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
