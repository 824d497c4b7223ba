"""Carry out the steps of a command one after the other, or show what they would do; one command at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ovsha.errors import ConfigError, DriverError


@dataclass(frozen=True)
class Step:
    """One step.

    `name`: what it is, as it is reported.  `would`: what it will do, in the words of --dry-run, or a command line.
    `do` does it and returns its output, "" for none; it raises DriverError or ConfigError.  `remedy`: what an operator
    does when it fails.  `undo` takes it back when a later step fails.  `skipped`: why it is not done here at all, ""
    when it is.
    """

    name: str
    would: str
    do: Callable[[], str]
    remedy: str = ""
    undo: Callable[[], None] | None = None
    skipped: str = ""


Tell = Callable[[Step, str], None]
"""Report a step that was done, with its output, or one that was skipped, with why."""


def run(steps: Sequence[Step], tell: Tell) -> None:
    """Do all of them.

    Raises DriverError, or ConfigError where it was the operator's mistake, in one line with the step that failed, its
    words and the remedy; the steps before it that can be taken back have been, the last one first.
    """
    done: list[Step] = []
    for step in steps:
        if step.skipped:
            tell(step, step.skipped)
            continue
        try:
            output = step.do()
        except (DriverError, ConfigError) as error:
            left = _take_back(done)
            raise type(error)("; ".join(filter(None, (f"{step.name}: {error}", step.remedy, *left)))) from None
        except BaseException:
            _take_back(done)
            raise
        done.append(step)
        tell(step, output)


def plan(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the lines that --dry-run shows."""
    for number, step in enumerate(steps, 1):
        yield f"{number}. {step.name}{f' (skipped: {step.skipped})' if step.skipped else ''}"
        if not step.skipped:
            yield from (f"     {line}" for line in step.would.splitlines())


def _take_back(done: Sequence[Step]) -> list[str]:
    """Undo them, the last one first, and return what could not be undone."""
    left = []
    for step in reversed(done):
        if step.undo is not None:
            try:
                step.undo()
            except DriverError as error:
                left.append(f"and {step.name} could not be taken back: {error}")
    return left


FILE = Path("/run/lock/ovsha-setup")


@contextmanager
def held(file: Path = FILE) -> Iterator[None]:
    """Hold the lock as long as the block lasts; it falls away with the process.  DriverError: it is taken."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise DriverError("another command sets this switch up just now: wait until it has ended") from None
