"""Stop one thread of a process and let the others run, by ptrace(2).

A process's main thread has the process's number.  A thread that holds Python's lock when it
is stopped would stop the others too; so it is stopped in its wait for events, where it does
not.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONT, _DETACH, _SEIZE, _INTERRUPT = 7, 17, 0x4206, 0x4207
_WALL = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def frozen(thread: int, limit: float = 10.0) -> Iterator[None]:
    """Stop the thread while the block lasts; it must be of the kind that waits in poll(2).

    Raises OSError when the thread cannot be traced, AssertionError when it does not wait within `limit` seconds.
    """
    _ptrace(_SEIZE, thread)
    try:
        end = time.monotonic() + limit
        while not _stop_in_wait(thread):
            assert time.monotonic() < end, f"thread {thread} does not wait for events"
        yield
    finally:
        _ptrace(_DETACH, thread)


def _stop_in_wait(thread: int) -> bool:
    """Stop the thread if it waits; let it go again when it has just gone on."""
    place = Path("/proc") / str(thread)
    if "poll" not in (place / "wchan").read_text() and "select" not in (place / "wchan").read_text():
        return False
    call = (place / "syscall").read_text().split()[0]
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)
    if (place / "syscall").read_text().split()[0] == call:
        return True
    _ptrace(_CONT, thread)
    return False


def _ptrace(request: int, thread: int) -> None:
    arguments = (ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(), ctypes.c_void_p())
    if _LIBC.ptrace(*arguments) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}) of thread {thread}")
