"""Say what was saved before an upgrade: which files, with whose owner and mode, and which database.

`<state directory>/upgrade/TIME/` holds `manifest.json`, the database as `ovsha backup` keeps one, and below `files/`
each file under its own path.  It appears whole, with its name, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ovsha import durable
from ovsha.core import plain
from ovsha.errors import DriverError

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
    return json.dumps(plain.to_plain(manifest), indent=1) + "\n"


def load(place: Path) -> Save:
    """Return what was saved in the directory `place`.  Raises DriverError in one line when that cannot be read."""
    path = place / NAME
    try:
        manifest = plain.from_plain(Manifest, plain.parse(durable.read(path)))
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


def find(directory: Path) -> list[Path]:
    """Return the places below `directory` where something was saved, the oldest first."""
    try:
        found = [each for each in directory.iterdir() if TIME.fullmatch(each.name) and each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DriverError(f"{directory}: cannot be read: {error.strerror}") from None
    return sorted(found)
