"""Read the rows and the schema of a database, from a file or from a running server.

A row is kept as one line of JSON with its columns in order, which is smaller than a dict
and is compared by its text.  What ovsha itself writes is left out.

ovsdb-server is one thread: a select of 100,000 rows keeps everybody else waiting.  So only the uuids of a table are
read at once, and its rows by their uuids, which the server finds without a search.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha.core import stamps
from ovsha.errors import DriverError
from ovsha.ovsdb.client import Session

Row = dict[str, Any]
"""A row: its columns by name, as JSON values of RFC 7047."""

Rows = dict[str, dict[str, str]]
"""Table, uuid, and the row's columns as JSON."""

Columns = Mapping[str, Sequence[str]]
"""Which columns are read of which table."""

_OURS = "ovsha:"
_CONFIG = ("Global", "other_config")


def of_file(path: Path, database: str, columns: Columns, limit: float) -> Rows:
    """Return the rows of a database file.  Raises DriverError when ovsdb-tool fails or takes longer than `limit` s."""
    answer = tool(limit, "query", str(path), json.dumps([database, *selects(columns)]))
    return read(answer, columns)


def lineage_of_file(path: Path, database: str, limit: float) -> tuple[tuple[int, str] | None, tuple[int, int] | None]:
    """Return the lineage and the last token in a database file, None for what it has not.

    Raises DriverError as `of_file` does.
    """
    answer = json.loads(tool(limit, "query", str(path), json.dumps([database, *selects({"Global": ["other_config"]})])))
    for row in answer[0].get("rows", []):
        pairs = stamps.pairs_of(row.get("other_config"))
        stamp = stamps.stamp_of(pairs)
        return (stamp.term, stamp.node) if stamp is not None else None, stamps.token_of(pairs)
    return None, None


def tool(limit: float, command: str, *words: str) -> str:
    """Return what an ovsdb-tool command prints.  Raises DriverError in one line when it fails."""
    try:
        done = subprocess.run(
            ["ovsdb-tool", command, *words], capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise DriverError(f"ovsdb-tool {command} {words[0]}: has not ended after {limit:g} s") from None
    except OSError as error:
        raise DriverError(f"ovsdb-tool cannot be run: {error.strerror}; install openvswitch-common") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise DriverError(f"ovsdb-tool {command} {words[0]}: {said[-1]}")
    return done.stdout


def save(target: Path, limit: float, *command: str) -> None:
    """Write what a program prints into `target`, a new file.  Raises DriverError in one line when it fails, OSError."""
    with target.open("xb") as file:
        try:
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise DriverError(f"{command[0]}: has not ended after {limit:g} s") from None
        except FileNotFoundError:
            raise DriverError(f"{command[0]} cannot be run; install openvswitch-common") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise DriverError(f"{command[0]}: {said[-1].rpartition('|')[2].removeprefix(f'{command[0]}: ')}")


def selects(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield the operations that read whole tables; `read` takes their answer."""
    for table, names in columns.items():
        yield {"op": "select", "table": table, "where": [], "columns": ["_uuid", *names]}


def read(answer: str, columns: Columns) -> Rows:
    """Return the rows in the answer to `selects`.  Raises DriverError when it is an error or nothing like it."""
    try:
        # Each row becomes its text as soon as it is parsed, so that not all of them are dicts at once.
        return _tables(json.loads(answer, object_hook=_compact), columns)
    except (ValueError, TypeError, KeyError) as error:
        raise DriverError(f"ovsdb-tool answers in a form that is not known: {error}: {answer[:200]!r}") from None


def of_results(results: Sequence[Any], columns: Columns) -> Rows:
    """Return the rows in the results that a server gave to `selects`."""
    return _tables([{"rows": [_compact(row) for row in result["rows"]]} for result in results], columns)


def line(row: Mapping[str, Any]) -> str:
    """Return the columns of a row as the text that is compared."""
    return json.dumps({name: ordered(value) for name, value in row.items()}, sort_keys=True, separators=(",", ":"))


def ordered(value: Any) -> Any:
    """Return a value with its set or map in order; one that is alone in its set stands for the set."""
    if isinstance(value, list) and len(value) == 2 and value[0] in ("set", "map"):
        members = sorted(value[1], key=json.dumps)
        return members[0] if value[0] == "set" and len(members) == 1 else [value[0], members]
    return value


def _compact(value: dict[str, Any]) -> Any:
    if "_uuid" not in value:
        return value
    uuid: str = value.pop("_uuid")[1]
    return uuid, line(value)


def _tables(results: Sequence[Any], columns: Columns) -> Rows:
    rows = {table: dict(result["rows"]) for table, result in zip(columns, results, strict=True)}
    for uuid, text in rows.get(_CONFIG[0], {}).items():
        rows[_CONFIG[0]][uuid] = line(without_ours(_CONFIG[0], json.loads(text)))
    return rows


def without_ours(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `table` without what ovsha itself writes."""
    column = _CONFIG[1]
    if table != _CONFIG[0] or column not in row:
        return dict(row)
    return {**row, column: ["map", [pair for pair in row[column][1] if not pair[0].startswith(_OURS)]]}


SIZE = 500
"""Rows in one transaction: some milliseconds of the server."""


def row_uuids(session: Session, table: str) -> set[str]:
    """Return the uuids of the rows of a table.  Raises DriverError as the session does."""
    (found,) = session.transact([{"op": "select", "table": table, "where": [], "columns": ["_uuid"]}])
    return {row["_uuid"][1] for row in _rows(found)}


def rows_in_slices(session: Session, table: str, columns: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Return those rows of `wanted` that are there, each as the text that `line` makes of it."""
    one = {"op": "select", "table": table, "columns": ["_uuid", *columns]}
    results = session.transact([{**one, "where": [["_uuid", "==", ["uuid", uuid]]]} for uuid in wanted])
    found = [row for result in results for row in _rows(result)]
    return of_results([{"rows": found}], {table: columns})[table]


def _rows(result: Any) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = result["rows"]
    except (TypeError, KeyError):
        raise DriverError(f"ovsdb-server answers a select in a form that is not known: {result!r:.200}") from None
    return found


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
