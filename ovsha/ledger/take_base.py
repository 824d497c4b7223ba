"""Keep what this side held when it opened a term: python3 -m ovsha.ledger.take_base FILE DIRECTORY TERM NODE.

The agent runs it as a child, after the service is whole.  FILE is the server's own, which
is only read.  With "planned" and the lineage it went on from (its term and node) added, it
only notes that nothing was missing.  Exit status 0: the base, or why there is none, is on disk; else one line
on the standard error says what failed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ovsha import durable
from ovsha.drivers import disk
from ovsha.errors import DriverError
from ovsha.ledger import bases, content, records
from ovsha.ledger.bases import Base

LIMIT = 300.0
"""Seconds for each ovsdb-tool; 100,000 rows take two."""


def main(argv: Sequence[str]) -> int:
    """Take the base; return the exit status."""
    source, directory, term, node = Path(argv[0]), Path(argv[1]), int(argv[2]), argv[3]
    try:
        bases.need(directory)
        if argv[4:5] == ["planned"]:
            origin = (int(argv[5]), argv[6]) if argv[5:] else None
            bases.save(directory, Base(term, node, origin, planned=True))
        else:
            bases.save(directory, take(source, directory, term, node))
    except DriverError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or directory}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def take(source: Path, directory: Path, term: int, node: str) -> Base:
    """Put the data into `directory` and return what it is, or why there is none.  Raises DriverError and OSError."""
    for left in directory.glob("new-*"):
        for path in (*left.glob("*"), *left.glob(".*")):
            path.unlink(missing_ok=True)
        left.rmdir()
    # A directory of its own, because ovsdb-tool leaves a lock file beside what it works on.
    disk.require({directory: 2 * source.stat().st_size}, disk.SPARE)
    with tempfile.TemporaryDirectory(prefix="new-", dir=directory) as place:
        part = Path(place) / "base.db"
        try:
            records.cut(source, part, term, node)
        except records.Compacted as error:
            return Base(term, node, None, why=str(error))
        content.tool(LIMIT, "compact", str(part))
        origin, token = content.lineage_of_file(part, str(records.schema(part)["name"]), LIMIT)
        if max(origin[0] if origin else 0, token[0] if token else 0) >= term:
            # Written over by a client and stamped once more, after a compaction that took the true beginning.
            return Base(term, node, None, why=f"{source}: has no beginning of term {term} any more")
        name = f"term{term}.db"
        durable.move(part, directory / name)
    return Base(term, node, origin, token, file=name)


if __name__ == "__main__":
    os.nice(10)
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
