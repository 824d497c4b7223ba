"""Run a short program and wait for what it prints; for commands and threads, since it blocks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from ovsha.errors import DriverError


def run(command: Sequence[str], limit: float, given: bytes = b"") -> tuple[int, str]:
    """Return the exit status and all that the program printed, in the C locale.

    Raises DriverError when it cannot be started or has not ended within `limit` seconds; then it is killed.
    """
    try:
        done = subprocess.run(
            command,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise DriverError(f"{command[0]} has not ended within {limit:g} s") from None
    except OSError as error:
        raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
    return done.returncode, done.stdout.decode(errors="replace")
