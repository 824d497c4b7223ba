"""Watch the local ovsdb-server as a process: found by the lock of its database, watched by a pidfd.

What has the lock is the server of this database, whatever a pidfile says or no longer says.  The pidfile and the
database socket are asked where the lock says nothing: they may name another one.  All of these are names that may be
lost, so the server is dead only when no process at all is found that has the database.  See pidfd_open(2) and proc(5).

All of these are only names on a file system: they may be deleted, or be replaced by something else, while the server
serves on.  A server is known by the database file that it has open, though that was moved or deleted since, and by its
command line (proc(5)).  A mere path means another file where another switch or container has its own.

The lock is a record lock of fcntl(2) on ``.NAME.~lock~`` beside the file, with symbolic links followed.  The kernel
drops it when the process ends, whatever becomes of pidfiles and sockets.  ovsdb-tool takes it too.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ovs.poller import POLLIN, Poller

from ovsha import atomic_file

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
    pid, unsure = server_of(places.file, name)
    return Sight(pid) if pid is not None else replace(near, unsure=unsure)


def _find_near(places: Places, name: str) -> Sight:
    """Return what the lock, the pidfile and the database socket lead to."""
    held, unsure = _by_lock(places, name)
    if held is not None or unsure:
        return Sight(held, unsure)
    stranger = ""
    for where, pid in _elsewhere(places):
        if pid == UNSEEN:
            return Sight(unsure=f"a process that cannot be seen from here accepts on {places.socket}")
        if name_of(pid) != name[:15]:
            continue
        try:
            if serves(pid, places.file):
                return Sight(pid)  # its lock was deleted
            files = [path for path in opened(pid) if path.startswith("/") and path.endswith(".db")]
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
        pid = lock_holder(places.file)
    except OSError as error:
        named = named_by(places.pidfile)
        if named is not None and name_of(named) == name[:15] and _may_serve(named, places.file):
            return named, ""
        return None, f"{lock_of(places.file)} cannot be read: {error.strerror}"
    if pid is None:
        return None, ""
    if pid == UNSEEN:
        return None, f"a process that cannot be seen from here holds the lock of {places.file}"
    holder = name_of(pid)
    return (pid, "") if holder not in ("", _TOOL) else (None, "")


def _may_serve(pid: int, file: Path) -> bool:
    try:
        return serves(pid, file)
    except OSError:
        return True


def _elsewhere(places: Places) -> Iterator[tuple[str, int]]:
    """Yield who is named by the pidfile, and who accepts on the socket."""
    named = named_by(places.pidfile)
    if named is not None:
        yield str(places.pidfile), named
    accepts = listener(places.socket)
    if accepts is not None and accepts != named:
        yield str(places.socket), accepts


def named_by(pidfile: Path) -> int | None:
    """Return the pid in a pidfile, None where there is none; never raises, nor waits."""
    try:
        pid = int(atomic_file.read(pidfile, 64))
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
            return lock_holder(self._places.file) != self.pid
        except OSError:
            return False

    def other(self, pid: int) -> bool:
        """Tell whether `pid` is a server like ours, but another one."""
        return pid not in (self.pid, UNSEEN) and name_of(pid) == self._name[:15]

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


def server_of(file: Path, name: str) -> tuple[int | None, str]:
    """Return the pid of the `name` that serves a database file, or why one may be there; never raises."""
    unsure = ""
    for pid in _called(name):
        try:
            if serves(pid, file):
                return pid, ""
        except FileNotFoundError:
            continue  # it has just ended
        except OSError as error:
            if not _databases(pid) and not _in_another_namespace(pid):
                unsure = f"{name} {pid} runs, whose files cannot be seen: {error.strerror}"
    return None, unsure


def serves(pid: int, file: Path) -> bool:
    """Tell whether a server was started with a database file, or has it open.  Raises OSError when that is hidden."""
    started = {spelling for each in _databases(pid) for spelling in spellings(each)}
    if started & spellings(file) and not _in_another_namespace(pid):
        return True
    return is_open(pid, file) or (was_open(pid, file) and not _in_another_namespace(pid))


def _called(name: str) -> Iterator[int]:
    """Yield the living processes that have this name, or this program."""
    try:
        pids = [int(each) for each in os.listdir("/proc") if each.isdigit()]
    except OSError:
        return
    for pid in pids:
        called = name_of(pid)
        if called == name[:15] or (called and _program(pid) == name):
            yield pid


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def _databases(pid: int) -> list[Path]:
    """Return the databases that a command line names, as far as they have a whole path."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return []
    return [Path(word) for word in words[1:] if word.startswith("/")]


