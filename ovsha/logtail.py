"""Keep the last lines of the log in memory, for a forensic bundle."""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime

SIZE = 400


class LogTail(logging.Handler):
    """The last `size` lines, each with its time in UTC."""

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=size)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self._lines.append((record.created, record.levelname, record.getMessage()))

    def lines(self) -> list[str]:
        """Return the lines, the oldest first."""
        return [
            f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='milliseconds')} {level} {message}"
            for at, level, message in list(self._lines)
        ]


TAIL = LogTail()
"""That of this process; the service attaches it to its log."""
