"""Watch the local ovsdb-server as a process: found by its pidfile, watched by a pidfd.

The pidfile is the only safe way to it (`pidof` prints two with --monitor).  See
pidfd_open(2) and proc(5).
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from ovs.poller import POLLIN, Poller

_STAT_STATE, _STAT_UTIME, _STAT_STIME = 0, 11, 12
_LOOK_EVERY = 0.1


class Process:
    """The process that `pidfile` names; `pid` is None while there is none."""

    def __init__(self, pidfile: Path, name: str = "ovsdb-server") -> None:
        self._pidfile = pidfile
        self._name = name
        self._fd: int | None = None
        self._next_look = 0.0
        self.pid: int | None = None

    def run(self, now: float) -> None:
        """Notice that the process ended, or look for a new one."""
        if self._fd is not None and _readable(self._fd):
            self.close()
            self._next_look = now
        if self._fd is None and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            self._open()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the process ends, or when it is time to look for one."""
        if self._fd is not None:
            poller.fd_wait(self._fd, POLLIN)
        else:
            poller.timer_wait(max(0, int((self._next_look - now) * 1000) + 1))

    def stopped(self) -> bool:
        """Tell whether a signal has stopped the process, or it waits for a tracer."""
        fields = self._stat()
        return bool(fields) and fields[_STAT_STATE] in ("T", "t")

    def cpu_ticks(self) -> int | None:
        """Return the processor time it has used, in clock ticks; None when it is gone."""
        fields = self._stat()
        return int(fields[_STAT_UTIME]) + int(fields[_STAT_STIME]) if fields else None

    def close(self) -> None:
        """Stop watching."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self.pid = None

    def _open(self) -> None:
        try:
            pid = int(self._pidfile.read_text())
            fd = os.pidfd_open(pid)
        except (OSError, ValueError, OverflowError):
            return
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            name = ""
        if name != self._name[:15] or _readable(fd):
            os.close(fd)
            return
        self._fd, self.pid = fd, pid

    def _stat(self) -> list[str]:
        """Return the fields of /proc/PID/stat that follow the name."""
        if self.pid is None:
            return []
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
