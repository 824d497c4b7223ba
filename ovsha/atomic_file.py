"""Put files on disk whole and for good: written beside their place, fsynced, renamed, and the directory fsynced.

Whatever happens meanwhile (no room, a kill, no power), a reader finds the old file or the new one.  These calls wait
for the disk, so the agent's loop leaves them to a thread or a child.  `read` reads them again, when the agent starts
for instance, and waits for nothing but the disk, whatever was put in their place.  All raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MOST = 2**24
"""Bytes: the largest that is ever written here has some 100,000 identifiers of rows."""


def read(path: Path, most: int = MOST) -> str:
    """Return the text of a regular file, of at most so many bytes.

    Raises OSError for anything else that is there: a pipe that nobody writes to would never end, nor would a device.
    Raises ValueError for what is no text in UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        data = os.read(descriptor, most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data.decode()


def write(path: Path, data: str | bytes, mode: int | None = 0o600) -> None:
    """Replace `path` by `data`, text in UTF-8; `mode` is what `whole` takes."""
    with whole(path, mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole(path: Path, mode: int | None = 0o600) -> Iterator[IO[bytes]]:
    """Give a file to write to, which replaces `path` when the block ends well; otherwise nothing is left of it.

    It has exactly `mode`, or with None what the umask leaves of 0o666.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    _remove_orphans(path)
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)  # what is left of it would only help to fill the disk
        raise
    sync(path.parent)


def move(part: Path, path: Path) -> None:
    """Give a complete file, or a directory of files that are on the disk already, its name."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have on disk what was written to a file, or the names in a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_orphans(path: Path) -> None:
    """Remove what killed processes have left of `path`, but not what another one is writing."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        process = left.suffixes[-2][1:]
        if process.isdecimal() and not Path("/proc", process).exists():
            with contextlib.suppress(OSError):
                left.unlink()
