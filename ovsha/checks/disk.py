"""Check the disks that ovsdb-server and the agent write to: there is room, and a write goes through."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, warning
from ovsha.drivers.disk import MARGIN

_MEGABYTE = 1 << 20
_COPIES = 3
"""Sizes of the database that are to be free: a compaction and a resync write it whole, and so does a snapshot."""


def check(look: Look) -> Outcome:
    """Return whether each directory has room and can be written to."""
    config = look.config
    places = {
        "the database": config.server.file.parent,
        "the agent's state": config.state_directory,
        "the snapshots": config.snapshots.directory,
    }
    try:
        size = config.server.file.stat().st_size
    except OSError as error:
        do = "correct server.file in the configuration, or create the database (vtep-bootstrap)"
        return critical(f"{config.server.file}: the database cannot be looked at: {error.strerror}", do)
    found: list[Outcome] = []
    told: dict[int, str] = {}
    for what, place in places.items():
        found += look_at(what, place, size, told)
    text = f"all can be written to, free {', '.join(told.values())}; the database has {megabytes(size)}"
    return joined(found, ok(text, database=size))


def look_at(what: str, place: Path, size: int, told: dict[int, str]) -> list[Outcome]:
    """Return what is wrong with a directory; `told` gets the room on its disk, once for each disk.

    The agent makes its own directories, so that for one that does not exist the nearest above it is looked at.
    """
    there = next(path for path in (place, *place.parents) if path.exists())
    try:
        space, device = os.statvfs(there), there.stat().st_dev
        free = space.f_bavail * space.f_frsize
        first = device not in told
        told.setdefault(device, f"{megabytes(free)} on the disk of {place}")
        if first and free < size + MARGIN:
            text = f"the disk of {what} ({place}) has {megabytes(free)} free, and {megabytes(size + MARGIN)} are needed"
            return [critical(text, "free some there; an active ovsdb-server refuses every write on a full disk")]
        with tempfile.NamedTemporaryFile(dir=there, prefix=".ovsha-check-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return [critical(f"{what} ({place}) cannot be written to: {error.strerror}", _remedy(error))]
    if first and free < _COPIES * size + MARGIN:
        wanted = megabytes(_COPIES * size + MARGIN)
        text = f"the disk of {what} ({place}) has {megabytes(free)} free; a full copy and a snapshot want {wanted}"
        return [warning(text, "free some there, or lower snapshots.keep")]
    if first and space.f_files and space.f_favail < 100:
        return [warning(f"the disk of {what} ({place}) has {space.f_favail} inodes left", "remove files there")]
    return []


def megabytes(size: int) -> str:
    """Return a size the way df -h does."""
    return f"{size / _MEGABYTE / 1024:.1f} GB" if size >= 1024 * _MEGABYTE else f"{size / _MEGABYTE:.0f} MB"


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run this as root; as root it may be a read-only mount"
    return "see dmesg, and mount it writable: a disk with errors becomes read-only"
