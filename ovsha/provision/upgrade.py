"""What an upgrade of the system overwrites: saved before it, compared and put back after it.

`<state directory>/upgrade/TIME/` holds `manifest.json`, the database as `ovsha backup` keeps one, and below `files/`
each file under its own path.  It appears whole, with its name, or not at all.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from ovsha import __version__, atomic_file, codec
from ovsha.backup import store
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.ovsdb import certificates, own_server

NAME = "manifest.json"
FILES = "files"
VERSION = 1
TIME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


class Kind(Enum):
    """What a file is for; only a script is the vendor's, and is never put back over the new one."""

    CONFIGURATION = "configuration"
    KEY = "key"
    CERTIFICATE = "certificate"
    IDENTITY = "identity"
    SETTING = "setting"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class File:
    """One file that was saved: its own path, what it is, owner, group and mode, and the SHA-256 of its contents."""

    path: str
    kind: Kind
    uid: int
    gid: int
    mode: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Database:
    """The database `name` that was saved in `file`: how many rows, of which term (0: unknown), in which schema."""

    name: str
    file: str
    rows: int
    term: int
    version: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was saved: on which node of which pair, when (ISO 8601), by which release, with which configuration file.

    `absent`: what was to be saved and was not there.
    """

    version: int
    node: str
    pair: str
    at: str
    release: str
    configuration: str
    database: Database
    files: tuple[File, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Save:
    """A manifest and the directory that it stands in."""

    place: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.place.name

    @property
    def database(self) -> Path:
        """The file with the database."""
        return self.place / self.manifest.database.file

    def copy(self, file: File) -> Path:
        """Return where the copy of a file is."""
        return self.place / FILES / file.path.lstrip("/")


def digest(content: bytes) -> str:
    """Return what contents are compared by."""
    return hashlib.sha256(content).hexdigest()


def text(manifest: Manifest) -> str:
    """Return the manifest as it stands in its file."""
    return json.dumps(codec.to_plain(manifest), indent=1) + "\n"


def load(place: Path) -> Save:
    """Return what was saved in the directory `place`.  Raises DriverError in one line when that cannot be read."""
    path = place / NAME
    try:
        manifest = codec.from_plain(Manifest, codec.parse(atomic_file.read(path)))
    except FileNotFoundError:
        raise DriverError(f"{place}: there is no {NAME} in it, so nothing was saved there") from None
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DriverError(f"{path}: is damaged: {error}") from None
    if manifest.version != VERSION:
        raise DriverError(f"{path}: was written by another release of ovsha, {manifest.release}")
    names = (manifest.database.file, *(file.path for file in manifest.files))
    if any(".." in Path(name).parts for name in names) or "/" in manifest.database.file:
        raise DriverError(f"{path}: is damaged: it names a file outside of its place")
    return Save(place, manifest)


def find_saves(directory: Path) -> list[Path]:
    """Return the places below `directory` where something was saved, the oldest first."""
    try:
        found = [each for each in directory.iterdir() if TIME.fullmatch(each.name) and each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DriverError(f"{directory}: cannot be read: {error.strerror}") from None
    return sorted(found)


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
    server = own_server.look(config)
    if server.pid is None:
        raise DriverError(f"ovsdb-server on {config.node} does not run: {server.trouble}; start it first")
    found = certificates.files(config, server)
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
                atomic_file.sync(each)
            atomic_file.move(part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        what = error.filename or directory
        raise DriverError(f"{what}: cannot be saved: {error.strerror}; nothing was done") from None
    return Save(place, saved.manifest)


def prove(save: Save) -> None:
    """Read everything back.  Raises DriverError when something is not as the manifest says."""
    with store.opened(save.database, save.manifest.database.name) as opened:
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
    if digest(read) != file.digest:
        raise DriverError(f"{path}: is damaged: it is not what was saved")
    return read


def prune(directory: Path, keep: str) -> None:
    """Remove the oldest saves but `KEEP`, and never the one named `keep`.  What cannot be removed stays."""
    for place in find_saves(directory)[:-KEEP]:
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
        copy = part / FILES / str(path).lstrip("/")
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_file.write(copy, read, mode)
        os.chown(copy, before.st_uid, before.st_gid)
        files.append(File(str(path), kind, before.st_uid, before.st_gid, mode, len(read), digest(read)))
    saved = Manifest(
        VERSION, config.node, config.pair.id, at.isoformat(timespec="seconds"), __version__,
        str(config.file.absolute()) if config.file is not None else "", _save_database(config, part),
        tuple(files), tuple(absent),
    )  # fmt: skip
    atomic_file.write(part / NAME, text(saved))
    return saved


def _save_database(config: Config, part: Path) -> Database:
    taken = store.take(config, prune=False)
    disk.require({part: taken.path.stat().st_size}, disk.SPARE)
    copy = part / taken.path.name
    with taken.path.open("rb") as source, atomic_file.whole(copy) as target:
        shutil.copyfileobj(source, target)
    with store.opened(copy, config.server.database) as opened:
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


class State(Enum):
    """What has become of a file."""

    SAME = "same"
    MISSING = "missing"
    CHANGED = "changed"
    OWNER = "owner or mode"


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not as it was saved; `more` and `fewer` lines than before, 0 for what is no text."""

    file: File
    state: State
    more: int = 0
    fewer: int = 0

    @property
    def goes_back(self) -> bool:
        """It is put back: it is missing, and not for the new release to bring."""
        return self.state is State.MISSING and self.file.kind is not Kind.SCRIPT


def find_differences(saved: Save) -> list[Difference]:
    """Return the files that are not as they were saved.  Raises DriverError when a copy is damaged."""
    found = (_look(saved, file) for file in saved.manifest.files)
    return [each for each in found if each.state is not State.SAME]


def lines(saved: Save, file: File) -> list[str]:
    """Return how a file differs from its copy, as diff -u writes it; of a key nothing is shown.

    Raises DriverError when one of the two cannot be read.
    """
    if file.kind is Kind.KEY:
        return []
    before, now = _text(content(saved, file)), _text(_present(file) or b"")
    return list(difflib.unified_diff(before, now, str(saved.copy(file)), file.path, lineterm=""))


def put_back(saved: Save, these: Iterable[Difference]) -> None:
    """Put files back with their owner and mode, each whole.  Raises DriverError in one line."""
    for each in these:
        file, path = each.file, Path(each.file.path)
        read = content(saved, file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file.whole(path, file.mode) as target:
                target.write(read)
                os.fchown(target.fileno(), file.uid, file.gid)
            if _look(saved, file).state is not State.SAME:
                raise DriverError(f"{path}: was put back and is not what was saved")
        except OSError as error:
            raise DriverError(f"{path}: cannot be put back: {error.strerror}") from None


def _look(saved: Save, file: File) -> Difference:
    now = _present(file)
    if now is None:
        content(saved, file)
        return Difference(file, State.MISSING)
    if digest(now) != file.digest:
        changed = [line for line in lines(saved, file)[2:] if line[:1] in "+-"]
        more = sum(line.startswith("+") for line in changed)
        return Difference(file, State.CHANGED, more, len(changed) - more)
    found = Path(file.path).stat()
    same = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (file.uid, file.gid, file.mode)
    return Difference(file, State.SAME if same else State.OWNER)


def _present(file: File) -> bytes | None:
    try:
        return Path(file.path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DriverError(f"{file.path}: cannot be read: {error.strerror}") from None


def _text(content: bytes) -> list[str]:
    try:
        return content.decode().splitlines()
    except UnicodeDecodeError:
        return []
