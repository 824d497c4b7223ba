"""`ovsha forensics` and `ovsha collect`: the evidence of a move, and the archive for who was not there.

Those here are read from the disk, so that they can be seen while the agent is down; the
peer's are asked of its agent.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsha import config as configuration
from ovsha.cli.common import add_config, bar, command, group, show
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError
from ovsha.forensics import bundle
from ovsha.peer import rpc_client

if TYPE_CHECKING:
    from ovsha.config import Config
    from ovsha.forensics.collect import Archive


_LIMIT = 10.0


def add_forensics(commands: Any) -> None:
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
    show(options, {"schema": bundle.SCHEMA, "node": store.node, "bundles": store.find()}, _list_text)
    return 0


def _show(options: argparse.Namespace) -> int:
    store = Store(configuration.load(options.config), options.peer)
    show(options, {"schema": bundle.SCHEMA, "node": store.node, **store.show(options.id)}, _show_text)
    return 0


def _clear(options: argparse.Namespace) -> int:
    store = Store(configuration.load(options.config), options.peer)
    if not options.yes and not _agreed(store, options.id):
        print("nothing was removed")
        return 1
    removed = store.clear(options.id)
    show(options, {"schema": bundle.SCHEMA, "node": store.node, "removed": removed}, _clear_text)
    return 0


class Store:
    """The bundles of this switch, or of its `peer`.  Raises DriverError when they cannot be had."""

    def __init__(self, config: Config, peer: bool) -> None:
        self.node = config.peer if peer else config.node
        self._config, self._peer = config, peer
        self._directory = config.state_directory / bundle.DIRECTORY

    def find(self) -> list[dict[str, Any]]:
        """Return what `bundles.find` does."""
        if not self._peer:
            return bundle.find(self._directory)
        found: list[dict[str, Any]] = self._ask("forensics-list", {})
        return found

    def show(self, ident: str) -> dict[str, Any]:
        """Return what `bundles.show` does."""
        if not self._peer:
            return bundle.show(self._directory, ident)
        found: dict[str, Any] = self._ask("forensics-show", {"id": ident})
        return found

    def clear(self, ident: str | None) -> list[str]:
        """Return what `bundles.clear` does."""
        if not self._peer:
            return bundle.clear(self._directory, ident)
        removed: list[str] = self._ask("forensics-clear", {} if ident is None else {"id": ident})
        return removed

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        config = self._config
        address = str(config.other.peer_link)
        key = configuration.read_key(config.pair.key_file)
        return rpc_client.ask(address, config.exchange.port, key, method, params, _LIMIT)


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


_PEER_LIMIT = 240.0
_FETCH_LIMIT = 300.0


def add_collect(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "collect", _run, "put the state, the logs and the traces of both sides into one archive")
    add_config(added, argparse.SUPPRESS)
    added.add_argument("--output", metavar="FILE", type=Path, help="where to; default: ovsha-NODE-TIME.tar.gz here")
    added.add_argument("--database", action="store_true", help="with the database of each side, which can be large")
    added.add_argument("--no-peer", action="store_true", help="do not ask the other side for its part")


def _run(options: argparse.Namespace) -> int:
    # Here, because most commands do without it.
    from ovsha.forensics import collect

    config = configuration.load(options.config)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = (options.output or Path(f"ovsha-{config.node}-{moment}.tar.gz")).absolute()
    parts = f"{config.node}: this side"
    try:
        with collect.Archive(path, collect.secrets_of(config)) as archive, bar(options, "collecting") as progress:
            missing = collect.fill(archive, config, database=options.database, progress=progress)
            alone = options.no_peer or config.standalone
            trouble = "" if alone else _from_peer(archive, config, options.database, progress)
            if config.standalone:
                parts += ", which stands alone"
            elif options.no_peer:
                parts += f"\n{config.peer}: was not asked (--no-peer)"
            else:
                parts += f"\n{config.peer}: " + (f"missing: {trouble}" if trouble else "by its agent")
            archive.add("MANIFEST", f"{parts}\n\nEach side has a MANIFEST of its own.\n".encode())
            names = list(archive.names)
        size = path.stat().st_size
    except OSError as error:
        raise DriverError(f"{path}: cannot be written: {error.strerror or error}") from None
    print("\n".join(_text(config, path, size, names, missing, trouble)))
    return 0


def _from_peer(archive: Archive, config: Config, database: bool, progress: Any) -> str:
    """Add the peer's part; return why there is none, "" when there is."""
    from ovsha.peer import rpc_client

    progress(0, 1, f"waiting for {config.peer}")
    try:
        found = rpc_client.run_there(config, "collect", _PEER_LIMIT, database=database)
        with tempfile.TemporaryDirectory(prefix="ovsha-collect-") as place:
            part = Path(place) / "peer.tar.gz"
            rpc_client.fetch(*rpc_client.peer_place(config), "collect", str(found["name"]), part, _FETCH_LIMIT)
            rpc_client.ask(*rpc_client.peer_place(config), "task-end", {}, 10.0)
            archive.merge(part, config.peer)
    except (DriverError, ConfigError) as error:
        return " ".join(str(error).split())
    return ""


def _text(config: Config, path: Path, size: int, names: list[str], missing: list[str], trouble: str) -> list[str]:
    lines = [f"{path}: {size / 1000:,.1f} kB, {len(names)} files, readable by its owner only; no key is in it"]
    for node in (config.node, config.peer):
        own = [name.removeprefix(f"{node}/") for name in names if name.startswith(f"{node}/")]
        if own:
            heads = sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in own})
            lines.append(f"{node}: {' '.join(heads)}")
    lines += [f"{config.node} has no {line}" for line in missing]
    if trouble:
        lines.append(f"{config.peer} is missing: {trouble}; run ovsha collect there too")
    return lines