def _in_another_namespace(pid: int) -> bool:
    """Tell whether a process is in another network namespace; one whose namespace is hidden may be in ours."""
    with suppress(OSError):
        return not Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    return False


UNSEEN = 0
"""The pid of a process that cannot be seen from here, as in another container."""

_FLOCK = struct.Struct("hhqqi4x")
_PEER_CREDENTIALS = struct.Struct("3i")


def lock_of(file: Path) -> Path:
    """Return the path of the lock of a database file."""
    real = Path(os.path.realpath(file))
    return real.with_name(f".{real.name}.~lock~")


def lock_holder(file: Path) -> int | None:
    """Return the pid of the process that holds the lock of a database file, UNSEEN, or None when nobody does.

    Raises OSError when that cannot be found out.
    """
    try:
        lock = os.open(lock_of(file), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            return None  # it was put in the place of the lock
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, question))
    finally:
        os.close(lock)
    return None if kind == fcntl.F_UNLCK else max(pid, UNSEEN)


def has_open(pid: int, file: Path) -> bool:
    """Tell whether a process has a database file open, though it may have been moved or deleted since.

    Raises OSError when that cannot be found out.
    """
    return is_open(pid, file) or was_open(pid, file)


def is_open(pid: int, file: Path) -> bool:
    """Tell whether a process has the very file open that is there now.  Raises OSError when that is hidden."""
    try:
        there = file.stat()
    except OSError:
        return False
    return any(_same(each, there) for each in _descriptors(pid))


def was_open(pid: int, file: Path) -> bool:
    """Tell whether a process has a file open that is, or was, at that path.  Raises OSError when that is hidden."""
    return any(each.removesuffix(" (deleted)") in spellings(file) for each in opened(pid))


def astray(pid: int, file: Path) -> str:
    """Say what became of the database file that a server writes to, "" where it is in its place, or that is hidden.

    What the server writes from then on is gone when it ends, though its lock and its sockets are as ever.
    """
    try:
        if is_open(pid, file) or not (lock_holder(file) == pid or _deleted(file) & set(opened(pid))):
            return ""
    except OSError:
        return ""
    return f"{file} was {'replaced by another file' if os.path.lexists(file) else 'moved or deleted'}"


def _deleted(file: Path) -> set[str]:
    return {f"{each} (deleted)" for each in spellings(file)}


def spellings(file: Path) -> set[str]:
    """Return the path of a file as it is written and as it is: a link may have been put in its place later."""
    return {str(file.absolute()), os.path.realpath(file)}


def opened(pid: int) -> list[str]:
    """Return the paths of the files that a process has open.  Raises OSError."""
    paths = []
    for each in _descriptors(pid):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            paths.append(str(each.readlink()))
    return paths


def name_of(pid: int) -> str:
    """Return the name of a process, "" when it is gone or dead and nobody took its status (proc(5), stat)."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
        return "" if rest.split()[0] in ("Z", "X") else head.partition("(")[2].strip()
    except (OSError, IndexError):
        return ""


def listener(path: Path) -> int | None:
    """Return the pid of the process that accepts on a Unix socket, UNSEEN, or None when nobody does."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)) as probe:
        try:
            directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            # A path of any length is short by way of its directory (unix(7) allows 107 bytes).
            probe.connect(f"/proc/self/fd/{directory}/{path.name}")
        except BlockingIOError:
            return UNSEEN  # it listens, and its queue is full
        except OSError:
            return None
        finally:
            os.close(directory)
        return accepted_by(probe)


def accepted_by(connection: socket.socket) -> int:
    """Return the pid of the process at the other end of a connection over a Unix socket, or UNSEEN."""
    try:
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    except OSError:
        return UNSEEN
    return int(_PEER_CREDENTIALS.unpack(told)[0])


def _descriptors(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/fd").iterdir())


def _same(path: Path, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), there)
    except PermissionError:
        raise  # the kernel lists the descriptors to who may not follow them
    except OSError:
        return False
