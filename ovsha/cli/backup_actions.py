"""Do what `ovsha backup` is told, but for restoring: each function takes the options and returns the exit status.

Raises DriverError and ConfigError, as commands do.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ovsha import SCHEMA as STATUS
from ovsha import config as configuration
from ovsha import control_client
from ovsha.backup import restore, store
from ovsha.backup.store import Backup, Opened, Taken
from ovsha.cli import common
from ovsha.cli.common import find
from ovsha.config import Config
from ovsha.divergence.compare import DONE, Entry
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.endpoints import own_database
from ovsha.peer import rpc_client

SCHEMA = 1
_PEER_LIMIT = 240.0
_FETCH_LIMIT = 120.0
_ANSWER_LIMIT = 60.0


def create(options: argparse.Namespace) -> int:
    """Take one, and export it."""
    config = configuration.load(options.config)
    where, why = _where(options, config)
    taken, where, why = _take(config, where, why)
    told: dict[str, Any] = {
        "schema": SCHEMA, "name": taken.path.name, "path": str(taken.path), "node": where, "why": why,
        "rows": taken.rows, "fingerprint": taken.fingerprint, "unchanged": taken.unchanged,
        "bytes": taken.path.stat().st_size, "exported": None,
    }  # fmt: skip
    trouble = ""
    if not taken.unchanged and config.backup.export:
        trouble = _export(config, taken.path)
        told["exported"] = not trouble
    if options.json:
        print(json.dumps(told, indent=2))
    elif taken.unchanged:
        print(f"nothing has changed since {taken.path.name}; it is not written again (looked at on {where}: {why})")
    else:
        print(f"{taken.path.name}: {taken.rows:,} rows, {size(told['bytes'])}, taken on {where}: {why}")
        print(f"it is {taken.path}" + ("" if trouble or not config.backup.export else ", and was exported"))
    if trouble:
        note(options, "warning", f"backup {taken.path.name} was taken, but not exported: {trouble}")
        raise DriverError(f"backup.export: {trouble}; the backup itself is {taken.path}")
    what = "nothing has changed since backup" if taken.unchanged else f"{taken.rows} rows in backup"
    note(options, "info", f"{what} {taken.path.name}, looked at on {where}")
    return 0


def list_all(options: argparse.Namespace) -> int:
    """Print what is kept."""
    config = configuration.load(options.config)
    kept = store.find(config.backup.directory)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "directory": str(config.backup.directory), "keep": config.backup.keep,
                          "backups": [_plain(each) for each in kept]}, indent=2))  # fmt: skip
    elif not kept:
        print(f"there is no backup in {config.backup.directory}; ovsha backup create takes one")
    else:
        width = max(len(each.path.name) for each in kept)
        print(f"{'name'.ljust(width)}  {'taken'.ljust(25)}  {'size':>9}  term")
        for each in kept:
            print(f"{each.path.name.ljust(width)}  {local(each.at)}  {size(each.size):>9}  {each.term or 'unknown'}")
        print(f"in {config.backup.directory}; the newest {config.backup.keep} are kept")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print what is in one, and what restoring it would do."""
    config = configuration.load(options.config)
    with store.opened(store.pick(config.backup.directory, options.backup), config.server.database) as opened:
        entries, why_not = _compared(config, opened)
        if options.json:
            counts = None if entries is None else kinds(entries)
            print(json.dumps({**about(opened), "restoring": counts, "why_not_compared": why_not or None}, indent=2))
            return 0
        lineage = f"term {opened.lineage[0]}, opened by {opened.lineage[1]}" if opened.lineage else "unknown lineage"
        print(f"backup: {opened.path}\nfingerprint: {opened.fingerprint}, whole\ndata: {lineage}")
        print(f"schema: {opened.schema['name']} {opened.schema.get('version', '')}")
        for line in table_lines(opened, entries or []):
            print(line)
        print(f"not compared with the database now: {why_not}" if entries is None else summary(entries))
    return 0


def verify(options: argparse.Namespace) -> int:
    """Open one or all, and say whether they are whole."""
    config = configuration.load(options.config)
    directory = config.backup.directory
    paths = [store.pick(directory, options.backup)] if options.backup else [each.path for each in store.find(directory)]
    told: list[dict[str, Any]] = []
    for path in paths:
        try:
            with store.opened(path, config.server.database) as opened:
                told.append({**about(opened), "whole": True, "trouble": None})
        except DriverError as error:
            told.append({"path": str(path), "whole": False, "trouble": str(error)})
    bad = [each for each in told if not each["whole"]]
    if options.json:
        print(json.dumps({"schema": SCHEMA, "backups": told}, indent=2))
    else:
        for each in told:
            if each["whole"]:
                print(f"{Path(each['path']).name}: is whole, {each['total']:,} rows")
        if not told:
            print(f"there is no backup in {directory}")
    if bad and not options.json:
        for each in bad[:-1]:
            print(f"ovsha: {each['trouble']}", file=sys.stderr)
        raise DriverError(bad[-1]["trouble"])
    return 1 if bad else 0


def prune(options: argparse.Namespace) -> int:
    """Remove the oldest."""
    config = configuration.load(options.config)
    keep = options.keep or config.backup.keep
    surplus = store.find(config.backup.directory)[:-keep]
    if surplus:
        common.ask(options, "these backups are removed:\n" + "\n".join(f"  {each.path}" for each in surplus))
    removed = store.prune_oldest(config.backup.directory, keep) if surplus else []
    left = len(store.find(config.backup.directory))
    if options.json:
        print(json.dumps({"schema": SCHEMA, "removed": [path.name for path in removed], "left": left}, indent=2))
    else:
        print(f"{len(removed)} removed, {left} kept in {config.backup.directory}")
    return 0


