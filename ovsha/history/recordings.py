"""Read what the flight recorder has written, here or on the peer.

Lines that cannot be read, such as the last one of an agent that was killed while it wrote,
are passed over and named.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha import codec
from ovsha import config as configuration
from ovsha.codec import parse
from ovsha.config import Config
from ovsha.divergence import ledger, pending
from ovsha.errors import DriverError
from ovsha.history.recorder import DECISIONS, DIRECTORY, EVENTS, SCHEMA
from ovsha.host.journal import files
from ovsha.peer.rpc_client import Asker
from ovsha.protocol import seal
from ovsha.report import trace
from ovsha.report.history import Ledger
from ovsha.report.trace import Entry

_FILES = 3
"""How many of the peer's files are asked for, the newest ones."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the side `node` has kept: events, the oldest first, and ledgers; `troubles`: what of it is not readable."""

    node: str
    events: tuple[dict[str, Any], ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision of the agent's start `run`."""

    run: str
    entry: Entry


def local(config: Config) -> Recording:
    """Return what this side has kept.  Raises DriverError when it may not be read."""
    troubles: list[str] = []
    events = list(_read_events(_lines(config.state_directory / DIRECTORY, EVENTS), troubles))
    place = config.state_directory / "ledgers"
    try:
        heads, damaged = ledger.heads(place)
        waiting = [pending.load(path) for path in pending.pending(place)]
    except OSError as error:
        raise DriverError(f"{place}: cannot be read: {error.strerror}") from None
    except DriverError as error:
        heads, damaged, waiting = [], [str(error)], []
    ledgers = [_ledger(head) for head in heads]
    ledgers += [Ledger(task.id, task.term, task.peer_term, 0, "is being compared") for task in waiting]
    return Recording(config.node, tuple(events), tuple(ledgers), (*troubles, *damaged))


def of_peer(config: Config, limit: float) -> Recording:
    """Return what the peer's agent tells within `limit` seconds that it has kept.  Raises DriverError."""
    address = str(config.other.peer_link)
    key = configuration.read_key(config.pair.key_file)
    troubles: list[str] = []
    with Asker(address, config.exchange.port, key, limit) as asker:
        names = _names(asker, "journal")
        wanted = [name for name in names if name.startswith(f"{EVENTS}-")][-_FILES:]
        events = list(_read_events(((name, _text(asker, "journal", name).splitlines()) for name in wanted), troubles))
        ledgers = []
        for name in _names(asker, "ledgers"):
            ident, _, ending = name.rpartition(".")
            if ending in ("json", "pending"):
                ledgers += _told_ledger(ident, ending, _text(asker, "ledgers", name), troubles)
    return Recording(config.peer, tuple(events), tuple(ledgers), tuple(troubles))


def decisions(path: Path, troubles: list[str]) -> Iterator[Decided]:
    """Yield the decisions of this side's recorder, of one of its files, or of a forensic bundle's trace.

    `path` is the state directory or a file.  Adds to `troubles` what cannot be read.  Raises DriverError when nothing
    can.
    """
    found = iter([(path.name, _read(path))]) if path.is_file() else _lines(path / DIRECTORY, DECISIONS)
    for name, lines in found:
        damaged = 0
        for line in lines:
            try:
                plain = parse(line)
                yield Decided(str(plain.get("run", "")), trace.from_plain(plain))
            except (ValueError, AttributeError, TypeError):
                damaged += 1
        if damaged:
            troubles.append(_damaged(name, damaged))


def _lines(directory: Path, series: str) -> Iterator[tuple[str, list[str]]]:
    try:
        found = files(directory, series)
    except OSError as error:
        raise DriverError(_unreadable(directory, error)) from None
    for path in found:
        yield path.name, _read(path)


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        if path.parent.name == DIRECTORY:
            return []  # it was the oldest, and has just been removed
        raise DriverError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DriverError(_unreadable(path, error)) from None


def _unreadable(path: Path, error: OSError) -> str:
    hint = "; run this as root" if isinstance(error, PermissionError) else ""
    return f"{path}: cannot be read: {error.strerror}{hint}"


def _read_events(found: Iterable[tuple[str, list[str]]], troubles: list[str]) -> Iterator[dict[str, Any]]:
    for name, lines in found:
        damaged = 0
        for line in lines:
            try:
                event = parse(line)
            except ValueError:
                event = None
            if _usable(event):
                yield event
            else:
                damaged += 1
        if damaged:
            troubles.append(_damaged(name, damaged))


def _usable(event: Any) -> bool:
    if not isinstance(event, dict) or event.get("schema") != SCHEMA:
        return False
    return type(event.get("at")) in (int, float) and all(isinstance(event.get(key), str) for key in ("kind", "text"))


def _damaged(name: str, count: int) -> str:
    lines = "1 line is" if count == 1 else f"{count} lines are"
    return f"{name}: {lines} damaged, half written or of another release, and left out"


def _ledger(head: ledger.Head) -> Ledger:
    if head.failed:
        state = f"could not be compared: {head.failed}"
    elif head.dismissed is not None:
        state = "dismissed"
    elif head.replayed is not None:
        state = f"open, {head.replayed.get('rows', 0)} replayed" if head.open else "replayed"
    else:
        state = "open" if head.open else "lists nothing that is in doubt"
    return Ledger(head.id, head.term, head.peer_term, head.rows, state, head.exact)


def _told_ledger(ident: str, ending: str, text: str, troubles: list[str]) -> list[Ledger]:
    try:
        if ending == "json":
            return [_ledger(ledger.parse(text, ident))]
        task = pending.parse(text)
        return [Ledger(task.id, task.term, task.peer_term, 0, "is being compared")]
    except (ValueError, TypeError) as error:
        troubles.append(f"ledger {ident}: is damaged: {error}")
        return []


def _names(asker: Asker, kind: str) -> list[str]:
    return [str(each["name"]) for each in asker.ask("list", {"kind": kind})]


def _text(asker: Asker, kind: str, name: str) -> str:
    """Return what a file says as long as it was when it was first asked for; a journal only grows."""
    data, total = b"", 1
    while len(data) < total:
        found = asker.ask("fetch", {"kind": kind, "name": name, "offset": len(data), "size": seal.SLICE})
        more = base64.b64decode(found["data"])
        total = found["total"] if not data else min(total, found["total"])
        data += more
        if not more:
            break
    return data.decode(errors="replace")


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
                    self._read = (sizes, [event for path in known for event in _file_events(path)])
            except OSError:
                pass
            return [event for event in self._read[1] if event["at"] >= moment]


def _file_events(path: Path) -> list[Event]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - MOST))
        lines = file.read(MOST).split(b"\n")
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    """Return the event of a line; None for one that was cut by a crash or by us."""
    try:
        event = codec.parse(line)
    except ValueError:
        return None
    whole = isinstance(event, dict) and isinstance(event.get("at"), (int, float))
    return event if whole and isinstance(event.get("kind"), str) and isinstance(event.get("text"), str) else None
