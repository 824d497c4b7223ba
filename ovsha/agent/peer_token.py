"""Keep on disk what is known of the peer's token, and since when our copy has lacked it.

It has a file of its own, `<state_directory>/peer-token.json`, written by a thread.  A disk wears when it is written for
every token, so it is written when a copy begins to lack something, rarer and rarer while that lasts, and about once in
two minutes while all is well.  What lies between is never missed: whether a copy lacks the token that is kept is seen
from the copy itself, and the file tells only since when.

It may have to be written when the disk is full, for that is one reason why a copy does not follow; so the file has
always the same length, and is then written in its place, where it needs no room.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ovsha import atomic_file, codec
from ovsha.core.facts import Lack, Token
from ovsha.core.view import Memory
from ovsha.host.state_file import StateWriter

log = logging.getLogger("ovsha")

FILE = "peer-token.json"
_LENGTH = 512
"""Bytes of the file: one sector, which a disk writes whole or not at all."""

_RARELY, _SOON = 60.0, 5.0
_MANY = 60
"""Tokens, two minutes of them by default, that may be missing in what is kept of a peer that all is well with."""

_HIGHEST = 1 << 61


@dataclass(frozen=True, slots=True)
class Known:
    """What is on disk: the peer's newest `token`, and for how long, `age`, our copy had lacked it; None: it did not.

    `after`: the last token of the copy.  `at`: when that was written by the wall clock, and `up`: by the clock since
    the `boot` (boot_id(5) of the kernel).  `least`: as in Lack.
    """

    token: Token | None = None
    age: float | None = None
    after: Token | None = None
    at: float = 0.0
    up: float = 0.0
    boot: str = ""
    least: bool = False


def noted(kept: Known, memory: Memory, max_lag: float, now: float, wall: float, boot: str) -> Known:
    """Return what is to be on disk where `kept` is; the same while there is nothing to be written."""
    token, lack = memory.peer_token, memory.lack
    if token is None:
        return kept
    rested = kept.boot != boot or now - kept.up >= _RARELY
    age = 0.0 if lack is None else now - lack.since
    if lack is None or (age <= max_lag and not lack.least):
        return Known(token, at=wall, up=now, boot=boot) if _is_news(kept.token, token, rested) else kept
    had = kept.age or 0.0
    if kept.age is None:
        due = True
    elif kept.boot == boot and kept.after == lack.after:
        due = age >= 2 * had or age - had >= _RARELY or (lack.until is not None and token != kept.token)
    else:
        due = rested or age >= max(2 * had, _SOON)
    return Known(token, age, lack.after, wall, now, boot, lack.least) if due else kept


def _is_news(kept: Token | None, token: Token, rested: bool) -> bool:
    if kept is None or kept[0] != token[0]:
        return True
    return rested and not 0 <= token[1] - kept[1] < _MANY


def lack_of(kept: Known, now: float, wall: float, boot: str) -> Lack | None:
    """Return since when our copy has lacked something, on the clock since this boot; None when it did not.

    For how long this switch was off, the wall clock tells, unless it was set back.
    """
    if kept.age is None or kept.after is None:
        return None
    if kept.boot == boot:
        return Lack(min(now, kept.up) - kept.age, kept.after, None, kept.least)
    off = wall - kept.at
    return Lack(now - kept.age - max(0.0, off), kept.after, None, kept.least or off < 0)


class PeerTokenFile:
    """What is kept below `directory`; `clock` and `wall` give seconds since this boot, `boot`, and since 1970.

    A file that cannot be read counts as none.
    """

    def __init__(
        self, directory: Path, boot: str, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._path, self._boot, self._clock, self._wall = directory / FILE, boot, clock, wall
        kept = self._load()
        self.now = kept or Known()
        failing = f"{self._path}: cannot be written, so how far the copy is behind would not survive a restart"
        self._saver: StateWriter[Known | None] = StateWriter(kept, self._write, failing)

    @property
    def trouble(self) -> str:
        """Why it cannot be kept, "" when it is."""
        return self._saver.trouble

    @property
    def lack(self) -> Lack | None:
        """Since when our copy has lacked something, as far as it is kept."""
        return lack_of(self.now, self._clock(), self._wall(), self._boot)

    def run(self, memory: Memory, max_lag: float) -> None:
        """Keep what has changed."""
        self.now = noted(self.now, memory, max_lag, self._clock(), self._wall(), self._boot)
        self._saver.run(self.now)

    def close(self) -> None:
        """Bring the last of it to the disk."""
        self._saver.close(self.now)

    def _load(self) -> Known | None:
        try:
            known = codec.from_plain(Known, codec.parse(atomic_file.read(self._path)))
            if any(number > _HIGHEST for token in (known.token, known.after) if token for number in token):
                raise ValueError("a token is too high")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("%s: cannot be read, so how far the copy was behind is not known: %s", self._path, error)
            return None
        return known

    def _write(self, known: Known | None) -> None:
        """Put it on disk for good.  Raises OSError."""
        data = json.dumps(codec.to_plain(known or Known())).ljust(_LENGTH).encode()
        try:
            atomic_file.write(self._path, data)
        except OSError:
            if not self._path.exists():
                raise
            _write_in_place(self._path, data)


def _write_in_place(path: Path, data: bytes) -> None:
    """Overwrite a file of the same length.  Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.pwrite(file, data, 0)
        os.fsync(file)
    finally:
        os.close(file)
