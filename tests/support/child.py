"""Processes that bear any name wanted, such as a server's, for what is found and watched by pid and name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovsha.ovsdb import process as processes

WORK = "while read line; do i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; done"


@contextmanager
def child(
    directory: Path, name: str = "ovsdb-server", *, says: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an idle process called `name`; each line on its standard input is some tenths of a second of work.

    It has the database file of the directory open, as a server has whose lock was deleted, and its command line `says`
    so or does not.
    """
    shell = shutil.which("sh")
    assert shell is not None
    program = directory / name
    if not program.exists():
        program.symlink_to(shell)  # the kernel calls a process by the name of what was executed (proc(5), comm)
    file = directory / "conf.db"
    file.touch()
    command = ["sh", "-c", f'exec 3<"$FILE"; {WORK}', *([str(file)] if says else [])]
    told = {**os.environ, "FILE": str(file)}
    process = subprocess.Popen(command, executable=program, stdin=subprocess.PIPE, bufsize=0, env=told)
    try:
        # Popen returns when the descriptors are closed, and the new name and the file come a moment later.
        while processes.name_of(process.pid) != name[:15] or not processes.has_open(process.pid, file):
            assert process.poll() is None, "it has ended"
        yield process
    finally:
        process.kill()
        process.communicate()


LOCK = """
import fcntl, sys
held = open(sys.argv[1], "w")
fcntl.lockf(held, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def locking(file: Path, name: str = "ovsdb-server") -> Iterator[subprocess.Popen[bytes]]:
    """Run a process called `name` that holds the lock of a database file."""
    program = Path(tempfile.mkdtemp(dir=file.parent)) / name
    program.symlink_to(sys.executable)
    words = [sys.executable, "-c", LOCK, str(processes.lock_of(file))]
    process = subprocess.Popen(words, executable=program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it as SIGSTOP does, and return when it stands."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and return when it is dead; nobody has taken its status yet."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def work(process: subprocess.Popen[bytes], used: Callable[[], int | None]) -> None:
    """Make it use the processor until `used`, its processor time by the one who watches it, has grown."""
    before = used()
    assert before is not None
    assert process.stdin is not None
    process.stdin.write(b"work\n")
    while (used() or 0) <= before:
        assert process.poll() is None, "it has ended"
