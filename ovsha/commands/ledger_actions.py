"""Do what `ovsha ledger` is told: each function takes the options and returns the exit status.

Raises DriverError and ConfigError, as commands do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace

from ovsha import SCHEMA
from ovsha import config as configuration
from ovsha.commands import consent
from ovsha.commands import ledger_common as common
from ovsha.errors import DriverError
from ovsha.ledger import shelf
from ovsha.ledger.compare import Entry, Kind
from ovsha.ledger.shelf import Head


def list_all(options: argparse.Namespace) -> int:
    """Print the ledgers."""
    config = configuration.load(options.config)
    heads, troubles = common.heads(config, options.peer)
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
              "yes" if head.exact else "no", common.state(head)]
             for head in heads),
        )  # fmt: skip
    return 1 if any(head.open for head in heads) else 0


def show(options: argparse.Namespace) -> int:
    """Print the rows of one."""
    config = configuration.load(options.config)
    head = shelf.pick(common.heads(config, options.peer)[0], options.ledger)
    entries = common.entries(config, head, options.peer)
    if options.json:
        rows = [{**asdict(entry), "kind": entry.kind.value} for entry in entries]
        print(json.dumps({"schema": SCHEMA, **asdict(head), "entries": rows}, indent=2))
        return 0
    print("\n".join(f"{key}: {value}" for key, value in _facts(head)))
    for entry in entries:
        print(f"\n{entry.kind.value}: {common.named(entry)}{_doubt(entry, head)}")
        print("\n".join(f"  {line}" for line in common.columns(entry, head.peer)))
    return 0


def dismiss(options: argparse.Namespace) -> int:
    """Settle one without bringing its rows back."""
    config = configuration.load(options.config)
    head = shelf.pick(common.heads(config, False)[0], options.ledger)
    if not head.open:
        raise DriverError(f"ledger {head.id} is settled: {common.state(head)}")
    if not options.reason.strip():
        raise DriverError("--reason: say why the rows are not needed")
    consent.ask(options, f"ledger {head.id} is settled, and its rows are not brought back: they stay in it")
    common.settle(config, replace(head, dismissed={"when": common.now(), "reason": options.reason.strip()}))
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
        ("state", common.state(head)),
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
