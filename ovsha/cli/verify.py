"""`ovsha verify`: compare the databases of both sides row by row, and tell the differences."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from ovsha import config as configuration
from ovsha.cli.common import bar, question

if TYPE_CHECKING:
    from ovsha.config import Config
    from ovsha.divergence.compare import Entry, LiveDifference

SCHEMA = 1
_LIMIT = 60.0
"""Seconds for one answer of an ovsdb-server: it may be in the middle of a resynchronisation."""

_SHOWN = 20


def add(commands: Any) -> None:
    """Put the command on the command line."""
    command = question(
        commands, "verify", _run, "compare both databases row by row; exit status 0 if they are equal"
    )  # fmt: skip
    command.add_argument("--all", action="store_true", help=f"show every row that differs, not only the first {_SHOWN}")


def _run(options: argparse.Namespace) -> int:
    # Here, because reading databases takes longer to import than another command takes to answer.
    from ovsha.divergence import compare
    from ovsha.ovsdb.client import Session
    from ovsha.ovsdb.endpoints import own_database, peer_server_remote

    config = configuration.load(options.config)
    config.need_other()
    began = time.monotonic()
    database = config.server.database
    with (
        Session(own_database(config), database, _LIMIT) as own,
        Session(peer_server_remote(config), database, _LIMIT, config.peer) as peer,
        bar(options, "comparing") as progress,
    ):
        found = compare.compare_live(own, peer, progress)
    equal = not found.entries and not found.unsettled
    if options.json:
        print(json.dumps(_document(config, found, equal, time.monotonic() - began), indent=2))
    else:
        print("\n".join(_text(config, found, time.monotonic() - began, None if options.all else _SHOWN)))
    return 0 if equal else 1


def _document(config: Config, found: LiveDifference, equal: bool, seconds: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "equal": equal,
        "node": config.node,
        "peer": config.peer,
        "seconds": round(seconds, 3),
        "rows": sum(found.rows.values()),
        "tables": found.rows,
        "late": found.late,
        "unsettled": found.unsettled,
        "skipped": list(found.skipped),
        "differences": [
            {"table": entry.table, "uuid": entry.uuid, "where": _where(config, entry),
             "columns": list(entry.changed), "rows": {config.node: entry.row, config.peer: entry.base}}
            for entry in found.entries
        ],
    }  # fmt: skip


def _where(config: Config, entry: Entry) -> str:
    return "both" if entry.row and entry.base else config.node if entry.row else config.peer


def _text(config: Config, found: LiveDifference, seconds: float, most: int | None) -> list[str]:
    rows, tables = sum(found.rows.values()), sum(1 for count in found.rows.values() if count)
    sides = f"{config.node} and {config.peer}"
    compared = f"{_count(rows, 'row')} in {_count(tables, 'table')} compared in {seconds:.1f} s"
    late = f"; {found.late} were still on their way at first" if found.late else ""
    lines = []
    if not found.entries and not found.unsettled:
        lines.append(f"{sides} are equal: {compared}{late}")
    if found.entries:
        lines.append(f"{sides} differ in {_count(len(found.entries), 'row')}: {compared}{late}")
        for entry in found.entries[:most]:
            lines += _entry(config, entry)
        if most is not None and len(found.entries) > most:
            lines.append(f"... and {len(found.entries) - most} more; --all shows them")
        lines.append("see ovsha status for whether the backup follows, and ovsha ledger list for rows of a split")
    if found.unsettled:
        lines.append(f"{_count(found.unsettled, 'row')} changed at every look, so nothing is known of them: try again")
    if found.skipped:
        lines.append(f"not compared, for one schema has them only: {', '.join(found.skipped)}")
    return lines


def _entry(config: Config, entry: Entry) -> list[str]:
    from ovsha.divergence.replay_check import shown

    name = f"  {entry.table} {entry.uuid}"
    if not entry.row or not entry.base:
        row = entry.row or entry.base or {}
        named = next((f", {key} {shown(row[key])}" for key in ("MAC", "name", "target", "dst_ip") if row.get(key)), "")
        return [f"{name}: only on {_where(config, entry)}{named}"]
    return [
        f"{name}: {column} is {shown(entry.row.get(column))} on {config.node}, "
        f"{shown(entry.base.get(column))} on {config.peer}"
        for column in entry.changed
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
