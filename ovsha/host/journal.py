"""Append lines of JSON to files that stay within a size and an age, from a thread of their own.

A directory holds series of files, `NAME-NUMBER.jsonl`; a series is continued where it was
left, and its oldest file goes when all are larger or older than they may be.  Nothing here
holds the caller up or raises: what the disk does not take waits until it does, and what
waits too long is dropped and counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FILES = 8
"""Into how many files a series is cut, so that at most an eighth of it goes at once."""

_WAITING = 2000
_RETRY = 2.0
_LOOK_EVERY = 3600.0
_CLOSE_LIMIT = 2.0
_SUFFIX = ".jsonl"

Line = Callable[[], Mapping[str, Any]]
"""Gives what a line says; the thread calls it."""


def files(directory: Path, series: str) -> list[Path]:
    """Return the files of a series, the oldest first; none where there is no directory.

    Raises OSError when it cannot be read.
    """
    prefix = f"{series}-"
    try:
        found = [path for path in directory.iterdir() if path.name.startswith(prefix) and path.suffix == _SUFFIX]
    except FileNotFoundError:
        return []
    return sorted(path for path in found if path.stem.removeprefix(prefix).isdecimal())


class Journal:
    """Series of files in `directory`, each with as many bytes as `sizes` says, none older than `max_age` seconds.

    `trouble`: what hinders the writing and what to do, "" when nothing.  `dropped`: lines that found no room.
    """

    def __init__(self, directory: Path, sizes: Mapping[str, int], max_age: float) -> None:
        self.trouble = ""
        self.dropped = 0
        self._series = {name: _Series(directory, name, size, max_age) for name, size in sizes.items()}
        self._directory = directory
        self._waiting: deque[tuple[str, Line]] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def append(self, series: str, line: Line) -> None:
        """Have a line written to a series."""
        with self._change:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((series, line))
            self._change.notify()

    def close(self) -> None:
        """Wait for what is to be written, but not long for a disk that does not take it."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(_CLOSE_LIMIT)

    def _write_all(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing, _LOOK_EVERY)
                batch, closing = list(self._waiting), self._closing
                self._waiting.clear()
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                while batch:
                    series, line = batch[0]
                    self._series[series].write(line)
                    batch.pop(0)
                for each in self._series.values():
                    each.settle()
                self.trouble = ""
            except OSError as error:
                where = error.filename or self._directory
                self.trouble = f"{where}: cannot be written: {error.strerror}; free space there or make it writable"
                self._put_back(batch)
                if closing:
                    return
                with self._change:
                    self._change.wait_for(lambda: self._closing, _RETRY)
                continue
            if closing:
                return

    def _put_back(self, batch: list[tuple[str, Line]]) -> None:
        with self._change:
            room = max(0, _WAITING - len(self._waiting))
            self.dropped += max(0, len(batch) - room)
            self._waiting.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))


class _Series:
    """One series of files; used by the thread only, and every method raises OSError."""

    def __init__(self, directory: Path, name: str, size: int, max_age: float) -> None:
        self._directory, self._name, self._size, self._max_age = directory, name, size, max_age
        self._file = -1
        self._path = directory
        self._length = 0
        self._dirty = False
        self._look_at = 0.0

    def write(self, line: Line) -> None:
        """Append one line, whole or not at all."""
        data = json.dumps(line(), default=str).encode() + b"\n"
        if self._file < 0 or self._length + len(data) > self._size // FILES or not self._path.exists():
            self._open(len(data))
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(28, "No space left on device")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._length)
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._length += written
        self._dirty = True

    def settle(self) -> None:
        """Bring what was written to the disk, and remove what is too much or too old."""
        if self._dirty:
            os.fdatasync(self._file)
            self._dirty = False
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY
            self._prune()

    def _open(self, needed: int) -> None:
        """Go on in the newest file while there is room in it, or else in a new one."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        known = files(self._directory, self._name)
        # What is no file would take nothing, or never end.
        fresh = not known or not known[-1].is_file() or known[-1].stat().st_size + needed >= self._size // FILES
        number = int(known[-1].stem.rpartition("-")[2]) + fresh if known else 1
        self._path = self._directory / f"{self._name}-{number:08d}{_SUFFIX}"
        # O_APPEND: a predecessor that has not quite ended writes whole lines between ours.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file, self._length = file, os.fstat(file).st_size
        if self._length and os.pread(file, 1, self._length - 1) != b"\n":
            # Somebody was killed in the middle of a line; the reader tells it by its end.
            self._length += os.write(file, b"\n")
        self._prune()

    def _prune(self) -> None:
        known = files(self._directory, self._name)
        sizes = {path: path.stat() for path in known}
        total = sum(stat.st_size for stat in sizes.values())
        # One more file is to have room.
        limit = self._size - self._size // FILES
        for path in known[:-1]:
            if total > limit or time.time() - sizes[path].st_mtime > self._max_age:
                path.unlink(missing_ok=True)
                total -= sizes[path].st_size
