"""Watch the local ovsdb-server as a process: found by the lock of its database, watched by a pidfd.

What has the lock is the server of this database, whatever a pidfile says or no longer says.  The pidfile and the
database socket are asked where the lock says nothing: they may name another one.  All of these are names that may be
lost, so the server is dead only when no process at all is found that has the database.  See pidfd_open(2) and proc(5).
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ovs.poller import POLLIN, Poller

from ovsha import durable
from ovsha.drivers import lockfile, search

SERVER = "ovsdb-server"
_TOOL = "ovsdb-tool"
_STAT_STATE, _STAT_UTIME, _STAT_STIME, _STAT_STARTTIME = 0, 11, 12, 19
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOOK_EVERY = 0.1
_SEARCH_EVERY = 1.0
"""Seconds: all processes of a switch are read in some milliseconds."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the server of one database can be found: its file, its pidfile, its database socket."""

    file: Path
    pidfile: Path
    socket: Path


@dataclass(frozen=True, slots=True)
class Sight:
    """What was found: `pid`, None for no process.

    `unsure`: why a server may run all the same, "" when it is dead for sure.  `stranger`: which other server is where
    ours should be, "" for none.
    """

    pid: int | None = None
    unsure: str = ""
    stranger: str = ""


def find(places: Places, name: str = SERVER) -> Sight:
    """Return the process that serves the database, wherever it is; never raises."""
    near = _find_near(places, name)
    return near if near.pid is not None or near.unsure else _find_far(places, name, near)


def _find_far(places: Places, name: str, near: Sight) -> Sight:
    """Search all processes, and add what is found to what lock, pidfile and socket told."""
    pid, unsure = search.server_of(places.file, name)
    return Sight(pid) if pid is not None else replace(near, unsure=unsure)


def _find_near(places: Places, name: str) -> Sight:
    """Return what the lock, the pidfile and the database socket lead to."""
    held, unsure = _by_lock(places, name)
    if held is not None or unsure:
        return Sight(held, unsure)
    stranger = ""
    for where, pid in _elsewhere(places):
        if pid == lockfile.UNSEEN:
            return Sight(unsure=f"a process that cannot be seen from here accepts on {places.socket}")
        if lockfile.name_of(pid) != name[:15]:
            continue
        try:
            if search.serves(pid, places.file):
                return Sight(pid)  # its lock was deleted
            files = [path for path in lockfile.opened(pid) if path.startswith("/") and path.endswith(".db")]
        except FileNotFoundError:
            continue  # it has just ended
        except OSError as error:
            return Sight(unsure=f"{where} is of {name} {pid}, whose files cannot be seen: {error.strerror}")
        others = f" (it has {', '.join(files)})" if files else ""
        stranger = stranger or f"{where} is of {name} {pid}, which does not serve {places.file}{others}"
    return Sight(stranger=stranger)


def _by_lock(places: Places, name: str) -> tuple[int | None, str]:
    """Return the server that holds the lock, or why it cannot be told; ovsdb-tool is no server."""
    try:
        pid = lockfile.holder(places.file)
    except OSError as error:
        named = named_by(places.pidfile)
        if named is not None and lockfile.name_of(named) == name[:15] and _may_serve(named, places.file):
            return named, ""
        return None, f"{lockfile.lock_of(places.file)} cannot be read: {error.strerror}"
    if pid is None:
        return None, ""
    if pid == lockfile.UNSEEN:
        return None, f"a process that cannot be seen from here holds the lock of {places.file}"
    holder = lockfile.name_of(pid)
    return (pid, "") if holder not in ("", _TOOL) else (None, "")


def _may_serve(pid: int, file: Path) -> bool:
    try:
        return search.serves(pid, file)
    except OSError:
        return True


def _elsewhere(places: Places) -> Iterator[tuple[str, int]]:
    """Yield who is named by the pidfile, and who accepts on the socket."""
    named = named_by(places.pidfile)
    if named is not None:
        yield str(places.pidfile), named
    accepts = lockfile.listener(places.socket)
    if accepts is not None and accepts != named:
        yield str(places.socket), accepts


def named_by(pidfile: Path) -> int | None:
    """Return the pid in a pidfile, None where there is none; never raises, nor waits."""
    try:
        pid = int(durable.read(pidfile, 64))
    except (OSError, ValueError):
        return None
    return pid if 0 < pid < 2**31 else None


class Process:
    """The process that serves the database of `places`; `pid` is None while there is none, `sight` what was found."""

    def __init__(self, places: Places, name: str = SERVER) -> None:
        self._places = places
        self._name = name
        self._fd: int | None = None
        self._next_look = self._next_search = 0.0
        self._hidden = ""
        self.pid: int | None = None
        self.sight = Sight()

    def run(self, now: float) -> None:
        """Notice that the process ended, or look for a new one."""
        if self._fd is not None and _readable(self._fd):
            self.close()
            # It was found, and its end was seen: what is known of it needs no search.
            self._next_look, self._next_search, self._hidden = now, now + _SEARCH_EVERY, ""
        if self._fd is None and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            self._open(now)

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

    def ended(self) -> bool:
        """Tell whether the process that was watched no longer has the lock: its end may be seen a moment later."""
        try:
            return lockfile.holder(self._places.file) != self.pid
        except OSError:
            return False

    def other(self, pid: int) -> bool:
        """Tell whether `pid` is a server like ours, but another one."""
        return pid not in (self.pid, lockfile.UNSEEN) and lockfile.name_of(pid) == self._name[:15]

    def _look(self, now: float) -> Sight:
        near = _find_near(self._places, self._name)
        if near.pid is not None or near.unsure:
            return near
        if now < self._next_search:
            return replace(near, unsure=self._hidden)
        self._next_search = now + _SEARCH_EVERY
        far = _find_far(self._places, self._name, near)
        self._hidden = far.unsure
        return far

    def _open(self, now: float) -> None:
        self.sight = self._look(now)
        if self.sight.pid is None:
            return
        try:
            fd = os.pidfd_open(self.sight.pid)
        except ProcessLookupError:
            return
        except OSError as error:
            self.sight = Sight(unsure=f"{self._name} {self.sight.pid} cannot be watched: {error.strerror}")
            return
        if _readable(fd):
            os.close(fd)
            return
        self._fd, self.pid = fd, self.sight.pid

    def _stat(self) -> list[str]:
        return _stat(self.pid) if self.pid is not None else []


def identity(pid: int) -> str:
    """Return what names a process and no other, beyond its pid and this boot; "" when it is gone."""
    fields = _stat(pid)
    try:
        return f"{_BOOT_ID.read_text().strip()}:{pid}:{fields[_STAT_STARTTIME]}"
    except (OSError, IndexError):
        return ""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the name, none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
