"""Take backups of the database, keep them by name, check them, and remove those that are too many.

`TIME-termN-FINGERPRINT.db.gz`: TIME is UTC by the clock of the switch that took it, N the term of the data (0 when that
is unknown), FINGERPRINT the first twelve digits of the SHA-256 of the contents.  Nothing that is named otherwise is
ever touched, so that an operator who renames a backup keeps it.

`ovsdb-client backup` reads the database in one transaction, so that nothing half-copied is in it, and leaves the
ephemeral columns out.  The file appears whole, with its name, or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ovsha import atomic_file
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.ovsdb import contents, endpoints, log_file
from ovsha.ovsdb.contents import Rows

SUFFIX = ".db.gz"
_NAME = re.compile(r"(?P<at>\d{8}T\d{6}Z)-term(?P<term>\d{1,19})-(?P<fingerprint>[0-9a-f]{12})\.db\.gz")
_FORM = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: its file and size in bytes, when it was taken (UTC), term and fingerprint of its contents."""

    path: Path
    at: datetime
    term: int
    fingerprint: str
    size: int


def name(at: datetime, term: int, fingerprint: str) -> str:
    """Return the name of a backup's file."""
    return f"{at:{_FORM}}-term{term}-{fingerprint}{SUFFIX}"


def fingerprint(rows: Rows) -> str:
    """Return the fingerprint of contents: the same for the same rows, whatever the file around them."""
    digest = hashlib.sha256()
    for table in sorted(rows):
        for uuid in sorted(rows[table]):
            digest.update(f"{table} {uuid} {rows[table][uuid]}\n".encode())
    return digest.hexdigest()[:12]


def parse(path: Path) -> Backup | None:
    """Return what the name of a backup says, None when it is not named as one.  Raises OSError when it is not there."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        at = datetime.strptime(match["at"], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Backup(path, at, int(match["term"]), match["fingerprint"], path.stat().st_size)


def find(directory: Path) -> list[Backup]:
    """Return the backups in `directory`, the oldest first.  Raises DriverError when it cannot be read."""
    found = []
    try:
        for path in directory.glob(f"*{SUFFIX}"):
            try:
                backup = parse(path)
                written = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # pruned by another one meanwhile
            if backup is not None:
                found.append((backup.at, written, backup.path.name, backup))
    except OSError as error:
        raise DriverError(f"{directory}: cannot be read: {error.strerror}") from None
    return [backup for _, _, _, backup in sorted(found)]


def pick(directory: Path, wanted: str) -> Path:
    """Return the file that an operator names: by its path, by `newest`, or by the beginning of a name in `directory`.

    Raises DriverError when there is none, or more than one.
    """
    if "/" in wanted or (Path(wanted).exists() and wanted.endswith(SUFFIX)):
        path = Path(wanted)
        if not path.is_file():
            raise DriverError(f"{wanted}: there is no such file")
        return path
    known = find(directory)
    if wanted == "newest":
        if not known:
            raise DriverError(f"there is no backup in {directory}; ovsha backup create takes one")
        return known[-1].path
    these = [each.path for each in known if each.path.name.startswith(wanted)]
    if len(these) != 1 or not wanted:
        what = "several backups begin" if these else "no backup begins"
        raise DriverError(f"{what} with {wanted!r:.80} in {directory}; see ovsha backup list, or give a path")
    return these[0]


def prune_oldest(directory: Path, keep: int) -> list[Path]:
    """Remove the oldest until `keep` are left; return those that were.  Raises DriverError when it cannot."""
    surplus = [each.path for each in find(directory)[:-keep]]
    for path in surplus:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DriverError(f"{path}: an old backup cannot be removed: {error.strerror}") from None
    return surplus


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
            contents.save(part, LIMIT, *endpoints.backup_command(config, LIMIT))
            taken = _keep(config, part)
    except OSError as error:
        raise DriverError(f"{directory}: a backup cannot be written: {error.strerror}") from None
    if prune and not taken.unchanged:
        prune_oldest(directory, config.backup.keep)
    return taken


def need(directory: Path) -> None:
    """Make the directory.  Raises DriverError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{directory}: cannot be made: {error.strerror}") from None


def _keep(config: Config, part: Path) -> Taken:
    directory = config.backup.directory
    rows = contents.of_file(part, config.server.database, columns(part), LIMIT)
    lineage, _ = contents.lineage_of_file(part, config.server.database, LIMIT)
    mark, count = fingerprint(rows), sum(map(len, rows.values()))
    if not count:
        raise DriverError("the database is empty: a backup of it would be of no use, and none is taken")
    known = find(directory)
    if known and known[-1].fingerprint == mark:
        return Taken(known[-1].path, mark, count, unchanged=True)
    target = directory / name(datetime.now(UTC), lineage[0] if lineage else 0, mark)
    packed = part.with_suffix(".gz")
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Without a time and a name in it, so that equal contents are equal files.
    with (
        part.open("rb") as source,
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, 0) as file,
    ):
        shutil.copyfileobj(source, file)
    atomic_file.move(packed, target)
    return Taken(target, mark, count, unchanged=False)


def columns(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of each table that a database file keeps.  Raises DriverError when it is none."""
    return {name: table.columns for name, table in contents.tables(log_file.schema(path)).items()}


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
            schema = log_file.schema(database)
        except DriverError:
            raise DriverError(f"{path}: is damaged or no backup: no database file is in it") from None
        if schema.get("name") != name:
            raise DriverError(f"{path}: is a backup of database {schema.get('name')}, not of {name}")
        try:
            rows = contents.of_file(database, name, columns(database), LIMIT)
            lineage, _ = contents.lineage_of_file(database, name, LIMIT)
        except DriverError as error:
            raise DriverError(f"{path}: is damaged: {error}") from None
        found = fingerprint(rows)
        known = parse(path)
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
