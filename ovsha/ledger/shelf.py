"""Keep ledgers on disk, and what became of them.

A ledger ID is two files: `ID.rows`, one line of JSON for each row and never changed, and
`ID.json`, the small head with the counts and what an operator decided.  The head is
written last, so a ledger whose head exists is whole.  A ledger is open until it was
replayed or dismissed; only others are ever removed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ovsha import durable
from ovsha.errors import DriverError
from ovsha.ledger.compare import Entry, Kind

VERSION = 1
KEEP = 20
"""How many ledgers are kept that nobody has to decide on any more."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a ledger without its rows; times are UTC, as YYYY-mm-ddTHH:MM:SSZ.

    `term` of `node` is the lineage that was overwritten, `peer_term` of `peer` the one that
    went on.  `size`: that of the snapshot, in bytes.  `exact` is false where rows may
    be listed that were not there alone, and `why` says for what reason: without a `base`
    they were compared with what the survivor has now.
    `failed`: why there are no rows although the snapshot was never compared, "" when it was.
    """

    id: str
    node: str
    term: int
    peer: str
    peer_term: int
    when: str
    snapshot: str
    size: int
    database: str
    base: str | None = None
    exact: bool = True
    why: str = ""
    failed: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    replayed: Mapping[str, Any] | None = None
    dismissed: Mapping[str, Any] | None = None
    version: int = VERSION

    @property
    def open(self) -> bool:
        """Whether somebody has yet to decide on it."""
        return self.replayed is None and self.dismissed is None

    @property
    def rows(self) -> int:
        """How many rows it lists."""
        return sum(self.counts.values())


def add(directory: Path, head: Head, entries: Iterable[Entry]) -> Head:
    """Put a ledger on the shelf and return its head with the counts; one without an entry is not kept.

    Raises OSError when the disk does not take it.
    """
    counts: Counter[str] = Counter()

    rows = _rows(directory, head.id)
    with durable.whole(rows) as file:
        for entry in entries:
            counts[entry.kind.value] += 1
            file.write(f"{json.dumps({**asdict(entry), 'kind': entry.kind.value})}\n".encode())
    head = replace(head, counts={kind.value: counts[kind.value] for kind in Kind})
    if head.rows or head.failed:
        update(directory, head)
    else:
        rows.unlink()
    return head


def update(directory: Path, head: Head) -> None:
    """Write what became of a ledger, and remove what is long settled.  Raises OSError."""
    durable.write(directory / f"{head.id}.json", f"{json.dumps(asdict(head))}\n")
    settled = [each for each in heads(directory)[0] if not each.open]
    for each in settled[:-KEEP]:
        (directory / f"{each.id}.json").unlink(missing_ok=True)
        _rows(directory, each.id).unlink(missing_ok=True)


def heads(directory: Path) -> tuple[list[Head], list[str]]:
    """Return the ledgers, the oldest first, and a line for each file that cannot be read."""
    found, troubles = [], []
    for path in sorted(directory.glob("*.json")):
        try:
            found.append(parse(path.read_text(), path.stem))
        except OSError as error:
            troubles.append(f"{path}: cannot be read: {error.strerror}")
        except ValueError as error:
            troubles.append(f"{path}: is damaged: {error}")
    return found, troubles


def parse(text: str, ident: str) -> Head:
    """Return the head of ledger `ident` from its JSON.  Raises ValueError when it is none."""
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise ValueError("it is of another release")
    try:
        head = Head(**data)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if head.id != ident:
        raise ValueError(f"it says that it is {head.id!r:.60}")
    return head


def entry(text: str) -> Entry:
    """Return the row that a line of `ID.rows` lists.  Raises ValueError when it is none."""
    data = json.loads(text)
    try:
        return Entry(data["table"], data["uuid"], Kind(data["kind"]), data["row"], data["base"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{error} is missing") from None


def entries(directory: Path, ident: str) -> list[Entry]:
    """Return the rows that a ledger lists.  Raises DriverError when they cannot be read."""
    path = _rows(directory, ident)
    try:
        with path.open() as file:
            return [entry(line) for line in file]
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DriverError(f"{path}: is damaged: {error}") from None


def pick(found: Iterable[Head], ident: str) -> Head:
    """Return the ledger whose id is `ident`, or begins with it where that is only one.  Raises DriverError."""
    fitting = [head for head in found if head.id.startswith(ident)]
    exact = [head for head in fitting if head.id == ident]
    if len(exact or fitting) != 1:
        what = "more than one begins so" if fitting else "there is none of that name"
        raise DriverError(f"ledger {ident}: {what}; see ovsha ledger list")
    return (exact or fitting)[0]


def _rows(directory: Path, ident: str) -> Path:
    return directory / f"{ident}.rows"
