"""Have a child put a forensic bundle together, so that neither a disk nor the peer holds up the loop.

The child is `python3 -m ovsha.forensics_job` and gets its task as one JSON object on its
standard input, from a thread.  One that fails or is not over in time is ended with all that
it has started; nothing waits for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ovs.poller import POLLIN, Poller

import ovsha

log = logging.getLogger("ovsha")

LIMIT = 120.0
"""Seconds after which a child is ended; the database may be large and the child is the last in the queue."""

_COMMAND = (sys.executable, "-m", "ovsha.forensics_job")

_LEFT: list[subprocess.Popen[bytes]] = []
"""Children that nobody waits for, not even when the agent is replaced in this process; noticed when they end."""


class Bundler:
    """One child at a time.  `trouble` says why the last bundle could not be made, "" when it could."""

    def __init__(self, command: tuple[str, ...] = _COMMAND, limit: float = LIMIT) -> None:
        self.trouble = ""
        self._command, self._limit = command, limit
        self._child: subprocess.Popen[bytes] | None = None
        self._feeder: threading.Thread | None = None
        self._deadline = 0.0

    @property
    def busy(self) -> bool:
        """A child is at work."""
        return self._child is not None

    def start(self, task: Callable[[], dict[str, Any]], now: float) -> None:
        """Start a child with what `task` returns, which is called by a thread; nothing may change it meanwhile."""
        assert self._child is None
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": ":".join(_places()), "PYTHONSAFEPATH": "1"},
            )
        except OSError as error:
            self._note(f"its child cannot be started: {error.strerror}")
            return
        assert self._child.stdin is not None
        self._deadline = now + self._limit
        self._feeder = threading.Thread(target=_feed, args=(self._child.stdin, task), name="bundler", daemon=True)
        self._feeder.start()

    def run(self, now: float) -> None:
        """Notice that the child is over, or end it when its time is."""
        _LEFT[:] = [each for each in _LEFT if each.poll() is None]
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            if now >= self._deadline:
                self._kill(child)
                self._note(f"it took longer than {self._limit:g} s")
            return
        assert child.stderr is not None
        said = child.stderr.read(4096).decode(errors="replace").strip().rpartition("\n")[2]
        child.stderr.close()
        self._child = None
        if child.returncode:
            self._note(said or f"its child ended with status {child.returncode}")
        else:
            self.trouble = ""

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the child closes its end of the pipe, which it does as it ends, or is due."""
        if self._child is not None and self._child.stderr is not None:
            poller.fd_wait(self._child.stderr.fileno(), POLLIN)
            poller.timer_wait(max(0, int((self._deadline - now) * 1000) + 1))

    def close(self) -> None:
        """Leave a child that has its task to itself, for it ends in time by itself; end one that has not."""
        child, self._child = self._child, None
        if child is None:
            return
        if self._feeder is not None and self._feeder.is_alive():
            self._kill(child)
            return
        _LEFT.append(child)
        if child.stderr is not None:
            child.stderr.close()

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        """End the child; one that waits for a dead disk dies when it can, and is not waited for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        if child.stderr is not None:
            child.stderr.close()
        _LEFT.append(child)
        self._child = None

    def _note(self, why: str) -> None:
        self.trouble = f"a forensic bundle cannot be made: {why}"


def _feed(pipe: IO[bytes], task: Callable[[], dict[str, Any]]) -> None:
    """Write the task; a child that is gone does not want it any more."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(json.dumps(task()).encode())


def _places() -> list[str]:
    """Return where the child looks for modules first: where this very program was found."""
    return [str(Path(ovsha.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
