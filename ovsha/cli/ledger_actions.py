"""The actions of `ovsha ledger` that read and settle, and what they share with the replay.

Raises DriverError and ConfigError, as commands do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ovsha import SCHEMA
from ovsha import config as configuration
from ovsha.cli import common
from ovsha.config import Config
from ovsha.divergence import ledger, replay_check
from ovsha.divergence.compare import Entry, Kind
from ovsha.divergence.ledger import Head
from ovsha.errors import DriverError
from ovsha.peer.rpc_client import PeerLedgers


def all_heads(config: Config, of_peer: bool) -> tuple[list[Head], list[str]]:
    """Return the ledgers, the oldest first, and what hinders from reading others."""
    if not of_peer:
        return ledger.heads(directory(config))
    peer, found, troubles = _peer(config), [], []
    for name in sorted(each for each in peer.names("ledgers") if each.endswith(".json")):
        try:
            found.append(ledger.parse(peer.text("ledgers", name), name.removesuffix(".json")))
        except ValueError as error:
            troubles.append(f"{name} of {config.peer}: is damaged: {error}")
    return found, troubles


def entries_of(config: Config, head: Head, of_peer: bool) -> list[Entry]:
    """Return the rows of one, as what they are known to be."""
    if not of_peer:
        return ledger.meant(head, ledger.entries(directory(config), head.id))
    try:
        lines = _peer(config).text("ledgers", f"{head.id}.rows").splitlines()
        return ledger.meant(head, [ledger.entry(line) for line in lines])
    except ValueError as error:
        raise DriverError(f"{head.id} of {config.peer}: is damaged: {error}") from None


def settle(config: Config, head: Head) -> None:
    """Note what became of one."""
    try:
        ledger.update(directory(config), head)
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
        shown = replay_check.shown
        return [f"{each}: {shown(base.get(each))} -> {shown(row.get(each))}" for each in entry.changed]
    empty = ("", ["set", []], ["map", []])
    beside = {name: f" (on {peer}: {replay_check.shown(base[name])})" for name in entry.changed if row and name in base}
    return [
        f"{name}: {replay_check.shown(value)}{beside.get(name, '')}"
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


def _peer(config: Config) -> PeerLedgers:
    address = str(config.other.peer_link)
    return PeerLedgers(address, config.exchange.port, configuration.read_key(config.pair.key_file))


def list_all(options: argparse.Namespace) -> int:
    """Print the ledgers."""
    config = configuration.load(options.config)
    heads, troubles = all_heads(config, options.peer)
    for trouble in troubles:
        print(f"ovsha: warning: {trouble}", file=sys.stderr)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "ledgers": [asdict(head) for head in heads]}, indent=2))
    elif not heads:
        print("there is no ledger")
    else:
        _print_table(
            ["ID", "overwritten", "went on", "inserted", "changed", "deleted", "doubt", "exact", "state"],
            ([head.id, f"{head.node} in term {head.term}", f"{head.peer} in term {head.peer_term}",
              *(str(head.counts.get(kind.value, 0)) for kind in Kind),
              "yes" if head.exact else "no", state(head)]
             for head in heads),
        )  # fmt: skip
    return 1 if any(head.open for head in heads) else 0


def show(options: argparse.Namespace) -> int:
    """Print the rows of one."""
    config = configuration.load(options.config)
    head = ledger.pick(all_heads(config, options.peer)[0], options.ledger)
    entries = entries_of(config, head, options.peer)
    if options.json:
        rows = [{**asdict(entry), "kind": entry.kind.value} for entry in entries]
        print(json.dumps({"schema": SCHEMA, **asdict(head), "entries": rows}, indent=2))
        return 0
    print("\n".join(f"{key}: {value}" for key, value in _facts(head)))
    for entry in entries:
        print(f"\n{entry.kind.value}: {named(entry)}{_doubt(entry, head)}")
        print("\n".join(f"  {line}" for line in columns(entry, head.peer)))
    return 0


def dismiss(options: argparse.Namespace) -> int:
    """Settle one without bringing its rows back."""
    config = configuration.load(options.config)
    head = ledger.pick(all_heads(config, False)[0], options.ledger)
    if not head.open:
        raise DriverError(f"ledger {head.id} is settled: {state(head)}")
    if not options.reason.strip():
        raise DriverError("--reason: say why the rows are not needed")
    common.ask(options, f"ledger {head.id} is settled, and its rows are not brought back: they stay in it")
    settle(config, replace(head, dismissed={"when": now(), "reason": options.reason.strip()}))
    print(json.dumps({"schema": SCHEMA, "ledger": head.id}) if options.json else f"ledger {head.id} is dismissed")
    return 0


def _doubt(entry: Entry, head: Head) -> str:
    if entry.kind is not Kind.DOUBT:
        return ""
    return f", not on {head.peer}" if entry.base is None else f", otherwise on {head.peer}"


def _facts(head: Head) -> list[tuple[str, str]]:
    against = f"what {head.peer} " + ("had when it went on" if head.base else "had later")
    against += "" if head.exact else f"; not exact, for {head.why}"
    counts = ", ".join(f"{number} {kind}" for kind, number in head.counts.items() if head.exact)
    doubt = f"{head.rows} in doubt: not there then or otherwise, and perhaps deleted or changed since"
    return [
        ("ledger", head.id),
        ("state", state(head)),
        ("overwritten", f"the data of {head.node} in term {head.term}, at {head.when}; snapshot {head.snapshot}"),
        ("went on", f"{head.peer} in term {head.peer_term}"),
        ("compared with", head.failed or against),
        ("rows", counts if head.exact else doubt),
    ]


def _print_table(titles: list[str], rows: Iterable[list[str]]) -> None:
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
