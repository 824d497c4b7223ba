"""What must survive a restart: read at the start, and written by a thread, the newest value only.

The file is replaced whole, by a thread, so that a slow disk never blocks the loop.

A slow disk must not hold up the loop, and a full one may have room again.

It is 128 random bits in hexadecimal, in a file that only its owner reads; it is on the disk
before it is used.  Raises DriverError with the name of the file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ovs.poller import POLLIN, Poller

from ovsha import atomic_file, codec
from ovsha.core import stamps
from ovsha.core.facts import Stamp, Token
from ovsha.errors import DriverError

log = logging.getLogger("ovsha")

_UNSURE = 30
"""Tokens, a minute of them by default, that the kernel may not have written yet."""

UPGRADES, UPGRADE_MARK = "upgrade", "mark.json"
"""Below the state directory: what was saved before each upgrade; and in there, that one is under way."""


@dataclass(frozen=True, slots=True)
class PersistentState:
    """What is on disk.

    `reserved`: the term that our next promotion may use.  `met_in`: the boot of this
    switch (boot_id(5) of the kernel) in which the peer was last met, None when never.
    `held`: a token that our own database holds on disk, if nobody damages it.
    `peer_identity`: which switch was learned as the peer, "" when none was.
    `founding`: an operator said that the other side has not joined the pair yet.
    """

    pair: str
    node: str
    term: int = 0
    reserved: int = 0
    peer_stamp: Stamp | None = None
    met_in: str | None = None
    held: Token | None = None
    peer_identity: str = ""
    founding: bool = False


def load(path: Path, pair: str, node: str) -> PersistentState:
    """Return what is kept, or a fresh value when there is no file yet.

    Raises DriverError when the file cannot be read or is damaged, or belongs to another
    pair or node: to guess a term would be to risk an old one.
    """
    try:
        text = atomic_file.read(path)
    except FileNotFoundError:
        return PersistentState(pair, node)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DriverError(f"{path}: cannot be read: {error}") from None
    try:
        kept = _parse(path, codec.parse(text))
    except (ValueError, TypeError, KeyError) as error:
        raise DriverError(
            f"{path}: is damaged ({error}); move it away to start anew from the terms in the databases"
        ) from None
    if (kept.pair, kept.node) != (pair, node):
        raise DriverError(
            f"{path}: belongs to node {kept.node} of pair {kept.pair}, but the configuration names node {node}"
            f" of pair {pair}; correct the configuration or move the file away"
        )
    return kept


def _parse(path: Path, data: Any) -> PersistentState:
    if not isinstance(data, dict):
        raise ValueError("it holds no mapping")
    for name in ("term", "reserved", "peer_stamp", "held"):
        if _beyond(data.get(name)):
            # It was never written by an agent, and would leave no number to go on to.
            log.warning("%s: %s is beyond %d, which no agent writes: passed over", path, name, stamps.BELIEVED_END)
            del data[name]
    stamp, held = data.pop("peer_stamp", None), data.pop("held", None)
    read_stamp, read_held = _stamp(stamp) if stamp else None, stamps.pair(held) if held else None
    kept = PersistentState(**data, peer_stamp=read_stamp, held=read_held)
    for number in (kept.term, kept.reserved):
        stamps.whole(number)
    texts = (kept.pair, kept.node, kept.peer_identity, *([] if kept.met_in is None else [kept.met_in]))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name or an identity is no text")
    if not isinstance(kept.founding, bool):
        raise ValueError("founding is neither true nor false")
    return kept


def _beyond(value: Any) -> bool:
    """Tell whether there is a number in `value` that is greater than any that is believed."""
    if isinstance(value, dict):
        return _beyond(value.get("term"))
    if isinstance(value, list):
        return any(_beyond(each) for each in value)
    return type(value) is int and value > stamps.BELIEVED_END


def _stamp(data: Any) -> Stamp:
    if not isinstance(data, dict):
        raise ValueError("a stamp is no mapping")
    stamp = Stamp(**data)
    if not isinstance(stamp.chosen, bool):
        raise ValueError("chosen is neither true nor false")
    return Stamp(stamps.whole(stamp.term), stamps.name(stamp.node), stamp.chosen)


def surely_on_disk(held: Token | None, saved: Token | None) -> Token | None:
    """Return the token to save for a database that holds `held`, `saved` being the one that is saved.

    ovsdb-server leaves its writes to the kernel, so the last of them may be lost with the
    power; and a disk wears when it is written for every token.
    """
    if held is None or (saved is not None and saved[0] == held[0] and 0 <= held[1] - saved[1] < 2 * _UNSURE):
        return saved
    if held[1] >= _UNSURE:
        return (held[0], held[1] - _UNSURE)
    return saved if saved is not None and saved <= held else None


def save(path: Path, kept: PersistentState) -> None:
    """Put `kept` on disk for good.  Raises OSError when the disk does not take it."""
    atomic_file.write(path, json.dumps(asdict(kept)))


class Store:
    """Save in the background; `kept` is what is known to be on disk."""

    def __init__(self, path: Path, kept: PersistentState) -> None:
        self.kept = kept
        self.trouble = ""
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._saving: tuple[PersistentState, Future[None]] | None = None
        self._retry_at = 0.0
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)

    def run(self, now: float, wanted: PersistentState) -> None:
        """Note what has reached the disk, and start to save `wanted` when it differs."""
        self._hear()
        if self._saving is not None and self._saving[1].done():
            kept, future = self._saving
            self._saving = None
            error = future.exception()
            if error is None:
                self.kept, self.trouble = kept, ""
            else:
                why = error.strerror if isinstance(error, OSError) and error.strerror else error
                self.trouble = f"{self._path}: cannot be written: {why}; free space there or make it writable"
                self._retry_at = now + 1.0
        if self._saving is None and wanted != self.kept and now >= self._retry_at:
            future = self._thread.submit(save, self._path, wanted)
            future.add_done_callback(lambda done: self._ring())
            self._saving = (wanted, future)

    def wait(self, poller: Poller) -> None:
        """Wake the loop when something has reached the disk."""
        poller.fd_wait(self._ear.fileno(), POLLIN)

    def close(self) -> None:
        """Wait for what is being saved."""
        self._thread.shutdown()
        self._bell.close()
        self._ear.close()

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except BlockingIOError:
            return  # the ear has enough to hear already

    def _hear(self) -> None:
        try:
            while self._ear.recv(64):
                pass
        except BlockingIOError:
            return


T = TypeVar("T")
_RETRY = 1.0


class StateWriter(Generic[T]):
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


_FORM = re.compile(r"[0-9a-f]{32}")


def own_identity(path: Path) -> str:
    """Return the identity of this switch, which it keeps for as long as its state directory.

    Raises DriverError when the file is damaged, cannot be read, or cannot be made: with a
    new identity at each start the peer would take us for another switch each time.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        atomic_file.write(path, f"{secrets.token_hex(16)}\n")
        return _read(path)
    except OSError as error:
        raise DriverError(f"{path}: the identity of this switch cannot be kept: {error.strerror}") from None


def _read(path: Path) -> str:
    try:
        text = atomic_file.read(path).strip()
    except ValueError:
        text = ""
    if not _FORM.fullmatch(text):
        raise DriverError(
            f"{path}: is damaged; move it away to be given a new identity, and run `ovsha peer forget` on the peer"
        )
    return text
