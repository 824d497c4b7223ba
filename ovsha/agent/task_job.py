"""Carry out one task of the peer's: the agent starts this as a child and tells it which on the standard input.

What came of it is printed as JSON; what failed is one line on the standard error and exit status 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import child

LIMIT = 240
"""Seconds after which this ends itself."""


def main() -> int:
    """Do the task; return the exit status."""
    return child.run_job(LIMIT, lambda task: print(json.dumps(_do(configuration.load(Path(task["file"])), task))))


def _do(config: Config, task: dict[str, Any]) -> dict[str, Any]:
    if task["what"] == "backup":
        from ovsha.backup import store

        taken = store.take(config)
        return {
            "name": taken.path.name, "fingerprint": taken.fingerprint, "rows": taken.rows, "unchanged": taken.unchanged,
        }  # fmt: skip
    if task["what"] == "collect":
        from ovsha.forensics import collect

        return collect.make_for_peer(config, database=task["database"])
    raise DriverError(f"{task['what']!r:.40} is no task of this release")


if __name__ == "__main__":
    sys.exit(main())
