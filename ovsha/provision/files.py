"""Put files in place for good, each whole, with a copy of every older one that differs; and the pair key."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ovsha import atomic_file
from ovsha.config import read_key
from ovsha.errors import DriverError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it is to be."""

    path: Path
    content: bytes
    mode: int


def replace(path: Path, content: str | bytes, mode: int) -> Path | None:
    """Make `path` hold `content` and return the copy that was made of an older file; None when there was none to keep.

    A file that holds it already only gets the mode.  Raises DriverError, and then everything is as it was.
    """
    return together([Wanted(path, content.encode() if isinstance(content, str) else content, mode)])[0]


def together(wanted: Sequence[Wanted]) -> list[Path | None]:
    """Put several files in place, all of them or none, and return the copies of the older ones in the same order.

    All are on disk under other names before the first one gets its own.  Raises DriverError, and then everything is as
    it was.
    """
    parts: list[Path | None] = []
    copies: list[Path | None] = []
    placed: list[int] = []
    path = Path()
    try:
        for path in (each.path for each in wanted):
            path.parent.mkdir(parents=True, exist_ok=True)
        for each in wanted:
            path = each.path
            parts.append(None if _same(each) else _written(each))
        for each, part in zip(wanted, parts, strict=True):
            path = each.path
            copies.append(_copied(path) if part is not None else None)
        for number, (each, part) in enumerate(zip(wanted, parts, strict=True)):
            path = each.path
            if part is None:
                path.chmod(each.mode)
            else:
                part.replace(path)
                placed.append(number)
        for directory in {each.path.parent for each in wanted}:
            path = directory
            atomic_file.sync(directory)
    except OSError as error:
        _take_back(wanted, copies, placed, parts)
        raise DriverError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
    return copies


def read(path: Path) -> bytes | None:
    """Return what a file holds, None when it is not there.  Raises DriverError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None


def _same(wanted: Wanted) -> bool:
    return wanted.path.is_file() and wanted.path.read_bytes() == wanted.content


def _written(wanted: Wanted) -> Path:
    """Write it beside its place; an older file's owner keeps the new one."""
    part = wanted.path.with_name(f".{wanted.path.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(wanted.content)
            file.flush()
            if wanted.path.exists():
                before = wanted.path.stat()
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), wanted.mode)
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return part


def _copied(path: Path) -> Path | None:
    """Copy an older file, with its owner and mode, under the first free name with the time of day (UTC)."""
    try:
        content, before = path.read_bytes(), path.stat()
    except FileNotFoundError:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = (path.with_name(f"{path.name}.ovsha-{stamp}{more}") for more in ("", *(f"-{n}" for n in range(2, 100))))
    for copy in names:
        try:
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                copy.unlink()
            raise
        return copy
    raise FileExistsError(17, "too many copies of it exist from this second", str(path))


def _take_back(
    wanted: Sequence[Wanted], copies: Sequence[Path | None], placed: Sequence[int], parts: Sequence[Path | None]
) -> None:
    """Bring back what was there; a copy that has become the file again is not left behind either."""
    for number, copy in enumerate(copies):
        with contextlib.suppress(OSError):
            if number in placed and copy is None:
                wanted[number].path.unlink(missing_ok=True)
            elif number in placed and copy is not None:
                copy.replace(wanted[number].path)
            elif copy is not None:
                copy.unlink()
    for number, part in enumerate(parts):
        if part is not None and number not in placed:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


MODE = 0o600


def make() -> bytes:
    """Return the content of a new key file: 256 random bits in hex, and a newline."""
    return f"{secrets.token_hex(32)}\n".encode()


def make_once(path: Path) -> bool:
    """Make a key file where there is none, and say whether one was made.

    Raises ConfigError when the one that is there cannot be used, DriverError when none can be written.
    """
    if path.exists():
        read_key(path)
        return False
    replace(path, make(), MODE)
    return True
