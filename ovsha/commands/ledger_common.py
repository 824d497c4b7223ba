"""Hold what the actions of `ovsha ledger` share: where ledgers are read and settled, and how rows are named.

Raises DriverError and ConfigError, as commands do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.ledger import judge, shelf
from ovsha.ledger.compare import Entry, Kind
from ovsha.ledger.peer import Peer
from ovsha.ledger.shelf import Head


def heads(config: Config, of_peer: bool) -> tuple[list[Head], list[str]]:
    """Return the ledgers, the oldest first, and what hinders from reading others."""
    if not of_peer:
        return shelf.heads(directory(config))
    peer, found, troubles = _peer(config), [], []
    for name in sorted(each for each in peer.names("ledgers") if each.endswith(".json")):
        try:
            found.append(shelf.parse(peer.text("ledgers", name), name.removesuffix(".json")))
        except ValueError as error:
            troubles.append(f"{name} of {config.peer}: is damaged: {error}")
    return found, troubles


def entries(config: Config, head: Head, of_peer: bool) -> list[Entry]:
    """Return the rows of one, as what they are known to be."""
    if not of_peer:
        return shelf.meant(head, shelf.entries(directory(config), head.id))
    try:
        lines = _peer(config).text("ledgers", f"{head.id}.rows").splitlines()
        return shelf.meant(head, [shelf.entry(line) for line in lines])
    except ValueError as error:
        raise DriverError(f"{head.id} of {config.peer}: is damaged: {error}") from None


def settle(config: Config, head: Head) -> None:
    """Note what became of one."""
    try:
        shelf.update(directory(config), head)
    except OSError as error:
        raise DriverError(f"ledger {head.id} is {state(head)}, but that cannot be noted: {error}") from None


def directory(config: Config) -> Path:
    """Return where the ledgers of this side are."""
    return config.state_directory / "ledgers"


def state(head: Head) -> str:
    """Return what became of one, in words."""
    if head.dismissed is not None and (head.replayed is None or head.left):
        return f"dismissed {head.dismissed.get('when', '')}: {head.dismissed.get('reason', '')}"
    if head.replayed is not None and head.left:
        return f"open, {count(int(head.replayed.get('rows', 0)))} replayed {head.replayed.get('when', '')}"
    if head.replayed is not None:
        return f"replayed {head.replayed.get('when', '')}"
    if head.failed:
        return f"open, and failed: {head.failed}"
    return "open" if head.open else "nothing is in doubt any more"


def now() -> str:
    """Return the time of day, as a ledger has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def named(entry: Entry) -> str:
    """Return what a row is called."""
    return f"{entry.table} {entry.uuid}"


def columns(entry: Entry, peer: str = "the active side") -> list[str]:
    """Return a line for each column worth one; `peer` had what stands beside a doubt."""
    row, base = entry.row or {}, entry.base or {}
    if entry.kind is Kind.CHANGED:
        return [f"{each}: {judge.shown(base.get(each))} -> {judge.shown(row.get(each))}" for each in entry.changed]
    empty = ("", ["set", []], ["map", []])
    beside = {name: f" (on {peer}: {judge.shown(base[name])})" for name in entry.changed if row and name in base}
    return [
        f"{name}: {judge.shown(value)}{beside.get(name, '')}"
        for name, value in sorted((row or base).items())
        if value not in empty or name in beside
    ]


def count(number: int) -> str:
    """Return how many rows."""
    return f"{number} row" if number == 1 else f"{number} rows"


def replayed(head: Head, rows: int, left: int) -> Head:
    """Return a head of which so many rows more were replayed, and so many are left."""
    before = int((head.replayed or {}).get("rows", 0)) if head.left else 0
    return replace(head, replayed={"when": now(), "rows": before + rows, "left": left})


def together(rows: Sequence[Entry], what: str) -> list[str]:
    """Return a line for each row that says what will be done with it."""
    return [f"  {what} {named(entry)}: {'; '.join(columns(entry))}" for entry in rows]


def _peer(config: Config) -> Peer:
    address = str(config.other.peer_link)
    return Peer(address, config.exchange.port, configuration.read_key(config.pair.key_file))
