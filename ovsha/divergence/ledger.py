"""Keep ledgers on disk, and what became of them.

A ledger ID is two files: `ID.rows`, one line of JSON for each row and never changed, and
`ID.json`, the small head with the counts and what an operator decided.  The head is
written last, so a ledger whose head exists is whole.  `ID.tried` names the rows that a
replay has begun with.  A ledger is open until it was replayed as a whole or dismissed; only
others are ever removed.

Ledgers of an earlier release, which were compared with the survivor's present rows and
list what the survivor had written meanwhile as deleted, are read as the doubts that they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ovsha import atomic_file, codec
from ovsha.core import stamps
from ovsha.divergence.compare import DONE, Entry, Kind, doubts
from ovsha.errors import DriverError

VERSION = 1
KEEP = 20
"""How many ledgers are kept that nobody has to decide on any more."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a ledger without its rows; times are UTC, as YYYY-mm-ddTHH:MM:SSZ.

    `term` of `node` is the lineage that was overwritten, `peer_term` of `peer` the one that
    went on.  `size`: that of the snapshot, in bytes.  `exact` is false where it is not known
    what was done to the rows, and `why` says for what reason: each is then a doubt.  Without
    a `base` they were compared with what the survivor had later.
    `failed`: why there are no rows although the snapshot was never compared, "" when it was.
    `replayed`: `when` that was last, how many `rows` were, and how many are `left`.
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
        return self.dismissed is None and bool(self.failed or self.left)

    @property
    def rows(self) -> int:
        """How many rows it lists."""
        return sum(self.counts.values())

    @property
    def left(self) -> int:
        """How many of them nobody has decided on."""
        return self.rows if self.replayed is None else int(self.replayed.get("left", 0))


def add(directory: Path, head: Head, entries: Iterable[Entry]) -> Head:
    """Put a ledger on the shelf and return its head with the counts; one without an entry is not kept.

    Raises OSError when the disk does not take it.
    """
    counts: Counter[str] = Counter()

    rows = _rows(directory, head.id)
    with atomic_file.whole(rows) as file:
        for entry in entries:
            counts[entry.kind.value] += 1
            file.write(f"{json.dumps({**asdict(entry), 'kind': entry.kind.value})}\n".encode())
    kinds = DONE if head.exact else (*DONE, Kind.DOUBT)
    head = replace(head, counts={kind.value: counts[kind.value] for kind in kinds})
    if head.rows or head.failed:
        update(directory, head)
    else:
        rows.unlink()
    return head


def update(directory: Path, head: Head) -> None:
    """Write what became of a ledger, and remove what is long settled.  Raises OSError."""
    atomic_file.write(directory / f"{head.id}.json", f"{json.dumps(asdict(head))}\n")
    settled = [each for each in heads(directory)[0] if not each.open]
    for each in settled[:-KEEP]:
        (directory / f"{each.id}.json").unlink(missing_ok=True)
        _rows(directory, each.id).unlink(missing_ok=True)
        _tried(directory, each.id).unlink(missing_ok=True)


def heads(directory: Path) -> tuple[list[Head], list[str]]:
    """Return the ledgers, the oldest first, and a line for each file that cannot be read."""
    found, troubles = [], []
    for path in sorted(directory.glob("*.json")):
        try:
            found.append(parse(atomic_file.read(path), path.stem))
        except OSError as error:
            troubles.append(f"{path}: cannot be read: {error.strerror}")
        except ValueError as error:
            troubles.append(f"{path}: is damaged: {error}")
    return found, troubles


def parse(text: str, ident: str) -> Head:
    """Return the head of ledger `ident` from its JSON.  Raises ValueError when it is none."""
    data = codec.parse(text)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise ValueError("it is of another release")
    try:
        head = Head(**data)
    except TypeError as error:
        raise ValueError(str(error)) from None
    for number in (head.term, head.peer_term):
        stamps.whole(number)
    if head.id != ident:
        raise ValueError(f"it says that it is {head.id!r:.60}")
    if not isinstance(head.counts, dict) or any(type(count) is not int for count in head.counts.values()):
        raise ValueError(f"counts: {head.counts!r:.60}")
    return _as_is_known(head)


def _as_is_known(head: Head) -> Head:
    """Return a head that calls no row what it is not known to be, whoever wrote it."""
    if head.exact is True and head.base is not None:
        return head
    why = head.why or "it is not known what it was compared with"
    counts = {kind.value: 0 for kind in DONE} if head.counts else {}
    of_ours = (head.counts.get(kind.value, 0) for kind in (Kind.INSERTED, Kind.CHANGED, Kind.DOUBT))
    counts |= {Kind.DOUBT.value: sum(of_ours)} if head.counts else {}
    return replace(head, exact=False, why=why if not head.failed else head.why, counts=counts)


def meant(head: Head, entries: Iterable[Entry]) -> list[Entry]:
    """Return the rows that the file of a ledger lists as what its head, as `parse` returns it, lets them be."""
    return list(entries) if head.exact else list(doubts(entries))


def entry(text: str) -> Entry:
    """Return the row that a line of `ID.rows` lists.  Raises ValueError when it is none."""
    data = codec.parse(text)
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


def tried(directory: Path, ident: str = "*") -> frozenset[str]:
    """Return the uuids of the rows that replays of a ledger, or of any, have begun with.

    Two ledgers may list the same row.  Raises DriverError when that cannot be read.
    """
    found: set[str] = set()
    for path in directory.glob(f"{ident}.tried"):
        try:
            found.update(atomic_file.read(path).split())
        except (OSError, ValueError) as error:
            raise DriverError(f"{path}: cannot be read: {error}") from None
    return frozenset(found)


def note_tried(directory: Path, ident: str, uuids: Iterable[str]) -> None:
    """Keep what `tried` is to return of one ledger from now on.  Raises OSError."""
    atomic_file.write(_tried(directory, ident), "".join(f"{uuid}\n" for uuid in sorted(uuids)))


@contextlib.contextmanager
def held(directory: Path, ident: str) -> Iterator[None]:
    """Keep other replays of a ledger away for the time of the block.  Raises DriverError while one is at it."""
    path = _rows(directory, ident)
    try:
        file = path.open()
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DriverError(f"ledger {ident}: another replay of it is under way ({error.strerror})") from None
        yield


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


def _tried(directory: Path, ident: str) -> Path:
    return directory / f"{ident}.tried"
