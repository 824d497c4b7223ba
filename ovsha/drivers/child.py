"""Run one program at a time beside the loop: it is started, waited for by a descriptor, and ended at its time.

A program is a session of its own (setsid(2)), so that what it started ends with it.  It
may print no more than fits into a pipe (64 KB, pipe(7)): it is read when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence

from ovs.poller import POLLIN, Poller

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
