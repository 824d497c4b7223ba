"""Open a backup and say whether it is whole: unpacked, read by ovsdb-tool, its contents those that its name says."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha.backups import shelf, take
from ovsha.drivers import disk
from ovsha.errors import DriverError
from ovsha.ledger import content, records
from ovsha.ledger.content import Rows

_UNPACKED = 12
"""How many times larger than the backup the database is at most expected to be; a disk without that room is spared."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup that was read: its database file, the whole schema, the rows, and the lineage of the data."""

    path: Path
    database: Path
    schema: dict[str, Any]
    rows: Rows
    lineage: tuple[int, str] | None
    fingerprint: str

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each table has, without the empty ones."""
        return {table: len(rows) for table, rows in sorted(self.rows.items()) if rows}


@contextmanager
def opened(path: Path, name: str) -> Iterator[Opened]:
    """Give the backup of database `name` in the file `path`, unpacked for as long as it is looked at.

    Raises DriverError in one line when it is damaged, or is of another database.
    """
    with tempfile.TemporaryDirectory(prefix="ovsha-backup-") as place:
        database = Path(place) / "backup.db"
        _unpack(path, database)
        try:
            schema = records.schema(database)
        except DriverError:
            raise DriverError(f"{path}: is damaged or no backup: no database file is in it") from None
        if schema.get("name") != name:
            raise DriverError(f"{path}: is a backup of database {schema.get('name')}, not of {name}")
        try:
            rows = content.of_file(database, name, take.columns(database), take.LIMIT)
            lineage, _ = content.lineage_of_file(database, name, take.LIMIT)
        except DriverError as error:
            raise DriverError(f"{path}: is damaged: {error}") from None
        found = shelf.fingerprint(rows)
        known = shelf.parse(path)
        if known is not None and known.fingerprint != found:
            raise DriverError(f"{path}: is damaged: its contents are {found}, and its name says {known.fingerprint}")
        yield Opened(path, database, schema, rows, lineage, found)


def _unpack(path: Path, target: Path) -> None:
    try:
        disk.require({target.parent: _UNPACKED * path.stat().st_size}, disk.SPARE)
        with gzip.open(path, "rb") as packed, target.open("xb") as file:
            shutil.copyfileobj(packed, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DriverError(f"{path}: is damaged: it cannot be unpacked: {error}") from None
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror or error}") from None
