"""Read what a stand-in records while it is still recording: each line once, however often one looks."""

from __future__ import annotations

from pathlib import Path

import history
from history import Ack, Event


class Growing:
    """The events of a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._events: list[Event] = []
        self._acks: list[Ack] = []

    def events(self) -> list[Event]:
        """Return all events so far; the list grows with later looks."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._position)
                complete, end, _ = file.read().rpartition(b"\n")
            self._position += len(complete) + len(end)
            new = history.parse((complete + end).decode().splitlines(keepends=True))
            self._events += new
            self._acks += history.acks(new)
        return self._events

    def acks(self) -> list[Ack]:
        """Return every acknowledgement so far; the list grows with later looks."""
        self.events()
        return self._acks
