"""Do `ovsha backup restore`: say what it does and what NSX will see, keep what is there, write, look at the result."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import tenacity

from ovsha import SCHEMA as STATUS
from ovsha import config as configuration
from ovsha import control_client
from ovsha.backup import restore, store
from ovsha.backup.store import Opened
from ovsha.cli import common
from ovsha.cli.backup_actions import SCHEMA, about, kinds, note, size, table_lines, written
from ovsha.cli.common import find
from ovsha.config import Config
from ovsha.control_client import NotRunning
from ovsha.core.facts import Stamp
from ovsha.divergence import compare
from ovsha.divergence.compare import Entry
from ovsha.errors import DriverError
from ovsha.host import state_file
from ovsha.ovsdb import contents, own_server
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.endpoints import own_database, peer_server_remote
from ovsha.peer import rpc_client

_LIMIT = 120.0
"""Seconds for one answer of ovsdb-server; a transaction of 100,000 rows takes some."""

_LOOK_LIMIT = 5.0
_COPY_LIMIT = 20.0


def run(options: argparse.Namespace) -> int:
    """Restore a backup."""
    config = configuration.load(options.config)
    with store.opened(store.pick(config.backup.directory, options.backup), config.server.database) as opened:
        return _offline(options, config, opened) if options.offline else _online(options, config, opened)


# -- into the running server -------------------------------------------------------------------------------------------


def _online(options: argparse.Namespace, config: Config, opened: Opened) -> int:
    _need_serving(options, config)
    with Session(own_database(config), config.server.database, _LIMIT) as session:
        if not restore.writable(session):
            raise DriverError(f"{config.node}: its ovsdb-server is a backup; restore on the active side")
        columns = restore.shared(session, opened)
        entries = restore.plan(restore.present(session, columns), opened, columns)
        if not entries:
            return _tell(options, opened, [], "the database holds exactly this already; nothing was done", 0)
        common.ask(options, "\n".join(_intent(config, opened, entries)))
        before = store.take(config, prune=False)
        restore.online(session, entries, opened.path.name)
        failed = len(restore.remaining(session, entries, columns))
        left = len(restore.plan(restore.present(session, columns), opened, columns))
    # What clients have written since then is none of ours.
    since = f"; {left - failed} other rows were written by clients since" if left > failed else ""
    copied = config.standalone or _await_copy(config, entries, columns)
    there = f"{config.peer} has them too" if copied else f"{config.peer} has not copied them yet; see ovsha status"
    note(options, "warning", f"backup {opened.path.name} was restored: {written(entries)}")
    lines = [
        f"restored: {written(entries)}; {failed} of them differ{since}",
        f"what was there before: {before.path.name}, to be restored in the same way",
        *([] if config.standalone else [there]),
    ]
    more = {"before": str(before.path), "copied": copied, "since": left - failed}
    status = _tell(options, opened, entries, "\n".join(lines), failed, **more)
    return status if copied else 1


def _need_serving(options: argparse.Namespace, config: Config) -> None:
    """Raise DriverError when the agent says that this side does not serve."""
    try:
        document = control_client.ask_json(find(options), "status", "json", schema=STATUS)
    except NotRunning:
        return  # then the server itself tells
    sides = document["sides"]
    if not sides[config.node]["serving"]:
        other = sides.get(config.peer) or {}
        hint = f"run this on {config.peer}" if other.get("serving") else "see ovsha status"
        raise DriverError(f"{config.node} is not the active side, and a backup is restored there only; {hint}")


def kept_term(config: Config) -> int:
    """Return the newest term that the agent of this switch has kept on disk.  Raises DriverError for a damaged file."""
    kept = state_file.load(config.state_directory / "state.json", config.pair.id, config.node)
    return max(kept.term, kept.reserved - 1, kept.peer_stamp.term if kept.peer_stamp else 0)


def _intent(config: Config, opened: Opened, entries: list[Entry]) -> list[str]:
    counts = kinds(entries)
    return [
        f"{opened.path.name} is restored into the running ovsdb-server of {config.node}:",
        *table_lines(opened, entries),
        f"In one transaction {counts['inserted']:,} rows are inserted, {counts['changed']:,} changed and "
        f"{counts['deleted']:,} deleted" + ("." if config.standalone else f"; {config.peer} gets them at once."),
        "NSX and the VTEP daemons stay connected and see just these rows go, come and change; rows keep their UUIDs.",
        "NSX may write its own state over it afterwards, for it holds itself to be right.",
        "A backup of what is there now is taken first.",
    ]


def _await_copy(config: Config, entries: list[Entry], columns: dict[str, tuple[str, ...]]) -> bool:
    """Tell whether the peer's database has the rows too."""

    def missing() -> bool:
        with suppress(DriverError), Session(peer_server_remote(config), config.server.database, _LOOK_LIMIT) as peer:
            return bool(restore.remaining(peer, entries, columns))
        return True

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_delay(_COPY_LIMIT),
        wait=tenacity.wait_fixed(0.3),
        retry_error_callback=lambda state: True,
    )
    return not retrying(missing)


# -- into the file -----------------------------------------------------------------------------------------------------


