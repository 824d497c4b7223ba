"""The flight recorder's files stay within their bounds, survive whatever happens to the disk, and hold nobody up."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsha.host.journal import FILES, Journal, files

LIMIT = 20.0
SIZE = 80_000
DAYS = 86400.0 * 30

MakeJournal = Callable[..., Journal]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MakeJournal]:
    """Open the journal in the test's directory; each is closed again."""
    opened: list[Journal] = []

    def start(size: int = SIZE, max_age: float = DAYS) -> Journal:
        opened.append(Journal(tmp_path / "journal", {"events": size}, max_age))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def write(journal: Journal, *numbers: int, weight: int = 0) -> None:
    for number in numbers:
        journal.append("events", lambda number=number: {"number": number, "text": "x" * weight})  # type: ignore[misc]


def lines(directory: Path) -> list[str]:
    return [line for path in files(directory / "journal", "events") for line in path.read_text().splitlines()]


def numbers(directory: Path) -> list[int]:
    return [json.loads(line)["number"] for line in lines(directory)]


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.01)


def test_what_was_appended_is_on_the_disk_in_its_order_when_it_is_closed(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    write(here, *range(100))
    here.close()
    assert numbers(tmp_path) == list(range(100))
    assert (here.trouble, here.dropped) == ("", 0)
    (path,) = files(tmp_path / "journal", "events")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_it_goes_on_where_it_was_left(tmp_path: Path, journal: MakeJournal) -> None:
    for number in range(3):
        here = journal()
        write(here, number)
        here.close()
    assert numbers(tmp_path) == [0, 1, 2]
    assert len(files(tmp_path / "journal", "events")) == 1


def test_it_never_takes_more_than_it_may_and_what_goes_is_the_oldest(tmp_path: Path, journal: MakeJournal) -> None:
    for start in range(0, 1000, 100):
        here = journal()
        write(here, *range(start, start + 100), weight=400)
        here.close()
        assert sum(path.stat().st_size for path in files(tmp_path / "journal", "events")) <= SIZE
    held = numbers(tmp_path)
    assert held == list(range(held[0], 1000))
    assert len(held) * 430 > SIZE * (FILES - 3) // FILES, "and nearly all that it may"


def test_what_is_too_old_goes_but_not_the_file_that_is_written_to(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    write(here, *range(60), weight=400)
    here.close()
    for path in files(tmp_path / "journal", "events"):
        os.utime(path, (0, 0))
    here = journal()
    write(here, 60)
    here.close()
    assert len(files(tmp_path / "journal", "events")) == 1
    assert numbers(tmp_path)[-1] == 60


def test_a_half_written_last_line_is_ended_before_the_next_one(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    write(here, 0)
    here.close()
    (path,) = files(tmp_path / "journal", "events")
    with path.open("a") as file:
        file.write('{"number": 1, "te')
    here = journal()
    write(here, 2)
    here.close()
    assert lines(tmp_path) == ['{"number": 0, "text": ""}', '{"number": 1, "te', '{"number": 2, "text": ""}']


def test_a_disk_that_takes_nothing_is_told_and_what_waits_is_written_later(
    tmp_path: Path, journal: MakeJournal
) -> None:
    (tmp_path / "journal").write_text("a file where the directory should be")
    here = journal()
    write(here, 0, 1)
    until(lambda: here.trouble)
    assert here.trouble == (
        f"{tmp_path / 'journal'}: cannot be written: File exists; free space there or make it writable"
    )
    write(here, 2)
    (tmp_path / "journal").unlink()
    until(lambda: not here.trouble)
    assert numbers(tmp_path) == [0, 1, 2]
    assert here.dropped == 0


def test_a_line_that_did_not_fit_leaves_nothing_of_itself(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    write(here, 0)
    until(lambda: lines(tmp_path))
    (path,) = files(tmp_path / "journal", "events")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        write(here, 1)
        until(lambda: here.trouble)
        assert numbers(tmp_path) == [0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    until(lambda: not here.trouble)
    assert numbers(tmp_path) == [0, 1]


def test_what_waits_for_a_disk_is_bounded_and_what_is_dropped_is_the_oldest(
    tmp_path: Path, journal: MakeJournal
) -> None:
    (tmp_path / "journal").write_text("")
    here = journal()
    write(here, *range(3000))
    until(lambda: here.dropped >= 500)  # those on their way to the disk come back first
    (tmp_path / "journal").unlink()
    here.append("events", lambda: {"number": 3000})
    until(lambda: not here.trouble and not here._waiting)
    here.close()
    held = numbers(tmp_path)
    assert held[-1] == 3000
    assert len(held) + here.dropped == 3001


def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    here.append("events", lambda: time.sleep(LIMIT) or {})
    began = time.monotonic()
    here.close()
    assert time.monotonic() - began < LIMIT / 2


def test_a_directory_that_is_removed_is_made_again(tmp_path: Path, journal: MakeJournal) -> None:
    here = journal()
    write(here, 0)
    until(lambda: lines(tmp_path))
    for path in files(tmp_path / "journal", "events"):
        path.unlink()
    (tmp_path / "journal").rmdir()
    write(here, 1)
    here.close()
    assert numbers(tmp_path) == [1]
