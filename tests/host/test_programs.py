"""A program of the system is waited for no longer than is said, whatever it has started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ovsha.errors import DriverError
from ovsha.host import child

LIMIT = 60.0
LEAVES = "sleep 1000 & echo $!"
"""A program that ends at once, and leaves one running that holds its standard output and its complaints open."""

WAYS = [
    lambda command, limit: child.run(command, limit)[0].decode(),
    lambda command, limit: child.read_output(command, limit)[1],
]
either = pytest.mark.parametrize("output_of", WAYS, ids=["run", "read"])
Way = Callable[[list[str], float], str]


@pytest.fixture
def left() -> Iterator[list[int]]:
    """Give a list for the processes that a test leaves, and end them."""
    found: list[int] = []
    yield found
    for pid in found:
        os.kill(pid, 9)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@either
def test_what_a_program_leaves_running_with_its_output_open_is_not_waited_for(output_of: Way, left: list[int]) -> None:
    began = time.monotonic()
    left.append(int(output_of(["sh", "-c", LEAVES], LIMIT)))
    assert not gone(left[0])
    assert time.monotonic() - began < LIMIT / 2, "it was waited for"


@either
def test_a_program_that_hangs_is_ended_with_what_it_started(output_of: Way, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(DriverError, match=r"^sh has not ended within 0\.5 s$"):
        output_of(["sh", "-c", f"sleep 1000 & echo $! >{note}; wait"], 0.5)
    end = time.monotonic() + LIMIT
    while not gone(int(note.read_text())):
        assert time.monotonic() < end
        time.sleep(0.01)


@either
def test_a_program_that_is_not_there_is_named(output_of: Way) -> None:
    with pytest.raises(DriverError, match=r"^/no/such cannot be run: No such file or directory$"):
        output_of(["/no/such"], LIMIT)


def test_what_is_to_be_kept_and_what_it_complained_of_are_apart_and_no_more_is_read_than_is_wanted() -> None:
    command = ["sh", "-c", "echo 12345; echo first >&2; echo last >&2; exit 3"]
    assert child.run(command, LIMIT, most=3) == (b"123", 3, "last")


def test_what_is_to_be_parsed_is_all_in_one_in_the_c_locale_and_from_the_root() -> None:
    assert child.read_output(["sh", "-c", "echo $LC_ALL; echo bad >&2; pwd; exit 3"], LIMIT) == (3, "C\nbad\n/\n")
