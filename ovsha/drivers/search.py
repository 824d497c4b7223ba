"""Search all processes for the ovsdb-server of a database, where neither lock, pidfile nor socket lead to one.

All of these are only names on a file system: they may be deleted, or be replaced by something else, while the server
serves on.  A server is known by the database file that it has open, though that was moved or deleted since, and by its
command line (proc(5)).  A mere path means another file where another switch or container has its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ovsha.drivers import lockfile


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
            if not _databases(pid) and not _elsewhere(pid):
                unsure = f"{name} {pid} runs, whose files cannot be seen: {error.strerror}"
    return None, unsure


def serves(pid: int, file: Path) -> bool:
    """Tell whether a server was started with a database file, or has it open.  Raises OSError when that is hidden."""
    started = {spelling for each in _databases(pid) for spelling in lockfile.spellings(each)}
    if started & lockfile.spellings(file) and not _elsewhere(pid):
        return True
    return lockfile.is_open(pid, file) or (lockfile.was_open(pid, file) and not _elsewhere(pid))


def _called(name: str) -> Iterator[int]:
    """Yield the living processes that have this name, or this program."""
    try:
        pids = [int(each) for each in os.listdir("/proc") if each.isdigit()]
    except OSError:
        return
    for pid in pids:
        called = lockfile.name_of(pid)
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


def _elsewhere(pid: int) -> bool:
    """Tell whether a process is in another network namespace; one whose namespace is hidden may be in ours."""
    with suppress(OSError):
        return not Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    return False
