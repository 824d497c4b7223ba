"""See whether there is room on a disk for what is to be written."""

from __future__ import annotations

import os
from pathlib import Path

from ovsha.errors import DriverError

_MARGIN = 64 << 20


def need_room(directory: Path, size: int) -> None:
    """Raise DriverError unless `size` bytes fit there and leave some to others: nothing here is worth a full disk."""
    space = os.statvfs(directory)
    free, needed = space.f_bavail * space.f_frsize, size + _MARGIN
    if free < needed:
        raise DriverError(f"{directory}: its disk has {free >> 20} MB free and {needed >> 20} are needed")
