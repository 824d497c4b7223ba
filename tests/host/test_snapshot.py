"""A snapshot is on disk, whole, before anybody is told that it exists, and good ones are not pushed out by bad ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ovsha.host.snapshot import Snapshots, label

DAY = 86400


def take(snapshots: Snapshots, what: str = "term3", writer: int = 1) -> str | None:
    outcome: list[str | None] = []
    snapshots.take(what, outcome.append, writer)
    limit = time.monotonic() + 10
    while not outcome:
        assert time.monotonic() < limit
        snapshots.run()
    return outcome[0]


def labels(directory: Path) -> list[str]:
    """Return what the kept snapshots are called, without their times, and beside them whatever else lies there."""
    return sorted(path.name.partition("Z-")[2] or path.name for path in directory.iterdir())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "conf.db"
    path.write_bytes(b"OVSDB JSON 1 ..." * 1000)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def snapshots(database: Path, kept: Path) -> Snapshots:
    return Snapshots(database, kept, keep=2, max_age=30)


@pytest.fixture
def append(database: Path) -> Callable[[], None]:
    """Write to the database as ovsdb-server does."""

    def write() -> None:
        with database.open("ab") as file:
            file.write(b"OVSDB JSON 2 ...")

    return write


def test_snapshot_is_a_private_copy_of_the_file(snapshots: Snapshots, kept: Path, database: Path) -> None:
    assert take(snapshots) is None
    (copy,) = kept.iterdir()
    assert copy.read_bytes() == database.read_bytes()
    assert copy.stat().st_mode & 0o077 == 0
    assert snapshots.newest() == (str(copy),)


def test_only_the_newest_snapshots_are_kept(snapshots: Snapshots, kept: Path, append: Callable[[], None]) -> None:
    for term in (1, 2, 3):
        append()
        assert take(snapshots, f"term{term}") is None
    assert labels(kept) == ["term2.db", "term3.db"]


def test_two_snapshots_in_one_second_are_both_kept(
    snapshots: Snapshots, kept: Path, append: Callable[[], None]
) -> None:
    assert take(snapshots) is None
    append()
    assert take(snapshots) is None
    first, second = sorted(kept.iterdir())
    assert first.stat().st_size < second.stat().st_size, "by their names too the second comes after the first"


def test_file_that_has_not_changed_is_not_copied_again(snapshots: Snapshots, kept: Path) -> None:
    assert take(snapshots) is None
    (first,) = kept.iterdir()
    assert take(snapshots) is None
    assert list(kept.iterdir()) == [first]
    first.unlink()
    assert take(snapshots) is None
    assert len(list(kept.iterdir())) == 1, "it was not taken for granted that the first one is still there"


def test_blank_databases_and_those_of_unknown_lineage_push_out_no_known_one(
    snapshots: Snapshots, kept: Path, append: Callable[[], None]
) -> None:
    for what in ("term3", "term0", *["blank"] * 4, "term0", "term0"):
        append()
        assert take(snapshots, what) is None
    whats = sorted(name.split(".")[0].split("_")[0] for name in labels(kept))
    assert whats == ["blank", "term0", "term0", "term3"]
    assert [path for path in snapshots.newest() if "Z-blank" in path] == []
    assert len(snapshots.newest()) == 3
    assert len(snapshots.newest(2)) == 2


def test_file_that_is_only_read_as_blank_is_kept_as_one_of_unknown_lineage(
    snapshots: Snapshots, kept: Path, append: Callable[[], None]
) -> None:
    assert take(snapshots, "blank", writer=1) is None
    append()
    assert take(snapshots, "blank", writer=1) is None, "what the same server added to what is kept already"
    append()
    assert take(snapshots, "blank", writer=2) is None, "another server may have read a damaged file"
    assert sorted(name.split(".")[0].split("_")[0] for name in labels(kept)) == ["blank", "term0", "term0"]


def test_database_that_was_just_made_is_blank(snapshots: Snapshots, kept: Path, database: Path) -> None:
    schema = b'{"name": "hardware_vtep"}\n'
    database.write_bytes(b"OVSDB JSON %d %040x\n%b" % (len(schema), 0, schema))
    assert take(snapshots, "blank") is None
    assert labels(kept) == ["blank.db"]


def test_label_tells_what_the_database_was() -> None:
    assert (label(0, True), label(0, False), label(4, True), label(4, False)) == ("blank", "term0", "term4", "term4")


def test_old_snapshots_are_removed_but_never_the_newest(
    snapshots: Snapshots, kept: Path, database: Path, append: Callable[[], None]
) -> None:
    for what in ("term1", "term2", "blank"):
        append()
        assert take(snapshots, what) is None
    long_ago = time.time() - 31 * DAY
    for age, path in enumerate(sorted(kept.iterdir(), key=lambda path: path.name.endswith("term2.db"))):
        os.utime(path, (long_ago + age, long_ago + age))
    Snapshots(database, kept, keep=2, max_age=30)
    assert labels(kept) == ["term2.db"]


def test_clock_that_was_set_back_does_not_remove_what_was_just_taken(
    snapshots: Snapshots, kept: Path, append: Callable[[], None]
) -> None:
    for term in (1, 2):
        append()
        assert take(snapshots, f"term{term}") is None
    in_future = time.time() + 400 * DAY
    for path in kept.iterdir():
        os.utime(path, (in_future, in_future))
    append()
    assert take(snapshots, "term3") is None
    assert "term3.db" in labels(kept)


def test_files_of_others_stay(snapshots: Snapshots, kept: Path, append: Callable[[], None]) -> None:
    kept.mkdir()
    for name in ("before-the-upgrade.db", "lost+found", "20200101T000000Z-term1.db.kept"):
        (kept / name).write_text("precious")
        os.utime(kept / name, (0, 0))
    for _ in range(4):
        append()
        assert take(snapshots) is None
    assert {"before-the-upgrade.db", "lost+found", "term1.db.kept"} < set(labels(kept))


def test_missing_file_is_named_and_leaves_nothing_behind(tmp_path: Path, kept: Path) -> None:
    error = take(Snapshots(tmp_path / "gone.db", kept, 5, 30))
    assert error is not None
    assert "gone.db" in error
    assert list(kept.glob("*.db")) == []


def test_place_that_cannot_be_made_is_an_error_that_says_what_it_means(snapshots: Snapshots, kept: Path) -> None:
    kept.write_text("a file where the directory should be")
    error = take(snapshots)
    assert error is not None
    assert str(kept) in error
    assert "nothing is erased without one" in error
    assert "\n" not in error


def test_snapshot_that_fails_half_way_leaves_nothing_behind(snapshots: Snapshots, kept: Path, database: Path) -> None:
    database.unlink()
    database.mkdir()
    assert "conf.db" in (take(snapshots) or "")
    assert list(kept.iterdir()) == []


def test_snapshot_is_refused_without_room_for_it(snapshots: Snapshots, kept: Path, database: Path) -> None:
    disk = os.statvfs(database)
    os.truncate(database, 2 * disk.f_bavail * disk.f_frsize)  # a hole, which takes no room itself
    error = take(snapshots)
    assert error is not None
    assert "MB free" in error
    assert not kept.exists()


def test_copy_that_was_interrupted_is_removed_at_the_next_start(kept: Path, database: Path) -> None:
    part = kept / "old.db.part"
    part.parent.mkdir()
    part.write_text("half")
    Snapshots(database, kept, 5, 30)
    assert not part.exists()


def test_second_snapshot_does_not_disturb_the_first(snapshots: Snapshots) -> None:
    first: list[str | None] = []
    second: list[str | None] = []
    snapshots.take("term1", first.append)
    snapshots.take("term2", second.append)
    assert second == ["another snapshot is still being taken"]
    limit = time.monotonic() + 10
    while not first:
        assert time.monotonic() < limit
        snapshots.run()
    assert first == [None]
