"""Read the last day's events of the flight recorder, again only when it has written."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from ovsha.core import plain
from ovsha.drivers.journal import files
from ovsha.recorder import DIRECTORY, EVENTS

MOST = 256 * 1024
"""Bytes that are read, from the end: some 1,000 events."""

DAY = 86400.0

Event = dict[str, Any]


class Events:
    """The events below `state_directory`; what cannot be read is left out."""

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory / DIRECTORY
        self._lock = threading.Lock()
        self._read: tuple[object, list[Event]] = (None, [])

    def since(self, moment: float) -> list[Event]:
        """Return the events after that moment, in seconds since 1970, the oldest first."""
        with self._lock:
            try:
                known = files(self._directory, EVENTS)[-2:]
                sizes = [(path.name, path.stat().st_size) for path in known]
                if self._read[0] != sizes:
                    self._read = (sizes, [event for path in known for event in _events(path)])
            except OSError:
                pass
            return [event for event in self._read[1] if event["at"] >= moment]


def _events(path: Path) -> list[Event]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - MOST))
        lines = file.read(MOST).split(b"\n")
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    """Return the event of a line; None for one that was cut by a crash or by us."""
    try:
        event = plain.parse(line)
    except ValueError:
        return None
    whole = isinstance(event, dict) and isinstance(event.get("at"), (int, float))
    return event if whole and isinstance(event.get("kind"), str) and isinstance(event.get("text"), str) else None
