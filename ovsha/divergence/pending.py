"""Hold what a comparison is about, from the moment before the data is overwritten until it is over.

The file survives the agent and the job: whatever is killed, the next agent finds it and
lets the job run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ovsha import atomic_file, codec
from ovsha.core import stamps
from ovsha.errors import DriverError

BUSY = 75
"""The exit status of a comparison that another one is at (EX_TEMPFAIL of sysexits.h)."""

TRIES = 3
"""How often a comparison is begun before it is given up."""


@dataclass(frozen=True, slots=True)
class Task:
    """Compare `snapshot`, which `node` wrote in `term`, with what `peer` had when it went on in `peer_term`.

    `data`: a file with the snapshot's content, `size` bytes, that nobody prunes.  `address`, `port`: where
    the peer's agent answers, with the key in `key_file`.  `socket`: our own server's.
    """

    id: str
    node: str
    peer: str
    term: int
    peer_term: int
    when: str
    snapshot: str
    data: str
    size: int
    database: str
    address: str
    port: int
    key_file: str
    socket: str
    state_directory: str
    tries: int = 0

    @property
    def lost(self) -> tuple[int, str]:
        """The lineage that is overwritten."""
        return self.term, self.node

    @property
    def survivor(self) -> tuple[int, str]:
        """The lineage that goes on."""
        return self.peer_term, self.peer

    @property
    def bases(self) -> Path:
        """Where our own bases are."""
        return Path(self.state_directory) / "bases"

    @property
    def ledgers(self) -> Path:
        """Where the ledgers are."""
        return Path(self.state_directory) / "ledgers"

    @property
    def path(self) -> Path:
        """The file that holds this."""
        return self.ledgers / f"{self.id}.pending"


def save(errand: Task) -> None:
    """Write the file.  Raises OSError.

    It is not fsynced, since the agent's loop calls this: it has to survive the agent, and a
    switch that loses its power in this very second still has the snapshot.
    """
    part = errand.path.with_suffix(".part")
    part.write_text(json.dumps(asdict(errand)))
    part.replace(errand.path)


def parse(text: str) -> Task:
    """Return what the text of a file says.  Raises ValueError when that is no errand."""
    try:
        errand = Task(**codec.parse(text))
    except TypeError as error:
        raise ValueError(str(error)) from None
    for number in (errand.term, errand.peer_term):
        stamps.whole(number)
    return errand


def load(path: Path) -> Task:
    """Return what a file holds.  Raises DriverError."""
    try:
        return parse(atomic_file.read(path))
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise DriverError(f"{path}: is damaged: {error}; remove it") from None


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Keep others away from an errand for the time of the block; False when somebody else does.  Raises OSError."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def pending(ledgers: Path) -> list[Path]:
    """Return the files of comparisons that are not over, the oldest first."""
    return sorted(ledgers.glob("*.pending"))


def forget(errand: Task) -> None:
    """Remove the file, and the link to the data when it is one of ours.  Raises OSError."""
    errand.path.unlink(missing_ok=True)
    data = Path(errand.data)
    if data.parent == errand.ledgers:
        data.unlink(missing_ok=True)


def tidy(ledgers: Path) -> None:
    """Remove what killed processes left: files half written, and links to data that nobody compares any more."""
    left = [path for path in ledgers.glob("*.db") if not path.with_suffix(".pending").exists()]
    for path in (*ledgers.glob("*.part"), *left):
        with contextlib.suppress(OSError):
            path.unlink()
