"""Say which process holds the lock of a database file: an ovsdb-server holds it for as long as it lives.

The lock is a record lock of fcntl(2) on ``.NAME.~lock~`` beside the file, with symbolic links followed.  The kernel
drops it when the process ends, whatever becomes of pidfiles and sockets.  ovsdb-tool takes it too.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from contextlib import closing, suppress
from pathlib import Path

UNSEEN = 0
"""The pid of a process that cannot be seen from here, as in another container."""

_FLOCK = struct.Struct("hhqqi4x")
_PEER_CREDENTIALS = struct.Struct("3i")


def lock_of(file: Path) -> Path:
    """Return the path of the lock of a database file."""
    real = Path(os.path.realpath(file))
    return real.with_name(f".{real.name}.~lock~")


def holder(file: Path) -> int | None:
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
        if is_open(pid, file) or not (holder(file) == pid or _deleted(file) & set(opened(pid))):
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
