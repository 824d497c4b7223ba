"""Carry out one task of the peer's: the agent starts this as a child and tells it which on the standard input.

What came of it is printed as JSON; what failed is one line on the standard error and exit status 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha import job_main
from ovsha.config import Config
from ovsha.errors import DriverError

LIMIT = 240
"""Seconds after which this ends itself."""


def main() -> int:
    """Do the task; return the exit status."""
    return job_main.run(LIMIT, lambda task: print(json.dumps(_do(configuration.load(Path(task["file"])), task))))


def _do(config: Config, task: dict[str, Any]) -> dict[str, Any]:
    if task["what"] == "backup":
        from ovsha.backups import take

        taken = take.take(config)
        return {
            "name": taken.path.name, "fingerprint": taken.fingerprint, "rows": taken.rows, "unchanged": taken.unchanged,
        }  # fmt: skip
    if task["what"] == "collect":
        from ovsha import collection

        return collection.make_for_peer(config, database=task["database"])
    raise DriverError(f"{task['what']!r:.40} is no task of this release")


if __name__ == "__main__":
    sys.exit(main())
