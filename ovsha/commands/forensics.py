"""Look at the forensic bundles of split brains, here or on the peer, and remove them.

Those here are read from the disk, so that they can be seen while the agent is down; the
peer's are asked of its agent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ovsha import bundles, exchange
from ovsha import config as configuration
from ovsha.commands.common import add_config, command, group, show
from ovsha.config import Config
from ovsha.errors import ConfigError

_LIMIT = 10.0


def add(commands: Any) -> None:
    """Add `ovsha forensics` to the command line."""
    actions = group(commands, "forensics", "look at what was kept of a split brain")
    _action(actions, "list", _list, "list the bundles")
    _with_ident(_action(actions, "show", _show, "tell what a bundle holds"))
    clear = _action(actions, "clear", _clear, "remove a bundle, or all")
    _with_ident(clear, nargs="?")
    clear.add_argument("--yes", action="store_true", help="do not ask first")


def _action(actions: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> Any:
    added = command(actions, name, run, help)
    added.add_argument("--peer", action="store_true", help="those that the peer has, not those here")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)
    return added


def _with_ident(parser: Any, **form: Any) -> None:
    parser.add_argument("id", metavar="ID", help="a bundle, by the name that list prints", **form)


def _list(options: argparse.Namespace) -> int:
    store = Store(configuration.load(options.config), options.peer)
    show(options, {"schema": bundles.SCHEMA, "node": store.node, "bundles": store.find()}, _list_text)
    return 0


def _show(options: argparse.Namespace) -> int:
    store = Store(configuration.load(options.config), options.peer)
    show(options, {"schema": bundles.SCHEMA, "node": store.node, **store.show(options.id)}, _show_text)
    return 0


def _clear(options: argparse.Namespace) -> int:
    store = Store(configuration.load(options.config), options.peer)
    if not options.yes and not _agreed(store, options.id):
        print("nothing was removed")
        return 1
    removed = store.clear(options.id)
    show(options, {"schema": bundles.SCHEMA, "node": store.node, "removed": removed}, _clear_text)
    return 0


class Store:
    """The bundles of this switch, or of its `peer`.  Raises DriverError when they cannot be had."""

    def __init__(self, config: Config, peer: bool) -> None:
        self.node = config.peer if peer else config.node
        self._config, self._peer = config, peer
        self._directory = config.state_directory / bundles.DIRECTORY

    def find(self) -> list[dict[str, Any]]:
        """Return what `bundles.find` does."""
        if not self._peer:
            return bundles.find(self._directory)
        found: list[dict[str, Any]] = self._ask("forensics-list", {})
        return found

    def show(self, ident: str) -> dict[str, Any]:
        """Return what `bundles.show` does."""
        if not self._peer:
            return bundles.show(self._directory, ident)
        found: dict[str, Any] = self._ask("forensics-show", {"id": ident})
        return found

    def clear(self, ident: str | None) -> list[str]:
        """Return what `bundles.clear` does."""
        if not self._peer:
            return bundles.clear(self._directory, ident)
        removed: list[str] = self._ask("forensics-clear", {} if ident is None else {"id": ident})
        return removed

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        config = self._config
        address = str(config.other.peer_link)
        key = configuration.read_key(config.pair.key_file)
        return exchange.ask(address, config.exchange.port, key, method, params, _LIMIT)


def _agreed(store: Store, ident: str | None) -> bool:
    """Ask whether it is meant.  Raises ConfigError where nobody can answer."""
    what = f"the bundle {ident}" if ident else f"all {len(store.find())} bundles"
    if not sys.stdin.isatty():
        raise ConfigError(f"{what} of {store.node} would be removed for good: add --yes if that is meant")
    try:
        return input(f"Remove {what} of {store.node} for good? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _list_text(document: dict[str, Any]) -> str:
    if not document["bundles"]:
        return f"{document['node']} keeps no forensic bundle"
    return "\n".join(_line(bundle) for bundle in document["bundles"])


def _line(bundle: dict[str, Any]) -> str:
    what = bundle.get("trouble") or f"{bundle['node']} gave way to {bundle['winner']}: {bundle['why']}"
    lacks = f"; without {', '.join(bundle['missing'])}" if bundle.get("missing") else ""
    return f"{bundle['id']}  {_size(bundle['bytes']):>8}  {what}{lacks}"


def _show_text(document: dict[str, Any]) -> str:
    manifest = document["manifest"]
    lines = [
        f"{document['id']}: {manifest['what']}",
        f"at: {manifest['at']}",
        f"verdict: {manifest['winner']} goes on: {manifest['why']}",
        f"given up: term {manifest['term']} of {manifest['node']}",
        *(f"record of {node}: {_record(record)}" for node, record in manifest["records"].items()),
        "",
        f"on {document['node']} in {document['place']}:",
        *(f"  {name}: {_size(size)}" for name, size in document["files"].items()),
        *(f"  {name}: missing: {why}" for name, why in manifest["missing"].items()),
    ]
    for node, entries in document["traces"].items():
        lines += ["", f"last decisions of {node}:", *(f"  {_decision(entry)}" for entry in entries)]
    return "\n".join(lines)


def _record(record: dict[str, Any]) -> str:
    stamp = record.get("stamp")
    age = record.get("active_for")
    return ", ".join(
        [
            record.get("state", "init"),
            f"term {stamp[0]} of {stamp[1]}" if stamp else "no lineage",
            "active for " + ("an unknown time" if age is None else f"{age:.1f} s"),
            f"controllers: {record.get('controllers', 0)}",
            f"VTEP daemons: {record.get('vteps', 0)}",
            "with a gap" if record.get("lapsed", True) else "without a gap",
            *(["cut off from its clients"] if record.get("cut_off") else []),
        ]
    )


def _decision(entry: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(entry["at"], UTC).isoformat(timespec="milliseconds")
    step = f", step: {entry['step']}" if entry.get("step") else ""
    return f"{at} {entry['state']}, peer {entry['presence']}, {entry['rule']}: {entry['why']}{step}"


def _clear_text(document: dict[str, Any]) -> str:
    return "\n".join(f"{each}: removed" for each in document["removed"]) or f"{document['node']} keeps none"


def _size(size: int) -> str:
    return f"{size} B" if size < 10_000 else f"{size / 1024:.0f} KB" if size < 10_000_000 else f"{size >> 20} MB"

