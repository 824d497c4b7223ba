"""Say which backups are kept, by the names of their files, and remove those that are too many.

`TIME-termN-FINGERPRINT.db.gz`: TIME is UTC by the clock of the switch that took it, N the term of the data (0 when that
is unknown), FINGERPRINT the first twelve digits of the SHA-256 of the contents.  Nothing that is named otherwise is
ever touched, so that an operator who renames a backup keeps it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ovsha.errors import DriverError
from ovsha.ledger.content import Rows

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


def prune(directory: Path, keep: int) -> list[Path]:
    """Remove the oldest until `keep` are left; return those that were.  Raises DriverError when it cannot."""
    surplus = [each.path for each in find(directory)[:-keep]]
    for path in surplus:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DriverError(f"{path}: an old backup cannot be removed: {error.strerror}") from None
    return surplus
