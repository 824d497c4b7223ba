"""Run a program of the system for a command: with a time limit, and no more of its output than is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence

from ovsha.errors import DriverError


def run(command: Sequence[str], limit: float, most: int = 1 << 20) -> tuple[bytes, int, str]:
    """Return the first `most` bytes that a program prints, its exit status and the last line of its complaints.

    It and all that it started is ended after `limit` seconds.  Raises DriverError in one line when it cannot be
    started or is not over in time.
    """
    # Files, because what a program leaves running may hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=complaints, start_new_session=True
            )
        except OSError as error:
            raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise DriverError(f"{command[0]} has not ended within {limit:g} s") from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - 4096))
        said = complaints.read().decode(errors="replace").strip().splitlines()
        return output.read(most), status, said[-1] if said else ""
