"""A file that must survive is on disk whole or as it was before, and nothing is left of what went wrong."""

from __future__ import annotations

import contextlib
import errno
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsha import atomic_file

SEEN = """
import sys
from pathlib import Path
from ovsha import atomic_file
seen = []
def hook(event, args):
    if event in ("open", "os.rename") and str(args[0]).startswith(sys.argv[1]):
        seen.append((event, str(args[0]).removeprefix(sys.argv[1]).rpartition(".")[2]))
sys.addaudithook(hook)
atomic_file.write(Path(sys.argv[1], "file"), "new")
print(*seen)
"""
"""Tells what a write opens and renames.  A directory is opened for one thing only: to bring its names to the disk."""


@pytest.fixture
def small_files() -> Iterator[int]:
    """Let no file grow beyond a few bytes, like a disk that is full (the kernel says EFBIG then)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    yield 8
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_a_file_is_replaced_whole_and_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_text("old and longer")
    atomic_file.write(path, "neü", mode)
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("neü", mode)
    assert names(tmp_path) == ["file"]


def test_the_name_is_brought_to_the_disk_after_the_contents(tmp_path: Path) -> None:
    told = subprocess.check_output([sys.executable, "-c", SEEN, tmp_path], text=True, timeout=60)
    assert told.strip() == "('open', 'part') ('os.rename', 'part') ('open', '')"


def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(tmp_path: Path, small_files: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="too large") as refused:
        atomic_file.write(path, "x" * (small_files + 1))
    assert refused.value.errno == errno.EFBIG
    assert (names(tmp_path), path.read_text()) == (["file"], "old")


def test_whoever_gives_up_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with contextlib.suppress(KeyboardInterrupt), atomic_file.whole(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (names(tmp_path), path.read_text()) == (["file"], "old")


def test_what_a_killed_writer_left_is_removed_and_what_another_one_is_writing_is_not(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    killed, other = tmp_path / f"file.{ended.pid}.part", tmp_path / "file.1.part"
    strange = tmp_path / "file.some.part"
    for path in (killed, other, strange):
        path.write_text("half")
    atomic_file.write(tmp_path / "file", "new")
    assert names(tmp_path) == ["file", "file.1.part", "file.some.part"]


def test_a_directory_is_named_when_what_is_in_it_is_complete(tmp_path: Path) -> None:
    part = tmp_path / "bundle.part"
    part.mkdir()
    (part / "inside").write_text("whole")
    atomic_file.move(part, tmp_path / "bundle")
    assert (names(tmp_path), (tmp_path / "bundle" / "inside").read_text()) == (["bundle"], "whole")
