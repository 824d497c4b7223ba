"""Be a child of the agent: it is given its task as JSON on the standard input, and tells a failure in one line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from ovsha.errors import ConfigError, DriverError


def run(limit: int, work: Callable[[dict[str, Any]], object]) -> int:
    """Do the task, out of the way of what serves; return the exit status: 1 when it failed.

    After `limit` seconds the process ends itself, should the agent that watches it be gone.
    """
    os.umask(0o077)
    os.nice(10)
    signal.alarm(limit)
    try:
        work(json.load(sys.stdin))
    except (OSError, DriverError, ConfigError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0
