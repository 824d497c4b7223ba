"""Know of a database's schema (RFC 7047 section 3.2) what comparing and replaying rows depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KEYS: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("Ucast_Macs_Local", "Ucast_Macs_Remote", "Mcast_Macs_Local", "Mcast_Macs_Remote"), ("MAC", "logical_switch")
)
"""What tells rows apart where the schema of hardware_vtep has no index: a switch learns an address once."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns that are kept on disk, and to which tables each column's uuids lead and must find a row.

    `root`: rows stay without being referred to.  `keys`: columns whose values together no
    two rows share.  `maps`: the columns that are maps.
    """

    columns: tuple[str, ...]
    references: Mapping[str, tuple[str, ...]]
    root: bool
    keys: tuple[tuple[str, ...], ...]
    maps: frozenset[str]


def tables(schema: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a schema; ephemeral columns are left out, they say nothing of what was written."""
    found = schema["tables"]
    rooted = any(table.get("isRoot") for table in found.values())
    return {name: _table(name, table, not rooted or bool(table.get("isRoot"))) for name, table in found.items()}


def shared(one: Mapping[str, Table], other: Mapping[str, Table]) -> dict[str, tuple[str, ...]]:
    """Return the columns, by table, that both schemas keep: only those can be compared."""
    return {
        name: tuple(column for column in one[name].columns if column in other[name].columns)
        for name in one
        if name in other
    }


def _table(name: str, table: Mapping[str, Any], root: bool) -> Table:
    columns = {key: value for key, value in table["columns"].items() if not value.get("ephemeral")}
    keys = [tuple(index) for index in table.get("indexes", [])]
    if name in KEYS:
        keys.append(KEYS[name])
    return Table(
        tuple(sorted(columns)),
        {key: tuple(_references(value["type"])) for key, value in columns.items() if any(_references(value["type"]))},
        root,
        tuple(keys),
        frozenset(key for key, value in columns.items() if "value" in value["type"]),
    )


def _references(kind: Any) -> Iterator[str]:
    for part in ("key", "value"):
        base = kind.get(part) if isinstance(kind, dict) else None
        if isinstance(base, dict) and base.get("refTable") and base.get("refType", "strong") == "strong":
            yield base["refTable"]
