"""Have one command at a time set this switch up."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ovsha.errors import DriverError

FILE = Path("/run/lock/ovsha-setup")


@contextmanager
def held(file: Path = FILE) -> Iterator[None]:
    """Hold the lock as long as the block lasts; it falls away with the process.  DriverError: it is taken."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise DriverError("another command sets this switch up just now: wait until it has ended") from None
