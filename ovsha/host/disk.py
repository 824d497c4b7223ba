"""See whether the disks that the agent and ovsdb-server write to take what is written (statvfs(3)).

A full disk does harm: an active ovsdb-server refuses every write until there is room, and a
backup that cannot write what it copies makes itself active.  So the agent warns before, and
begins nothing that would fill the disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ovsha.errors import DriverError

_MEGABYTE = 1 << 20
_LOOK_EVERY = 2.0
MARGIN = 16 * _MEGABYTE
"""Bytes that are to stay free on each disk for everybody else."""

SPARE = 64 * _MEGABYTE
"""The same, where what is to be written is of less use than a disk with room: bases, backups."""


class Disks:
    """The disks that hold `places`; `trouble` is what is wrong with them and what to do, "" when nothing."""

    def __init__(self, places: Sequence[Path]) -> None:
        self.trouble = ""
        self._places = places
        self._look_at = 0.0

    def run(self, now: float) -> None:
        """Look every other second."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            try:
                found = [_wrong(place) for place in _one_a_disk(dict.fromkeys(self._places, 0))]
            except OSError as error:
                found = [f"{error.filename}: cannot be looked at: {error.strerror}"]
            self.trouble = "; ".join(wrong for wrong in found if wrong)


def require(needs: Mapping[Path, int], margin: int = MARGIN) -> None:
    """Raise DriverError unless there is room for so many bytes more at each place, which need not exist yet.

    `margin`: bytes that have to be left on each disk then.  Raises OSError when a disk cannot be looked at.
    """
    for place, size in _one_a_disk(needs).items():
        space = os.statvfs(_existing(place))
        free, needed = space.f_bavail * space.f_frsize, size + margin
        if free < needed:
            raise DriverError(
                f"the disk of {place} has {free // _MEGABYTE} MB free and {needed // _MEGABYTE + 1} MB are needed;"
                " free some there"
            )


def _wrong(place: Path) -> str:
    space = os.statvfs(_existing(place))
    if space.f_flag & os.ST_RDONLY:
        return f"the disk of {place} is read-only; see why, and make it writable"
    if space.f_bavail * space.f_frsize < MARGIN:
        return f"the disk of {place} has less than {MARGIN // _MEGABYTE} MB free; free some there"
    return ""


def _existing(place: Path) -> Path:
    return next(path for path in (place, *place.parents) if path.exists())


def _one_a_disk(needs: Mapping[Path, int]) -> dict[Path, int]:
    """Return one place for each disk, with what all places there need together."""
    disks: dict[int, tuple[Path, int]] = {}
    for place, size in needs.items():
        device = _existing(place).stat().st_dev
        first, sum_of_sizes = disks.get(device, (place, 0))
        disks[device] = (first, sum_of_sizes + size)
    return dict(disks.values())
