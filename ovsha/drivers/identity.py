"""Read the identity of this switch from its disk, or draw one at the first start.

It is 128 random bits in hexadecimal, in a file that only its owner reads; it is written
whole (write, fsync, rename, fsync of the directory) before it is used.  Raises DriverError
with the name of the file.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from ovsha.errors import DriverError

_FORM = re.compile(r"[0-9a-f]{32}")


def own_identity(path: Path) -> str:
    """Return the identity of this switch, which it keeps for as long as its state directory.

    Raises DriverError when the file is damaged, cannot be read, or cannot be made: with a
    new identity at each start the peer would take us for another switch each time.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        _make(path, secrets.token_hex(16))
        return _read(path)
    except OSError as error:
        raise DriverError(f"{path}: the identity of this switch cannot be kept: {error.strerror}") from None


def _read(path: Path) -> str:
    text = path.read_bytes()[:64].decode("ascii", "replace").strip()
    if not _FORM.fullmatch(text):
        raise DriverError(
            f"{path}: is damaged; move it away to be given a new identity, and run `ovsha peer forget` on the peer"
        )
    return text


def _make(path: Path, identity: str) -> None:
    """Put `identity` on disk for good."""
    part = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):
        part.unlink()
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, f"{identity}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
