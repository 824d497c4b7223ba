"""Do for the peer, by a child, what takes longer than an answer of the exchange may: a backup, an archive.

The peer starts a task, asks now and then whether it is over, and fetches the file that came of it.  One runs at a time;
it ends itself at its time limit, should nobody ask any more.  The methods are called by the thread of the exchange.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host.systemd import TAIL
from ovsha.peer.rpc_server import COLLECTED, text

COMMAND = (sys.executable, "-m", "ovsha.agent.task_job")
_MOST_LOG = 120_000


class Tasks:
    """The task that is under way, or the last one."""

    def __init__(self, config: Config, command: tuple[str, ...] = COMMAND) -> None:
        self._config, self._command = config, command
        self._child: subprocess.Popen[bytes] | None = None
        self._ident = ""
        self._over: dict[str, Any] = {}
        self.methods: Mapping[str, Callable[[Any], Any]] = {
            "task-start": self.start, "task-look": self.look, "task-end": self.end, "log": _log,
        }  # fmt: skip

    def start(self, params: Any) -> dict[str, str]:
        """Begin the task `what` and return the `id` to ask for.  Raises DriverError when it cannot be begun now."""
        what = text(params, "what")
        if self._child is not None and self._child.poll() is None:
            raise DriverError("another task is under way on this side; try again in a moment")
        if self._config.file is None:
            raise DriverError("this agent was not started from a configuration file")
        task = {"what": what, "file": str(self._config.file), "database": bool(params.get("database"))}
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            assert self._child.stdin is not None
            with self._child.stdin as pipe:
                pipe.write(json.dumps(task).encode())
            self._child.stdin = None  # or else communicate() would flush what is closed
        except OSError as error:
            raise DriverError(f"a task cannot be begun: {error.strerror}") from None
        self._ident, self._over = secrets.token_hex(8), {}
        return {"id": self._ident}

    def look(self, params: Any) -> dict[str, Any]:
        """Return whether the task `id` is `done`, and then its `result`.  Raises DriverError when it failed."""
        if text(params, "id") != self._ident or self._child is None:
            raise DriverError("that task is not known any more: the agent was restarted, or has begun another")
        if self._child.poll() is None:
            return {"done": False}
        if not self._over:
            output, complaints = self._child.communicate()
            try:
                self._over = {"result": json.loads(output)} if self._child.returncode == 0 else {}
            except ValueError:
                self._over = {}
            if not self._over:
                said = complaints.decode(errors="replace").strip().splitlines()
                self._over = {"failed": said[-1] if said else "it was ended"}
        if "failed" in self._over:
            raise DriverError(str(self._over["failed"]))
        return {"done": True, **self._over}

    def end(self, params: Any) -> dict[str, str]:
        """Remove the archives that the peer has fetched."""
        directory = self._config.state_directory / COLLECTED
        with suppress(OSError):
            for name in os.listdir(directory):
                (directory / name).unlink()
        return {}


def _log(params: Any) -> list[str]:
    """Return the last lines of the agent's log, as many as fit an answer."""
    lines: list[str] = []
    left = _MOST_LOG
    for line in reversed(TAIL.lines()):
        left -= 2 * len(line)
        if left < 0:
            break
        lines.append(line)
    return lines[::-1]
