"""A program beside the loop is heard of exactly once, and nothing of it outlives its time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ovs.poller import Poller

from ovsha.host.child import Child

LIMIT = 20.0
Outcome = tuple[int, str, str]


class Run:
    """A child with the clock that it is given, and what it told."""

    def __init__(self, *command: str, limit: float = LIMIT) -> None:
        self.child = Child(limit)
        self.told: list[Outcome] = []
        self.child.start(command, 0.0, lambda *outcome: self.told.append(outcome))

    def until(self, condition: Callable[[], object], now: float = 0.0) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline
            poller = Poller()
            self.child.wait(poller, now)
            poller.timer_wait(50)
            poller.block()
            self.child.run(now)


def test_what_a_program_says_is_told_with_its_exit_status() -> None:
    run = Run("sh", "-c", "echo out; echo err >&2; exit 3")
    run.until(lambda: run.told)
    assert run.told == [(3, "out", "err")]
    assert not run.child.running


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    run = Run("sh", "-c", f"sleep 1000 & echo $! >{pid}.part; mv {pid}.part {pid}; wait", limit=1.0)
    run.until(pid.exists)
    run.until(lambda: run.told, now=1.0)
    ((status, _, said),) = run.told
    assert status < 0
    assert "has not ended within 1 s" in said
    assert gone(int(pid.read_text()))


def test_what_a_program_leaves_running_is_not_waited_for() -> None:
    run = Run("sh", "-c", "sleep 1000 & echo $!")
    run.until(lambda: run.told)
    os.kill(int(run.told[0][1]), 9)


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    run = Run("/no/such/program")
    assert run.told == [(127, "", "/no/such/program cannot be run: No such file or directory")]
    assert not run.child.running


def test_closing_ends_the_program_and_tells_nobody(tmp_path: Path) -> None:
    run = Run("sleep", "1000")
    run.child.close()
    assert not run.child.running
    run.child.run(2 * LIMIT)
    assert run.told == []


def gone(pid: int) -> bool:
    """Wait until a process has ended; a new parent may have yet to take its exit status."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
    pytest.fail(f"process {pid} goes on")