def _offline(options: argparse.Namespace, config: Config, opened: Opened) -> int:
    _need_stopped(options, config)
    file, database = config.server.file, config.server.database
    own_term = restore.term_of_file(file, database)
    warnings: list[str] = []
    peer_term = 0 if config.standalone else _peer_term(config, opened, warnings)
    if peer_term > own_term:
        raise DriverError(
            f"{config.peer} has newer data: term {peer_term}, and {file} has {own_term}; restore there"
        )
    stamp = Stamp(max(own_term, peer_term, kept_term(config)) + 1, config.node, False)
    now = restore.rows_of_file(file, database)
    entries = list(compare.difference(now, opened.rows))
    common.ask(options, "\n".join(_intent_offline(config, opened, entries, stamp, warnings)))
    try:
        old = restore.offline(file, opened, stamp)
    except OSError as error:
        raise DriverError(f"{error.filename or file}: {error.strerror}; the old file is still in its place") from None
    left = list(compare.difference(restore.rows_of_file(file, database), opened.rows))
    left = [entry for entry in left if entry.table != "Global"] if not opened.rows.get("Global") else left
    then = "" if config.standalone else f", then ovsha on {config.peer}"
    following = f"start ovsdb-server here, then ovsha here{then}"
    lines = [
        f"restored into {file} as term {stamp.term}: {sum(opened.counts.values()):,} rows, {len(left)} of them differ",
        f"the old file is kept: {old}" if old else "there was no file before",
        f"now {following}",
    ]
    more = {"term": stamp.term, "before": str(old) if old else None, "next": following}
    return _tell(options, opened, entries, "\n".join(lines), len(left), **more)


def _peer_term(config: Config, opened: Opened, warnings: list[str]) -> int:
    """Return the term of the peer's database, 0 when it cannot be asked, which goes to `warnings`.

    Raises DriverError when its server is active, or of another schema.
    """
    try:
        with Session(peer_server_remote(config), config.server.database, _LOOK_LIMIT) as peer:
            if restore.writable(peer):
                raise DriverError(
                    f"ovsdb-server of {config.peer} is active and may have newer data; restore there, or stop it too"
                )
            found = restore.term(peer)
            _same_schema(opened, peer.schema(), f"ovsdb-server of {config.peer}")
            return found
    except DriverError as error:
        if "cannot be reached" not in str(error):
            raise
        warnings.append(f"ovsdb-server of {config.peer} cannot be asked: whether it has newer data is not known.")
        return 0


def _need_stopped(options: argparse.Namespace, config: Config) -> None:
    """Raise DriverError while anybody runs who would use the file, or take over meanwhile."""
    both = config.node if config.standalone else f"{config.node} and {config.peer}"
    how = f"stop ovsha on {both}, then ovsdb-server on {config.node}, and run this again"
    try:
        control_client.ask(find(options), "version")
    except NotRunning:
        pass
    else:
        raise DriverError(f"the agent of {config.node} runs and would fail over: {how}")
    if not config.standalone:
        _need_peer_stopped(config, how)
    holder = own_server.holder(config)
    if holder:
        raise DriverError(f"ovsdb-server of {config.node} runs ({holder}): {how}")


def _need_peer_stopped(config: Config, how: str) -> None:
    """Raise DriverError when the peer's agent runs, who would take over meanwhile."""
    try:
        rpc_client.ask(*rpc_client.peer_place(config), "list", {"kind": "ledgers"}, _LOOK_LIMIT)
    except DriverError as error:
        if "cannot be reached" not in str(error):
            raise DriverError(f"the agent of {config.peer} runs and would take over: {how}") from None
    else:
        raise DriverError(f"the agent of {config.peer} runs and would take over: {how}")


def _same_schema(opened: Opened, known: dict[str, Any], whose: str) -> None:
    ours, theirs = contents.tables(opened.schema), contents.tables(known)
    if {name: table.columns for name, table in ours.items()} != {name: table.columns for name, table in theirs.items()}:
        raise DriverError(
            f"{opened.path}: has schema {opened.schema.get('version')}, and {whose} has {known.get('version')};"
            " unpack it and convert it by ovsdb-tool convert first"
        )


def _intent_offline(
    config: Config, opened: Opened, entries: list[Entry], stamp: Stamp, warnings: list[str]
) -> list[str]:
    return [
        *warnings,
        f"{opened.path.name} takes the place of {config.server.file}, as term {stamp.term}:",
        *table_lines(opened, entries),
        "Rows keep their UUIDs."
        + ("" if config.standalone else f"  {config.peer} copies it as soon as ovsdb-server here is started."),
        "NSX and the VTEP daemons have no server until then, and read everything anew.",
        f"The old file ({size(_size(config.server.file))}) is kept beside it.",
    ]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tell(
    options: argparse.Namespace, opened: Opened, entries: list[Entry], text: str, failed: int, **more: Any
) -> int:
    if options.json:
        told = {**about(opened), "schema": SCHEMA, "written": kinds(entries), "failed": failed, **more}
        print(json.dumps(told, indent=2))
    else:
        print(text)
    return 1 if failed else 0
