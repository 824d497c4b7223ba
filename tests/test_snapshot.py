"""A snapshot is on disk, whole, before anybody is told that it exists."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ovsha.drivers.snapshot import Snapshots


def take(snapshots: Snapshots, name: str) -> str | None:
    outcome: list[str | None] = []
    snapshots.take(name, outcome.append)
    limit = time.monotonic() + 10
    while not outcome:
        assert time.monotonic() < limit
        snapshots.run()
    return outcome[0]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "conf.db"
    path.write_bytes(b"OVSDB JSON 1 ..." * 1000)
    return path


def test_snapshot_is_a_private_copy_of_the_file(tmp_path: Path, database: Path) -> None:
    assert take(Snapshots(database, tmp_path / "kept", 5), "one") is None
    copy = tmp_path / "kept" / "one.db"
    assert copy.read_bytes() == database.read_bytes()
    assert copy.stat().st_mode & 0o077 == 0


def test_only_the_newest_snapshots_are_kept(tmp_path: Path, database: Path) -> None:
    snapshots = Snapshots(database, tmp_path / "kept", 2)
    for name in ("a", "b", "c"):
        assert take(snapshots, name) is None
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"b.db", "c.db"}


def test_missing_file_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    error = take(Snapshots(tmp_path / "gone.db", tmp_path / "kept", 5), "one")
    assert error is not None
    assert "gone.db" in error
    assert list((tmp_path / "kept").glob("*.db")) == []


def test_place_that_cannot_be_made_is_an_error(tmp_path: Path, database: Path) -> None:
    (tmp_path / "kept").write_text("a file where the directory should be")
    assert take(Snapshots(database, tmp_path / "kept", 5), "one") is not None


def test_copy_that_was_interrupted_is_removed_at_the_next_start(tmp_path: Path, database: Path) -> None:
    part = tmp_path / "kept" / "old.db.part"
    part.parent.mkdir()
    part.write_text("half")
    Snapshots(database, tmp_path / "kept", 5)
    assert not part.exists()


def test_second_snapshot_does_not_disturb_the_first(tmp_path: Path, database: Path) -> None:
    snapshots = Snapshots(database, tmp_path / "kept", 5)
    first: list[str | None] = []
    second: list[str | None] = []
    snapshots.take("one", first.append)
    snapshots.take("two", second.append)
    assert second == ["another snapshot is still being taken"]
    limit = time.monotonic() + 10
    while not first:
        assert time.monotonic() < limit
        snapshots.run()
    assert first == [None]
