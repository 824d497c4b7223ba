"""Run a program: polled by the loop, waited for by a command, or as a job of our own.

A program is a session of its own (setsid(2)), so that what it started ends with it.  It
may print no more than fits into a pipe (64 KB, pipe(7)): it is read when it has ended.

Neither a program that hangs nor what one leaves running, which may hold its output open for ever, holds us up; and no
more of the output is taken than is wanted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from ovs.poller import POLLIN, Poller

from ovsha.errors import ConfigError, DriverError

Done = Callable[[int, str, str], None]
"""Called once with the exit status (negative: the signal), the standard output and the standard error."""


class Child:
    """A place for one program, which gets `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._exit = -1
        self._deadline = 0.0
        self._done: Done = lambda status, output, error: None

    @property
    def running(self) -> bool:
        """Whether a program runs here."""
        return self._process is not None

    def start(self, command: Sequence[str], now: float, done: Done) -> None:
        """Start a program; `done` is called from a later `run`, or now, with status 127, when it cannot be started."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            done(127, "", f"{command[0]} cannot be run: {error.strerror}")
            return
        self._process, self._done, self._deadline = process, done, now + self._limit
        self._exit = os.pidfd_open(process.pid)

    def run(self, now: float) -> None:
        """Notice that the program has ended, or end it."""
        process = self._process
        if process is None:
            return
        late = process.poll() is None and now >= self._deadline
        if late:
            self._kill(process)
        elif process.returncode is None:
            return
        output, error = self._take(process)
        done, self._done = self._done, lambda status, output, error: None
        done(process.returncode, output, f"it has not ended within {self._limit:g} s" if late else error)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the program ends or its time is over."""
        if self._process is not None:
            poller.fd_wait(self._exit, POLLIN)
            poller.timer_wait(max(0, int((self._deadline - now) * 1000) + 1))

    def close(self) -> None:
        """End the program, and tell nobody."""
        if self._process is not None:
            self._kill(self._process)
            self._take(self._process)

    def _take(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Return what an ended program said, and forget it; what it left running may hold the pipes open."""
        said = []
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            said.append((pipe.read() or b"").decode(errors="replace").strip())
            pipe.close()
        os.close(self._exit)
        self._process = None
        return said[0], said[1]

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


MOST = 1 << 20
"""Bytes of output that are enough of any program, unless more are asked for."""


def run(command: Sequence[str], limit: float, most: int = MOST) -> tuple[bytes, int, str]:
    """Return the first `most` bytes that a program prints, its exit status and the last line of its complaints.

    It and all that it started is ended after `limit` seconds.  Raises DriverError in one line when it cannot be
    started or is not over in time.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        status = _ended(command, limit, output, complaints)
        output.seek(0)
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - 4096))
        said = complaints.read().decode(errors="replace").strip().splitlines()
        return output.read(most), status, said[-1] if said else ""


def read_output(command: Sequence[str], limit: float) -> tuple[int, str]:
    """Return the exit status and what the program printed, complaints among it, in the C locale: to be parsed.

    It is run in /, and ended like one that is `run`.  Raises DriverError likewise.
    """
    with tempfile.TemporaryFile() as output:
        status = _ended(command, limit, output, subprocess.STDOUT, cwd="/", env={**os.environ, "LC_ALL": "C"})
        output.seek(0)
        return status, output.read(MOST).decode(errors="replace")


def _ended(
    command: Sequence[str],
    limit: float,
    output: IO[bytes],
    complaints: IO[bytes] | int,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Return the exit status of a program that writes to files: to the end of a pipe it could be waited for ever."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        raise DriverError(f"{command[0]} has not ended within {limit:g} s") from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_job(limit: int, work: Callable[[dict[str, Any]], object]) -> int:
    """Do the task, out of the way of what serves; return the exit status: 1 when it failed.

    After `limit` seconds the process ends itself, should the agent that watches it be gone.
    """
    os.umask(0o077)
    os.nice(10)
    signal.alarm(limit)
    try:
        work(json.load(sys.stdin))
    except (OSError, DriverError, ConfigError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0
