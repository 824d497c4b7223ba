"""Run one program of the lab in one network namespace, and do to it what a test wants done.

Every operation goes by the pid of the program itself, and may be repeated: to stop what is stopped is nothing.  A
program dies with the thread that started it (prctl(2), PR_SET_PDEATHSIG), so a killed lab leaves none behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Service:
    """A program that can be started, stopped, killed, frozen and thawed, any number of times.

    `command` is asked for the whole command line at each start.  `ready` says whether the program does its work yet;
    it may raise OSError for "not yet".  Output goes to the end of `log`.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        log: Path,
        environment: Mapping[str, str],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the program, or None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self.pid is not None

    @property
    def exit_status(self) -> int | None:
        """The exit status of the last run (negative: the signal), or None while it runs or before the first."""
        return None if self._process is None else self._process.poll()

    def start(self, wait: bool = True, limit: float = 60.0) -> None:
        """Start the program, and with `wait` return only when it is ready, after at most `limit` seconds.

        Raises AssertionError when it ends or is not ready in time; the end of its log is in the message.
        """
        if not self.running:
            parent = os.getpid()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                    preexec_fn=lambda: die_with_parent(parent),
                )
        if wait:
            self._await(limit)

    def stop(self, limit: float = 10.0) -> None:
        """End the program as systemd does: SIGTERM, and SIGKILL after `limit` seconds."""
        if self.running:
            self._signal(signal.SIGTERM)
            self.thaw()
            if not self._ended(limit):
                self.kill()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the signal; after SIGKILL the process is gone when this returns."""
        self._signal(number)
        if number == signal.SIGKILL and self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """Stop the program without ending it: its sockets stay and the kernel answers for it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen program go on."""
        self._signal(signal.SIGCONT)

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _await(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        while not self._is_ready():
            if not self.running:
                raise AssertionError(f"{self.name} ended with status {self.exit_status}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} is not ready after {limit} s:\n{self.tail()}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            return self._ready()
        except OSError:
            return False

    def _ended(self, limit: float) -> bool:
        assert self._process is not None, "there was one to stop"
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def die_with_parent(parent: int) -> None:
    """Between fork and exec: have the kernel kill this process when its parent `parent` is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked
        os._exit(1)
