"""Run a program of the system and wait for it, for commands and threads: never longer than is said.

Neither a program that hangs nor what one leaves running, which may hold its output open for ever, holds us up; and no
more of the output is taken than is wanted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO

from ovsha.errors import DriverError

MOST = 1 << 20
"""Bytes of output that are enough of any program, unless more are asked for."""


def run(command: Sequence[str], limit: float, most: int = MOST) -> tuple[bytes, int, str]:
    """Return the first `most` bytes that a program prints, its exit status and the last line of its complaints.

    It and all that it started is ended after `limit` seconds.  Raises DriverError in one line when it cannot be
    started or is not over in time.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        status = _ended(command, limit, output, complaints)
        output.seek(0)
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - 4096))
        said = complaints.read().decode(errors="replace").strip().splitlines()
        return output.read(most), status, said[-1] if said else ""


def read(command: Sequence[str], limit: float) -> tuple[int, str]:
    """Return the exit status and what the program printed, complaints among it, in the C locale: to be parsed.

    It is run in /, and ended like one that is `run`.  Raises DriverError likewise.
    """
    with tempfile.TemporaryFile() as output:
        status = _ended(command, limit, output, subprocess.STDOUT, cwd="/", env={**os.environ, "LC_ALL": "C"})
        output.seek(0)
        return status, output.read(MOST).decode(errors="replace")


def _ended(
    command: Sequence[str],
    limit: float,
    output: IO[bytes],
    complaints: IO[bytes] | int,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Return the exit status of a program that writes to files: to the end of a pipe it could be waited for ever."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        raise DriverError(f"{command[0]} has not ended within {limit:g} s") from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
