"""Put files on disk whole: written beside their place, fsynced, and renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ovsha.errors import DriverError

_MARGIN = 64 << 20


def write(path: Path, lines: Iterable[str]) -> None:
    """Replace `path` by `lines`, which are ended here, for its owner only.  Raises OSError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move(part: Path, path: Path) -> None:
    """Give a complete file its name, for good.  Raises OSError."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def need_room(directory: Path, size: int) -> None:
    """Raise DriverError unless `size` bytes fit there and leave some to others: nothing here is worth a full disk."""
    space = os.statvfs(directory)
    free, needed = space.f_bavail * space.f_frsize, size + _MARGIN
    if free < needed:
        raise DriverError(f"{directory}: its disk has {free >> 20} MB free and {needed >> 20} are needed")


def sync(directory: Path) -> None:
    """Have the names in `directory` on disk.  Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
