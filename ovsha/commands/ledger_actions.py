"""Do what `ovsha ledger` is told: each function takes the options and returns the exit status.

Raises DriverError and ConfigError, as commands do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from ovsha import client
from ovsha import config as configuration
from ovsha.commands import consent
from ovsha.commands.common import find
from ovsha.config import Config
from ovsha.core.status import SCHEMA
from ovsha.errors import DriverError
from ovsha.ledger import judge, shelf
from ovsha.ledger import replay as replaying
from ovsha.ledger.compare import Entry, Kind
from ovsha.ledger.judge import Judged, Verdict
from ovsha.ledger.peer import Peer
from ovsha.ledger.session import Session
from ovsha.ledger.shelf import Head
from ovsha.remotes import peer_server

_LIMIT = 60.0
"""Seconds for one answer of ovsdb-server: it may be in the middle of a resynchronisation."""

_NAMED = 5
"""How many rows an error names."""


def list_all(options: argparse.Namespace) -> int:
    """Print the ledgers."""
    config = configuration.load(options.config)
    heads, troubles = _heads(config, options.peer)
    for trouble in troubles:
        print(f"ovsha: warning: {trouble}", file=sys.stderr)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "ledgers": [asdict(head) for head in heads]}, indent=2))
    elif not heads:
        print("there is no ledger")
    else:
        _print_table(
            ["ID", "overwritten", "went on", "inserted", "changed", "deleted", "exact", "state"],
            ([head.id, f"{head.node} in term {head.term}", f"{head.peer} in term {head.peer_term}",
              *(str(head.counts.get(kind.value, 0)) for kind in Kind), "yes" if head.exact else "no", _state(head)]
             for head in heads),
        )  # fmt: skip
    return 1 if any(head.open for head in heads) else 0


def show(options: argparse.Namespace) -> int:
    """Print the rows of one."""
    config = configuration.load(options.config)
    head = shelf.pick(_heads(config, options.peer)[0], options.ledger)
    entries = _entries(config, head, options.peer)
    if options.json:
        rows = [{**asdict(entry), "kind": entry.kind.value} for entry in entries]
        print(json.dumps({"schema": SCHEMA, **asdict(head), "entries": rows}, indent=2))
        return 0
    print("\n".join(f"{key}: {value}" for key, value in _facts(head)))
    for entry in entries:
        print(f"\n{entry.kind.value}: {entry.table} {entry.uuid}")
        print("\n".join(f"  {line}" for line in _columns(entry)))
    return 0


def replay(options: argparse.Namespace) -> int:
    """Bring the rows of one back, or say why not."""
    config = configuration.load(options.config)
    head = shelf.pick(_heads(config, False)[0], options.ledger)
    if head.failed:
        raise DriverError(f"ledger {head.id} has no rows: {head.failed}")
    if not head.open and not options.again and not options.dry_run:
        raise DriverError(f"ledger {head.id} is settled: {_state(head)}; to replay it nonetheless, add --again")
    entries = _entries(config, head, False)
    with Session(_active(options, config), head.database, _LIMIT) as session:
        plan = replaying.plan(session, entries)
        moved, todo = plan.having(Verdict.MOVED), plan.having(Verdict.REPLAY)
        if options.dry_run:
            _print_plan(options, plan.rows)
            return 1 if moved else 0
        if moved:
            named = "; ".join(f"{_named(each.entry)}: {each.why}" for each in moved[:_NAMED])
            more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
            what = f"nothing was replayed, for {len(moved)} of {len(entries)} rows have moved on"
            raise DriverError(f"{what}: {named}{more}")
        if todo and not options.yes and not _agreed(head, todo, session.target):
            raise DriverError("nothing was replayed")
        if todo:
            replaying.carry_out(session, plan, head.id)
    _settle(config, replace(head, replayed={"when": _now(), "rows": len(todo)}))
    told = {"schema": SCHEMA, "ledger": head.id, "replayed": len(todo), "there": len(plan.having(Verdict.THERE))}
    there = f"; {told['there']} were there already" if told["there"] else ""
    print(json.dumps(told) if options.json else f"ledger {head.id}: {_count(todo)} replayed{there}")
    return 0


def dismiss(options: argparse.Namespace) -> int:
    """Settle one without bringing its rows back."""
    config = configuration.load(options.config)
    head = shelf.pick(_heads(config, False)[0], options.ledger)
    if not head.open:
        raise DriverError(f"ledger {head.id} is settled: {_state(head)}")
    if not options.reason.strip():
        raise DriverError("--reason: say why the rows are not needed")
    consent.ask(options, f"ledger {head.id} is settled, and its rows are not brought back: they stay in it")
    _settle(config, replace(head, dismissed={"when": _now(), "reason": options.reason.strip()}))
    print(json.dumps({"schema": SCHEMA, "ledger": head.id}) if options.json else f"ledger {head.id} is dismissed")
    return 0


def _active(options: argparse.Namespace, config: Config) -> str:
    """Return where the active side takes transactions.  Raises DriverError when no side is active."""
    document = client.ask_json(find(options), "status", "json", schema=SCHEMA)
    for node, side in document["sides"].items():
        if side is not None and side["current"] and side["serving"] and side["role"] == "active":
            return f"unix:{config.server.socket}" if node == document["node"] else peer_server(config)
    raise DriverError("neither side is active, so nothing can be replayed; see ovsha status")


def _peer(config: Config) -> Peer:
    address = str(config.other.peer_link)
    return Peer(address, config.exchange.port, configuration.read_key(config.pair.key_file))


def _heads(config: Config, of_peer: bool) -> tuple[list[Head], list[str]]:
    """Return the ledgers, the oldest first, and what hinders from reading others."""
    if not of_peer:
        return shelf.heads(_directory(config))
    peer, heads, troubles = _peer(config), [], []
    for name in sorted(each for each in peer.names("ledgers") if each.endswith(".json")):
        try:
            heads.append(shelf.parse(peer.text("ledgers", name), name.removesuffix(".json")))
        except ValueError as error:
            troubles.append(f"{name} of {config.peer}: is damaged: {error}")
    return heads, troubles


def _entries(config: Config, head: Head, of_peer: bool) -> list[Entry]:
    if not of_peer:
        return shelf.entries(_directory(config), head.id)
    try:
        return [shelf.entry(line) for line in _peer(config).text("ledgers", f"{head.id}.rows").splitlines()]
    except ValueError as error:
        raise DriverError(f"{head.id} of {config.peer}: is damaged: {error}") from None


def _settle(config: Config, head: Head) -> None:
    try:
        shelf.update(_directory(config), head)
    except OSError as error:
        raise DriverError(f"ledger {head.id} is {_state(head)}, but that cannot be noted: {error}") from None


def _directory(config: Config) -> Path:
    return config.state_directory / "ledgers"


def _agreed(head: Head, todo: list[Judged], target: str) -> bool:
    """Ask the operator."""
    question = f"replay {_count(todo)} of ledger {head.id} to {target}? [y/N] "
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _count(rows: list[Judged]) -> str:
    return f"{len(rows)} row" if len(rows) == 1 else f"{len(rows)} rows"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _state(head: Head) -> str:
    if head.replayed is not None:
        return f"replayed {head.replayed.get('when', '')}"
    if head.dismissed is not None:
        return f"dismissed {head.dismissed.get('when', '')}: {head.dismissed.get('reason', '')}"
    return f"open, and failed: {head.failed}" if head.failed else "open"


def _facts(head: Head) -> list[tuple[str, str]]:
    against = f"what {head.peer} " + ("had when it went on" if head.base else "had later")
    against += "" if head.exact else f"; not exact, for {head.why}"
    return [
        ("ledger", head.id),
        ("state", _state(head)),
        ("overwritten", f"the data of {head.node} in term {head.term}, at {head.when}; snapshot {head.snapshot}"),
        ("went on", f"{head.peer} in term {head.peer_term}"),
        ("compared with", head.failed or against),
        ("rows", ", ".join(f"{head.counts.get(kind.value, 0)} {kind.value}" for kind in Kind)),
    ]


def _columns(entry: Entry) -> list[str]:
    row, base = entry.row or {}, entry.base or {}
    if entry.kind is Kind.CHANGED:
        return [f"{each}: {judge.shown(base.get(each))} -> {judge.shown(row.get(each))}" for each in entry.changed]
    empty = ("", ["set", []], ["map", []])
    return [f"{name}: {judge.shown(value)}" for name, value in sorted((row or base).items()) if value not in empty]


def _named(entry: Entry) -> str:
    return f"{entry.table} {entry.uuid}"


def _print_plan(options: argparse.Namespace, rows: Iterable[Judged]) -> None:
    if options.json:
        found = [
            {"table": each.entry.table, "uuid": each.entry.uuid, "kind": each.entry.kind.value,
             "verdict": each.verdict.value, "why": each.why} for each in rows
        ]  # fmt: skip
        print(json.dumps({"schema": SCHEMA, "rows": found}, indent=2))
        return
    words = {Verdict.REPLAY: "would be replayed", Verdict.THERE: "nothing to do", Verdict.MOVED: "refused"}
    for each in rows:
        why = f": {each.why}" if each.why else ""
        print(f"{each.entry.kind.value} {_named(each.entry)}: {words[each.verdict]}{why}")


def _print_table(titles: list[str], rows: Iterable[list[str]]) -> None:
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
