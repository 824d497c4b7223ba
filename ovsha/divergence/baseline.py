"""What a side held when it promoted itself, and what a returning side is compared with.

For each term that a node opened there is a small file `termN.json` that says which lineage
it went on from, and beside it `termN.db` with the data of that moment, unless the service
was handed over by plan or the moment was lost.

The agent runs it as a child, after the service is whole.  FILE is the server's own, which
is only read.  With "planned" and the lineage it went on from (its term and node) added, it
only notes that nothing was missing.  Exit status 0: the base, or why there is none, is on disk; else one line
on the standard error says what failed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ovsha import atomic_file, codec
from ovsha.core import stamps
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.ovsdb import contents, log_file

log = logging.getLogger("ovsha")

KEEP = 3
"""How many bases with data are kept; of the small files ten times as many."""


Lineage = tuple[int, str]
"""A term and the node that opened it."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """How `node` came to open `term`.

    `origin`: the lineage of the data it went on with, None when that was unknown, and
    `token` the last token in it.  `planned`: the other side had handed over, so nothing is
    missing.  `file`: the data's file in the same directory, None when there is none, and
    `why` then says why.
    """

    term: int
    node: str
    origin: Lineage | None
    token: tuple[int, int] | None = None
    planned: bool = False
    file: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to compare with: `base`, of the peer's or our own; None with `planned` (no need to) or `why` not."""

    base: Baseline | None = None
    of_peer: bool = False
    planned: bool = False
    why: str = ""


def choose(lost: Lineage, survivor: Lineage, own: Iterable[Baseline], peers: Iterable[Baseline]) -> Choice | None:
    """Return what the data of lineage `lost`, of our own, is compared with; None while the peer does not say yet.

    Both lineages are followed back to the last one that they share.  Who opened that had
    every write of it first; so what both sides shared of it is what the other one held when
    it went on by itself.
    """
    ours, theirs = {_key(base): base for base in own}, {_key(base): base for base in peers}
    if survivor not in theirs:
        return None
    known = {**ours, **theirs}
    lost_line, other_line = _back(lost, known), _back(survivor, known)
    shared = next((each for each in other_line if each in lost_line), None)
    if shared is None:
        way = f"from term {survivor[0]} of {survivor[1]} back to term {lost[0]} of {lost[1]}"
        return Choice(why=f"no record leads {way}")
    theirs_next = known[other_line[other_line.index(shared) - 1]]
    if shared == lost and theirs_next.planned:
        return Choice(planned=True)
    if shared[1] == lost[1]:
        return _with(theirs_next, of_peer=True)
    ours_next = known[lost_line[lost_line.index(shared) - 1]]
    if ours_next.token and theirs_next.token and theirs_next.token < ours_next.token:
        return Choice(why=f"{survivor[1]} went on with older data than it had had before")
    return _with(ours_next, of_peer=False)


def _key(base: Baseline) -> Lineage:
    return base.term, base.node


def _back(lineage: Lineage, known: Mapping[Lineage, Baseline]) -> list[Lineage]:
    """Return the lineage and those that it came from, the newest first, as far as it is known."""
    line = [lineage]
    while (base := known.get(line[-1])) is not None and base.origin is not None and base.origin[0] < line[-1][0]:
        line.append(base.origin)
    return line


def _with(base: Baseline, *, of_peer: bool) -> Choice:
    if base.file is None:
        why = base.why or "the service was handed over then"
        return Choice(why=f"what {base.node} held when it opened term {base.term} was not kept: {why}")
    return Choice(base, of_peer)


def name(term: int) -> str:
    """Return the name of the small file for a term."""
    return f"term{term}.json"


def save(directory: Path, base: Baseline) -> None:
    """Write the small file, and remove what is too old.  Raises OSError."""
    atomic_file.write(directory / name(base.term), f"{json.dumps(asdict(base))}\n")
    prune(directory)


def parse(text: str) -> Baseline:
    """Return what a small file says.  Raises ValueError."""
    data: Any = codec.parse(text)
    if not isinstance(data, dict):
        raise ValueError("no mapping")
    origin, token = data.pop("origin", None), data.pop("token", None)
    try:
        base = Baseline(
            **data,
            origin=(stamps.whole(origin[0]), stamps.name(origin[1])) if origin else None,
            token=stamps.pair(token) if token else None,
        )
    except (TypeError, IndexError, KeyError) as error:
        raise ValueError(str(error)) from None
    stamps.whole(base.term)
    stamps.name(base.node)
    if base.file is not None and base.file != f"term{base.term}.db":
        raise ValueError(f"file: {base.file!r}")
    return base


def load(directory: Path) -> list[Baseline]:
    """Return what is kept, the oldest term first; files that cannot be read are passed over."""
    found = []
    for path in directory.glob("term*.json"):
        try:
            found.append(parse(atomic_file.read(path)))
        except (OSError, ValueError) as error:
            log.warning("%s: cannot be used (%.100s), and is passed over", path, error)
    return sorted(found, key=lambda base: base.term)


def prune(directory: Path) -> None:
    """Remove the data of all but the last promotions, and the small files of those long ago."""
    kept = load(directory)
    for base in [base for base in kept if base.file][:-KEEP]:
        (directory / str(base.file)).unlink(missing_ok=True)
        text = json.dumps({**asdict(base), "file": None, "why": "it was removed for newer ones"})
        atomic_file.write(directory / name(base.term), f"{text}\n")
    for base in kept[: -10 * KEEP]:
        (directory / name(base.term)).unlink(missing_ok=True)


def need(directory: Path) -> None:
    """Make the directory.  Raises DriverError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{directory}: cannot be made: {error.strerror}") from None


LIMIT = 300.0
"""Seconds for each ovsdb-tool; 100,000 rows take two."""


def main(argv: Sequence[str]) -> int:
    """Take the base; return the exit status."""
    source, directory, term, node = Path(argv[0]), Path(argv[1]), int(argv[2]), argv[3]
    try:
        need(directory)
        if argv[4:5] == ["planned"]:
            origin = (int(argv[5]), argv[6]) if argv[5:] else None
            save(directory, Baseline(term, node, origin, planned=True))
        else:
            save(directory, take_baseline(source, directory, term, node))
    except DriverError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or directory}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def take_baseline(source: Path, directory: Path, term: int, node: str) -> Baseline:
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
            log_file.cut(source, part, term, node)
        except log_file.Compacted as error:
            return Baseline(term, node, None, why=str(error))
        contents.tool(LIMIT, "compact", str(part))
        origin, token = contents.lineage_of_file(part, str(log_file.schema(part)["name"]), LIMIT)
        if max(origin[0] if origin else 0, token[0] if token else 0) >= term:
            # Written over by a client and stamped once more, after a compaction that took the true beginning.
            return Baseline(term, node, None, why=f"{source}: has no beginning of term {term} any more")
        name = f"term{term}.db"
        atomic_file.move(part, directory / name)
    return Baseline(term, node, origin, token, file=name)


if __name__ == "__main__":
    os.nice(10)
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
