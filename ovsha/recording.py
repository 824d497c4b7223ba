"""Read what the flight recorder has written, here or on the peer; needs no running agent for what is here.

Lines that cannot be read, such as the last one of an agent that was killed while it wrote,
are passed over and named.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.core import exchange as codec
from ovsha.core import trace
from ovsha.core.history import Ledger
from ovsha.core.plain import parse
from ovsha.core.trace import Entry
from ovsha.drivers.journal import files
from ovsha.errors import DriverError
from ovsha.exchange import Asker
from ovsha.ledger import errand, shelf
from ovsha.recorder import DECISIONS, DIRECTORY, EVENTS, SCHEMA

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
    events = list(_events(_lines(config.state_directory / DIRECTORY, EVENTS), troubles))
    place = config.state_directory / "ledgers"
    try:
        heads, damaged = shelf.heads(place)
        waiting = [errand.load(path) for path in errand.pending(place)]
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
        events = list(_events(((name, _text(asker, "journal", name).splitlines()) for name in wanted), troubles))
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


def _events(found: Iterable[tuple[str, list[str]]], troubles: list[str]) -> Iterator[dict[str, Any]]:
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


def _ledger(head: shelf.Head) -> Ledger:
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
            return [_ledger(shelf.parse(text, ident))]
        task = errand.parse(text)
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
        found = asker.ask("fetch", {"kind": kind, "name": name, "offset": len(data), "size": codec.SLICE})
        more = base64.b64decode(found["data"])
        total = found["total"] if not data else min(total, found["total"])
        data += more
        if not more:
            break
    return data.decode(errors="replace")
