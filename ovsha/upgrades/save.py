"""Save what an upgrade of the system overwrites: the database, the start script, certificates, key, configuration."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ovsha import __version__, durable
from ovsha.backups import check, take
from ovsha.checks import credentials, ovsdb
from ovsha.config import Config
from ovsha.drivers import disk
from ovsha.errors import DriverError
from ovsha.upgrades import manifest
from ovsha.upgrades.manifest import Database, File, Kind, Manifest, Save

KEEP = 3
"""How many saves are kept, the new one among them."""

_LARGEST = 16 << 20
_PART = ".new-"


def wanted(config: Config) -> list[tuple[Path, Kind]]:
    """Return the files to be saved, whether they are there or not, each once.

    Raises DriverError when ovsdb-server does not say which certificate it uses.
    """
    known: dict[Path, Kind] = {}
    if config.file is not None:
        known[config.file.absolute()] = Kind.CONFIGURATION
    known[config.pair.key_file] = Kind.KEY
    server = ovsdb.look(config)
    if server.pid is None:
        raise DriverError(f"ovsdb-server on {config.node} does not run: {server.trouble}; start it first")
    found = credentials.files(config, server)
    for path, kind in (
        (found.certificate, Kind.CERTIFICATE), (found.key, Kind.KEY), (found.authority, Kind.CERTIFICATE)
    ):  # fmt: skip
        if path is not None:
            known.setdefault(path, kind)
    known.setdefault(config.state_directory / "identity", Kind.IDENTITY)
    for path in config.upgrade.files:
        for each in _within(path):
            known.setdefault(each, Kind.SCRIPT if path.is_relative_to("/usr") else Kind.SETTING)
    return sorted(known.items())


def make(config: Config, directory: Path) -> Save:
    """Save everything into a new place below `directory`, and prove that it can be read.

    Raises DriverError in one line, and then nothing was left behind.
    """
    part = directory / f"{_PART}{os.getpid()}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left(directory)
        part.mkdir(mode=0o700)
        try:
            at = datetime.now(UTC)
            saved = Save(part, _fill(config, part, at))
            prove(saved)
            place = _free(directory, f"{at:%Y%m%dT%H%M%SZ}")
            for each in [part, *(path for path in part.rglob("*") if path.is_dir())]:
                each.chmod(0o700)
                durable.sync(each)
            durable.move(part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        what = error.filename or directory
        raise DriverError(f"{what}: cannot be saved: {error.strerror}; nothing was done") from None
    return Save(place, saved.manifest)


def prove(save: Save) -> None:
    """Read everything back.  Raises DriverError when something is not as the manifest says."""
    with check.opened(save.database, save.manifest.database.name) as opened:
        if sum(opened.counts.values()) != save.manifest.database.rows:
            raise DriverError(f"{save.database}: has not the rows that were saved")
    for file in save.manifest.files:
        content(save, file)


def content(save: Save, file: File) -> bytes:
    """Return what was saved of a file.  Raises DriverError when it is damaged."""
    path = save.copy(file)
    try:
        read = path.read_bytes()
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    if manifest.digest(read) != file.digest:
        raise DriverError(f"{path}: is damaged: it is not what was saved")
    return read


def prune(directory: Path, keep: str) -> None:
    """Remove the oldest saves but `KEEP`, and never the one named `keep`.  What cannot be removed stays."""
    for place in manifest.find(directory)[:-KEEP]:
        if place.name != keep:
            shutil.rmtree(place, ignore_errors=True)


def _fill(config: Config, part: Path, at: datetime) -> Manifest:
    files, absent = [], []
    for path, kind in wanted(config):
        try:
            before = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            absent.append(str(path))
            continue
        if not stat.S_ISREG(before.st_mode) or before.st_size > _LARGEST:
            raise DriverError(f"{path}: is no file, or is too large to be saved; see upgrade.files")
        disk.require({part: before.st_size}, disk.SPARE)
        read = path.read_bytes()
        mode = stat.S_IMODE(before.st_mode)
        copy = part / manifest.FILES / str(path).lstrip("/")
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write(copy, read, mode)
        os.chown(copy, before.st_uid, before.st_gid)
        files.append(File(str(path), kind, before.st_uid, before.st_gid, mode, len(read), manifest.digest(read)))
    saved = Manifest(
        manifest.VERSION, config.node, config.pair.id, at.isoformat(timespec="seconds"), __version__,
        str(config.file.absolute()) if config.file is not None else "", _save_database(config, part),
        tuple(files), tuple(absent),
    )  # fmt: skip
    durable.write(part / manifest.NAME, manifest.text(saved))
    return saved


def _save_database(config: Config, part: Path) -> Database:
    taken = take.take(config, prune=False)
    disk.require({part: taken.path.stat().st_size}, disk.SPARE)
    copy = part / taken.path.name
    with taken.path.open("rb") as source, durable.whole(copy) as target:
        shutil.copyfileobj(source, target)
    with check.opened(copy, config.server.database) as opened:
        rows, term = sum(opened.counts.values()), opened.lineage[0] if opened.lineage else 0
        return Database(config.server.database, copy.name, rows, term, str(opened.schema.get("version", "")))


def _within(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of a directory."""
    if path.is_dir():
        yield from sorted(each for each in path.rglob("*") if each.is_file())
    else:
        yield path


def _free(directory: Path, name: str) -> Path:
    """Return the first name that is not taken: two may be saved within a second."""
    names = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    return next(directory / each for each in names if not (directory / each).exists())


def _remove_left(directory: Path) -> None:
    """Remove what a killed command has left."""
    for left in directory.glob(f"{_PART}*"):
        process = left.name.removeprefix(_PART)
        if not (process.isdecimal() and Path("/proc", process).exists()):
            shutil.rmtree(left)
