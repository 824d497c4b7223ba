"""Room is asked for before it is taken, and a disk that is nearly full is told before it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ovsha.errors import DriverError
from ovsha.host.disk import MARGIN, Disks, require


def free(place: Path) -> int:
    space = os.statvfs(place)
    return space.f_bavail * space.f_frsize


def test_room_is_asked_for_where_nothing_is_yet(tmp_path: Path) -> None:
    require({tmp_path / "not" / "there" / "yet": 0})


def test_what_two_places_on_one_disk_need_is_added(tmp_path: Path) -> None:
    more_than_half = (free(tmp_path) - MARGIN) * 2 // 3
    for place in ("one", "other"):
        require({tmp_path / place: more_than_half})
    with pytest.raises(DriverError, match=r"the disk of .*/one has \d+ MB free and \d+ MB are needed; free some there"):
        require({tmp_path / "one": more_than_half, tmp_path / "other": more_than_half})


def test_what_is_of_less_use_leaves_more_room(tmp_path: Path) -> None:
    nearly_all = free(tmp_path) - 4 * MARGIN
    require({tmp_path: nearly_all})
    with pytest.raises(DriverError, match="free some there"):
        require({tmp_path: nearly_all}, margin=8 * MARGIN)


def test_disk_with_room_is_no_trouble(tmp_path: Path) -> None:
    disks = Disks([tmp_path, tmp_path / "conf.db"])
    disks.run(0.0)
    assert disks.trouble == ""


def test_disk_that_cannot_be_written_to_is_named_once_with_what_to_do() -> None:
    disks = Disks([Path("/proc/self"), Path("/proc/self/fd")])  # no disk at all, and so without room
    disks.run(0.0)
    assert disks.trouble == "the disk of /proc/self has less than 16 MB free; free some there"
