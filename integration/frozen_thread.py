"""Stop one thread of a process and let the others run, by ptrace(2).

A process's main thread has the process's number.  A thread that holds Python's lock when it
is stopped would stop the others too; so it is stopped where it begins to wait for events, or
does so already, where it does not.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DETACH, _SYSCALL, _SEIZE, _INTERRUPT = 17, 24, 0x4206, 0x4207
_WALL = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

_WAITS = {
    "x86_64": {7, 23, 232, 270, 271, 281},
    "aarch64": {22, 72, 73},
}
"""The numbers of poll(2), select(2), epoll_wait(2) and their like, by the machine."""


@contextmanager
def frozen(thread: int) -> Iterator[None]:
    """Stop the thread while the block lasts; it must be of the kind that waits for events again and again.

    Raises OSError when the thread cannot be traced.
    """
    _ptrace(_SEIZE, thread)
    _ptrace(_INTERRUPT, thread)
    passed_on = _stopped(thread)
    try:
        while not _waits(thread):
            # On to where it next enters or leaves the kernel, wherever and however fast that is.
            _ptrace(_SYSCALL, thread, passed_on)
            passed_on = _stopped(thread)
        yield
    finally:
        _ptrace(_DETACH, thread, passed_on)


def _stopped(thread: int) -> int:
    """Wait until the thread is stopped; return the signal that it is to get when it goes on, 0 for none."""
    _, status = os.waitpid(thread, _WALL)
    if not os.WIFSTOPPED(status):
        raise OSError(f"thread {thread} has ended")
    number, event = os.WSTOPSIG(status), status >> 16
    return 0 if event or number == signal.SIGTRAP else number


def _waits(thread: int) -> bool:
    call = (Path("/proc") / str(thread) / "syscall").read_text().split()[0]
    return call.isdecimal() and int(call) in _WAITS[os.uname().machine]


def _ptrace(request: int, thread: int, data: int = 0) -> None:
    arguments = (ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(), ctypes.c_void_p(data))
    if _LIBC.ptrace(*arguments) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x}) of thread {thread}")