# -- where it is taken -------------------------------------------------------------------------------------------------


def _where(options: argparse.Namespace, config: Config) -> tuple[str, str]:
    """Return the node that takes the backup, and why that one."""
    node, peer = config.node, config.peer
    try:
        document = control_client.ask_json(find(options), "status", "json", schema=STATUS)
    except DriverError:
        return node, "the agent here does not answer, so the other side is not asked"
    if config.standalone:
        return node, "it stands alone"
    own, other = document["sides"][node], document["sides"][peer] or {}
    heard, synced = bool(other.get("current")), bool(document["in_sync"])
    if own["serving"]:
        if heard and synced:
            return peer, "it is the backup side and in sync"
        return node, f"{peer} is {'not in sync' if heard else 'not heard'}"
    if synced:
        return node, "it is the backup side and in sync"
    if heard and other.get("serving"):
        return peer, f"it is the active side, and the copy on {node} is not in sync"
    return node, "neither side is active; this is what its ovsdb-server holds"


def _take(config: Config, where: str, why: str) -> tuple[Taken, str, str]:
    """Return what was taken on `where`, or here when the peer cannot; the node, and why."""
    if where == config.node:
        return store.take(config), where, why
    try:
        return _from_peer(config), where, why
    except DriverError as error:
        return store.take(config), config.node, f"{where} could not take it: {error}"


def _from_peer(config: Config) -> Taken:
    directory = config.backup.directory
    store.need(directory)
    found = rpc_client.run_there(config, "backup", _PEER_LIMIT)
    path, mark, rows = directory / str(found["name"]), str(found["fingerprint"]), int(found["rows"])
    known = store.find(directory)
    if known and known[-1].fingerprint == mark:
        return Taken(known[-1].path, mark, rows, unchanged=True)
    if path.parent != directory or not path.name.endswith(f"-{mark}{store.SUFFIX}"):
        raise DriverError(f"the agent of {config.peer} names its backup in a form of another release")
    rpc_client.fetch(*rpc_client.peer_place(config), "backups", path.name, path, _FETCH_LIMIT)
    path.chmod(0o600)
    store.prune_oldest(directory, config.backup.keep)
    return Taken(path, mark, rows, unchanged=False)


def _export(config: Config, path: Path) -> str:
    """Give the backup to the operator's command; return why that failed, "" when it did not."""
    try:
        _, status, said = child.run((*config.backup.export, str(path)), config.backup.export_limit)
    except DriverError as error:
        return str(error)
    return f"{config.backup.export[0]} ended with status {status}" + (f": {said}" if said else "") if status else ""


# -- what is told ------------------------------------------------------------------------------------------------------


def note(options: argparse.Namespace, level: str, text: str) -> None:
    """Have the agent record that a backup was taken or restored, if it runs."""
    with suppress(DriverError):
        control_client.ask(find(options), "backup-note", level, text)


def about(opened: Opened) -> dict[str, Any]:
    """Return what there is to say of a backup that was opened."""
    term, node = opened.lineage or (None, None)
    return {
        "schema": SCHEMA, "path": str(opened.path), "fingerprint": opened.fingerprint, "term": term, "node": node,
        "database": opened.schema["name"], "version": opened.schema.get("version"),
        "rows": opened.counts, "total": sum(opened.counts.values()),
    }  # fmt: skip


def kinds(entries: list[Entry]) -> dict[str, int]:
    """Return how many rows of each kind there are."""
    return {kind.value: sum(entry.kind is kind for entry in entries) for kind in DONE}


def table_lines(opened: Opened, entries: list[Entry]) -> list[str]:
    """Return a table: rows in the backup, and what restoring it does, for each table that has either."""
    names = sorted(opened.counts.keys() | {entry.table for entry in entries})
    width = max([len(name) for name in names] + [5])
    lines = [f"{'table'.ljust(width)}  {'rows':>9}" + "".join(f"  {kind.value:>9}" for kind in DONE)]
    for name in names:
        counts = kinds([entry for entry in entries if entry.table == name])
        lines.append(
            f"{name.ljust(width)}  {opened.counts.get(name, 0):>9,}" + "".join(f"  {counts[k.value]:>9,}" for k in DONE)
        )
    return lines


def summary(entries: list[Entry]) -> str:
    """Return in a line what restoring would do now."""
    if not entries:
        return "the database holds exactly this now"
    counts = kinds(entries)
    return "restoring it now would leave " + ", ".join(f"{number:,} rows {kind}" for kind, number in counts.items())


def written(entries: list[Entry]) -> str:
    """Return what restoring has done."""
    counts = kinds(entries)
    return f"{counts['inserted']:,} rows inserted, {counts['changed']:,} changed and {counts['deleted']:,} deleted"


def size(count: int) -> str:
    """Return a number of bytes for humans."""
    return f"{count} B" if count < 1000 else f"{count / 1000:.1f} kB" if count < 10**6 else f"{count / 10**6:.1f} MB"


def local(at: datetime) -> str:
    """Return a moment in local time with its zone."""
    return at.astimezone().isoformat(sep=" ", timespec="seconds")


def _compared(config: Config, opened: Opened) -> tuple[list[Entry] | None, str]:
    try:
        with Session(own_database(config), config.server.database, _ANSWER_LIMIT) as session:
            columns = restore.shared(session, opened)
            return restore.plan(restore.present(session, columns), opened, columns), ""
    except DriverError as error:
        return None, str(error)


def _plain(each: Backup) -> dict[str, Any]:
    return {
        "name": each.path.name, "path": str(each.path), "at": each.at.isoformat(), "term": each.term,
        "fingerprint": each.fingerprint, "bytes": each.size,
    }  # fmt: skip
