"""Bring the contents of a backup back into the database of a running, active server, or into the file of a stopped one.

Into a running server only what differs is written, in one transaction: rows keep their UUIDs, what is equal is not
touched, and the backup gets it by replication like any other write.  (`ovsdb-client restore` would give every row a new
UUID, which everybody connected sees as the whole database vanishing and another one appearing.)

For the agents that is a write like those of the controller: the term goes on, and so do the tokens, which only the
agent commits.  The file of a stopped server is stamped with a term newer than any that was seen, so that it is
followed and never refused as older.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ovsha import atomic_file
from ovsha.backup import store
from ovsha.backup.store import Opened
from ovsha.core import stamps
from ovsha.core.facts import Stamp
from ovsha.core.stamps import CHOSEN, NODE, TERM, TOKEN
from ovsha.divergence import compare
from ovsha.divergence.compare import Entry, Kind
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.ovsdb import contents
from ovsha.ovsdb.client import Refused, Session
from ovsha.ovsdb.contents import Rows

_KEYS = (TERM, NODE, CHOSEN, TOKEN)
_CONFIG = ("Global", "other_config")
_NOWHERE = "00000000-0000-0000-0000-000000000000"

Columns = Mapping[str, tuple[str, ...]]


# -- a running server --------------------------------------------------------------------------------------------------


def shared(session: Session, opened: Opened) -> dict[str, tuple[str, ...]]:
    """Return the columns that the server and the backup have.  Raises DriverError when the backup has others in use."""
    known, wanted = contents.tables(session.schema()), contents.tables(opened.schema)
    lost = [name for name in wanted if name not in known and opened.rows.get(name)]
    if lost:
        named = ", ".join(lost)
        raise DriverError(f"{opened.path}: has rows of {named}, which the schema of this ovsdb-server does not know")
    return contents.shared(known, wanted)


def present(session: Session, columns: Columns) -> Rows:
    """Return all rows of a running server, read a few at a time.  Raises DriverError when it does not answer."""
    rows: Rows = {}
    for table, names in columns.items():
        rows[table] = {}
        keys = sorted(contents.row_uuids(session, table))
        for first in range(0, len(keys), contents.SIZE):
            rows[table] |= contents.rows_in_slices(session, table, names, keys[first : first + contents.SIZE])
    return rows


def plan(now: Rows, opened: Opened, columns: Columns) -> list[Entry]:
    """Return what has to be done to `now` to make it the backup: `inserted`, `changed` and `deleted` rows."""
    wanted = {
        table: {uuid: _only(text, columns[table]) for uuid, text in opened.rows.get(table, {}).items()}
        for table in columns
    }  # fmt: skip
    return list(compare.difference(now, wanted))


def remaining(session: Session, entries: Iterable[Entry], columns: Columns) -> list[Entry]:
    """Return those rows that are not yet as they shall be.  Raises DriverError when the server does not answer."""
    wanted: dict[str, list[Entry]] = {}
    for entry in entries:
        wanted.setdefault(entry.table, []).append(entry)
    found = []
    for table, these in wanted.items():
        for first in range(0, len(these), contents.SIZE):
            part = these[first : first + contents.SIZE]
            rows = contents.rows_in_slices(session, table, columns[table], [entry.uuid for entry in part])
            found += [
                entry for entry in part
                if rows.get(entry.uuid) != (None if entry.row is None else contents.line(entry.row))
            ]  # fmt: skip
    return found


def term(session: Session) -> int:
    """Return the term in a running server's database, 0 for none."""
    return stamps.number(next((value for key, value in _our_keys(session) if key == TERM), "")) or 0


def writable(session: Session) -> bool:
    """Tell whether a server takes writes, by one that changes no row.  Raises DriverError when it does not answer."""
    nothing = [["other_config", "delete", ["set", []]]]
    where = [["_uuid", "==", ["uuid", _NOWHERE]]]
    try:
        session.transact([{"op": "mutate", "table": "Global", "where": where, "mutations": nothing}])
    except Refused as error:
        if "read only" in str(error) or "read-only" in str(error):
            return False
        raise
    return True


def online(session: Session, entries: Sequence[Entry], name: str) -> None:
    """Write what differs, in one transaction.  Raises Refused, and then nothing was changed, or DriverError."""
    ours = _our_keys(session)
    acts = [act for entry in _deleted_first(entries) for act in _acts(entry, ours)]
    try:
        session.transact([*acts, {"op": "comment", "comment": f"ovsha: restores {name}"}, _DURABLE])
    except Refused as error:
        if "syntax error" in str(error):
            raise DriverError(
                "this ovsdb-server is too old to write rows with the UUIDs that they had; restore with --offline"
            ) from None
        raise


