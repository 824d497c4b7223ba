"""Bring the newest of a value to the disk by a thread, again and again until it is there.

A slow disk must not hold up the loop, and a full one may have room again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

log = logging.getLogger("ovsha")

T = TypeVar("T")
_RETRY = 1.0


class Saver(Generic[T]):
    """Writes a value by `write`, which raises OSError, whenever it is another than the one that is `kept` on disk.

    `failing`: what is told, before the error, when it cannot be written.
    `trouble`: what is told now, "" when the last one was written.
    """

    def __init__(self, kept: T, write: Callable[[T], None], failing: str) -> None:
        self.kept = kept
        self.trouble = ""
        self._write, self._failing = write, failing
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saving")
        self._saving: tuple[T, Future[None]] | None = None
        self._retry_at = 0.0

    def run(self, value: T) -> None:
        """See what became of the last one, and begin to write this one."""
        if self._saving is not None and self._saving[1].done():
            written, future = self._saving
            self._saving = None
            self._ended(written, future.exception())
        if self._saving is None and value != self.kept and time.monotonic() >= self._retry_at:
            self._saving = (value, self._thread.submit(self._write, value))

    def close(self, value: T) -> None:
        """Bring the last one to the disk, as far as it can be written."""
        self._thread.shutdown()
        if value != self.kept:
            with contextlib.suppress(OSError):
                self._write(value)

    def _ended(self, written: T, error: BaseException | None) -> None:
        if error is None:
            self.kept, self.trouble = written, ""
            return
        trouble = f"{self._failing}: {error}"
        if trouble != self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble
        self._retry_at = time.monotonic() + _RETRY
