"""Read the rows of a database, from a file by ovsdb-tool(1) or from a running server.

A row is kept as one line of JSON with its columns in order, which is smaller than a dict
and is compared by its text.  What ovsha itself writes is left out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ovsha.core import stamps
from ovsha.errors import DriverError

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