_DURABLE = {"op": "commit", "durable": True}


def _deleted_first(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.kind is not Kind.DELETED)


def _acts(entry: Entry, ours: list[list[str]]) -> Iterator[dict[str, Any]]:
    """Yield the operations for one row; `ours` are the keys of ovsha, which go on whatever is restored."""
    where = [["_uuid", "==", ["uuid", entry.uuid]]]
    row = entry.row or {}
    if entry.kind is Kind.DELETED:
        yield {"op": "delete", "table": entry.table, "where": where}
    elif entry.kind is Kind.INSERTED:
        if entry.table == _CONFIG[0]:
            row = {**row, _CONFIG[1]: ["map", [*row.get(_CONFIG[1], ["map", []])[1], *ours]]}
        yield {"op": "insert", "table": entry.table, "uuid": entry.uuid, "row": row}
    else:
        changed = {column: row[column] for column in entry.changed if (entry.table, column) != _CONFIG}
        if changed:
            yield {"op": "update", "table": entry.table, "where": where, "row": changed}
        if entry.table == _CONFIG[0] and _CONFIG[1] in entry.changed:
            # By its pairs: the agent commits its tokens into the same map meanwhile.
            before, after = (each[_CONFIG[1]][1] for each in (entry.base or row, row))
            gone = ["set", [key for key, _ in before]]
            mutations = [[_CONFIG[1], "delete", gone], [_CONFIG[1], "insert", ["map", after]]]
            yield {"op": "mutate", "table": entry.table, "where": where, "mutations": mutations}


def _stamping(stamp: Stamp) -> Iterator[dict[str, Any]]:
    pairs = ["map", [[key, value] for key, value in stamps.written(stamp, (stamp.term, 0)).items()]]
    mutations = [["other_config", "delete", ["set", [*_KEYS]]], ["other_config", "insert", pairs]]
    yield {"op": "mutate", "table": "Global", "where": [], "mutations": mutations}


def _our_keys(session: Session) -> list[list[str]]:
    (found,) = session.transact([{"op": "select", "table": "Global", "where": [], "columns": ["other_config"]}])
    return [pair for row in found["rows"] for pair in row["other_config"][1] if pair[0].startswith("ovsha:")]


def _only(text: str, columns: tuple[str, ...]) -> str:
    row = json.loads(text)
    return contents.line({name: row[name] for name in columns if name in row})


# -- a file that no server has open ------------------------------------------------------------------------------------


def rows_of_file(path: Path, database: str) -> Rows:
    """Return the rows of the database file, none for one that is missing or cannot be read."""
    with contextlib.suppress(DriverError):
        return contents.of_file(path, database, store.columns(path), store.LIMIT)
    return {}


def term_of_file(path: Path, database: str) -> int:
    """Return the term in the database file, 0 for one that has none or cannot be read."""
    with contextlib.suppress(DriverError):
        lineage, _ = contents.lineage_of_file(path, database, store.LIMIT)
        return lineage[0] if lineage else 0
    return 0


def offline(file: Path, opened: Opened, stamp: Stamp) -> Path | None:
    """Put the backup in the place of the database file; return where the old one is kept, None when there was none.

    Raises DriverError or OSError, and then the old file is still in its place.
    """
    database = str(opened.schema["name"])
    disk.require({file.parent: 2 * opened.database.stat().st_size}, disk.SPARE)
    part = file.with_name(f".{file.name}.ovsha-restore")
    try:
        part.unlink(missing_ok=True)
        shutil.copyfile(opened.database, part)
        acts = list(_stamping(stamp))
        if not opened.rows.get("Global"):
            pairs = ["map", [[key, value] for key, value in stamps.written(stamp, (stamp.term, 0)).items()]]
            acts = [{"op": "insert", "table": "Global", "row": {"other_config": pairs}}]
        contents.tool(store.LIMIT, "transact", str(part), json.dumps([database, *acts]))
        contents.tool(store.LIMIT, "compact", str(part))
        found = store.fingerprint(contents.of_file(part, database, store.columns(part), store.LIMIT))
        if opened.rows.get("Global") and found != opened.fingerprint:
            raise DriverError(f"{part}: has not the contents of {opened.path}; nothing was replaced")
        old = _keep_old(file, part)
        atomic_file.move(part, file)
    finally:
        for left in (part, part.with_name(f".{part.name}.~lock~")):
            left.unlink(missing_ok=True)
    return old


def _keep_old(file: Path, part: Path) -> Path | None:
    """Give the old file a second name, and its owner and mode to the new one."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    os.chown(part, found.st_uid, found.st_gid)
    part.chmod(found.st_mode & 0o7777)
    old = file.with_name(f"{file.name}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    os.link(file, old)
    return old
