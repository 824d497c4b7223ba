"""Take a backup of the database from the server of this switch, which only reads for it.

`ovsdb-client backup` reads the database in one transaction, so that nothing half-copied is in it, and leaves the
ephemeral columns out.  The file appears whole, with its name, or not at all.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ovsha import durable, remotes
from ovsha.backups import shelf
from ovsha.config import Config
from ovsha.drivers import disk
from ovsha.errors import DriverError
from ovsha.ledger import content, records, schema

LIMIT = 120.0
"""Seconds for each program: 100,000 rows take some."""

_STALE = 3600.0
"""Seconds after which what a killed child has left is removed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The backup that holds the contents, how many rows, and whether it had them before and nothing was written."""

    path: Path
    fingerprint: str
    rows: int
    unchanged: bool


def take(config: Config, *, prune: bool = True) -> Taken:
    """Take a backup into the configured directory, unless the newest one there holds the same contents.

    With `prune` those that are too many are removed.  Raises DriverError in one line, and then nothing was left behind.
    """
    directory = config.backup.directory
    need(directory)
    try:
        for left in directory.glob(".new-*"):
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left)
        size = config.server.file.stat().st_size if config.server.file.exists() else 0
        disk.require({directory: size}, disk.SPARE)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as place:
            part = Path(place) / "backup.db"
            target, limit = remotes.own_database(config), f"--timeout={LIMIT:.0f}"
            how = [limit, *remotes.client_options(config, target), "backup", target]
            content.save(part, LIMIT, "ovsdb-client", *how, config.server.database)
            taken = _keep(config, part)
    except OSError as error:
        raise DriverError(f"{directory}: a backup cannot be written: {error.strerror}") from None
    if prune and not taken.unchanged:
        shelf.prune(directory, config.backup.keep)
    return taken


def need(directory: Path) -> None:
    """Make the directory.  Raises DriverError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{directory}: cannot be made: {error.strerror}") from None


def _keep(config: Config, part: Path) -> Taken:
    directory = config.backup.directory
    rows = content.of_file(part, config.server.database, columns(part), LIMIT)
    lineage, _ = content.lineage_of_file(part, config.server.database, LIMIT)
    mark, count = shelf.fingerprint(rows), sum(map(len, rows.values()))
    if not count:
        raise DriverError("the database is empty: a backup of it would be of no use, and none is taken")
    known = shelf.find(directory)
    if known and known[-1].fingerprint == mark:
        return Taken(known[-1].path, mark, count, unchanged=True)
    target = directory / shelf.name(datetime.now(UTC), lineage[0] if lineage else 0, mark)
    packed = part.with_suffix(".gz")
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Without a time and a name in it, so that equal contents are equal files.
    with (
        part.open("rb") as source,
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, 0) as file,
    ):
        shutil.copyfileobj(source, file)
    durable.move(packed, target)
    return Taken(target, mark, count, unchanged=False)


def columns(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of each table that a database file keeps.  Raises DriverError when it is none."""
    return {name: table.columns for name, table in schema.tables(records.schema(path)).items()}
