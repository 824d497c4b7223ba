"""Look, before this switch joins a pair, whether it may: who it is, who serves, whose schema and whose data is there.

Nothing is changed by any of this.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovsha import SCHEMA as STATUS
from ovsha import atomic_file
from ovsha import config as configuration
from ovsha.config import Config
from ovsha.config.values import bare
from ovsha.core import lineage as schemas
from ovsha.core.facts import Stamp
from ovsha.core.lineage import term_of
from ovsha.errors import ConfigError, DriverError
from ovsha.host import state_file
from ovsha.host.state_file import PersistentState
from ovsha.net import routes
from ovsha.ovsdb import contents, log_file, own_server
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.endpoints import peer_server_remote
from ovsha.peer import rpc_client
from ovsha.provision import database_file, init
from ovsha.provision.bundle import Bundle
from ovsha.provision.database_file import Local
from ovsha.provision.wait import Document
from ovsha.words import count

ASK_LIMIT = 5.0
_ROWS_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class There:
    """What the switch that made the bundle is and has now: what its agent tells, its schema, its rows by table."""

    status: Document
    schema: Mapping[str, Any]
    counts: Mapping[str, int]

    @property
    def rows(self) -> int:
        """All its rows."""
        return sum(self.counts.values())

    @property
    def cells(self) -> int:
        """Rows times columns, counted as those of a `Local`."""
        return Local(Path(), dict(self.schema), dict(self.counts)).cells

    @property
    def stamp(self) -> Stamp:
        """By whom its database was stamped, and in which term."""
        found = self.status["sides"][self.status["node"]]["stamp"]
        return Stamp(found["term"], found["node"], found["chosen"])


@dataclass(frozen=True, slots=True)
class Here:
    """What this switch is and has: its identity, what its agent remembers, the database, others that are not used.

    `joined`: it has joined this pair already, as far as its state says.
    """

    identity: str
    kept: PersistentState | None
    joined: bool
    local: Local | None
    others: Sequence[Local] = field(default=())


def who(config: Config, bundle: Bundle, path: Path, discard: bool) -> None:
    """Raise DriverError where this switch is not the one that the bundle is for."""
    held = {str(each.address.ip): each.interface for each in routes.held()}
    own, maker = config.nodes[config.node], config.nodes[config.peer]
    if str(bare(maker.peer_link)) in held:
        raise DriverError(
            f"this switch has {maker.peer_link}: it is {config.peer}, which made the bundle for {config.node}"
        )
    for address, key in ((own.peer_link, "peer_link"), (own.backup_path, "backup_path")):
        if address is not None and str(bare(address)) not in held:
            raise DriverError(
                f"{address}, nodes.{config.node}.{key} of the bundle, is on no interface of this switch: configure it,"
                f" or run `ovsha init` on {config.peer} with the right one"
            )
    there = {each.interface for each in routes.held()}
    for interface in {config.peer_link.interface, *([] if config.vip.routed else [config.vip.interface])}:
        if interface not in there and not Path("/sys/class/net", interface).exists():
            raise DriverError(f"this switch has no interface {interface}, which the configuration in the bundle names")
    if path.exists() and not discard:
        try:
            older = configuration.load(path)
        except ConfigError:
            return
        if older.pair.id != bundle.pair:
            raise DriverError(
                f"{path}: this switch is {older.node} of pair {older.pair.id}, and the bundle is of pair {bundle.pair}:"
                " add --discard-local if it leaves that one"
            )


def there(config: Config, bundle: Bundle) -> There:
    """Return what the maker of the bundle is and has.  Raises DriverError where it is another, or does not serve."""
    maker, address = bundle.maker, str(config.nodes[config.peer].peer_link)
    found = rpc_client.ask(address, config.exchange.port, bundle.key.strip(), "status", {}, ASK_LIMIT)
    if not isinstance(found, dict) or found.get("schema") != STATUS:
        raise DriverError(f"the agent on {maker} answers in a form of another release; upgrade both switches")
    if (found["pair"], found["node"]) != (bundle.pair, maker):
        raise DriverError(f"{address} is {found['node']} of pair {found['pair']}, and not {maker} of {bundle.pair}")
    if found["identity"]["own"] != bundle.identity:
        raise DriverError(
            f"{maker} is another switch than the one that made the bundle, or lost its state since: make a new bundle"
            f" by `ovsha init` on {maker}"
        )
    if not found["sides"][maker]["serving"] or found["sides"][maker]["stamp"] is None:
        raise DriverError(f"{maker} does not serve, so nothing can be copied from it: see ovsha status there")
    with (
        _with_credentials(config, bundle) as able,
        Session(peer_server_remote(able), config.server.database, _ROWS_LIMIT, maker) as session,
    ):
        return There(found, session.schema(), init.rows_of(session))


@contextmanager
def _with_credentials(config: Config, bundle: Bundle) -> Iterator[Config]:
    """Give a configuration by which the server there can be asked: what TLS needs is not in its place yet."""
    section = config.replication
    brought = {Path(each.path): each for each in bundle.files}
    named = {name: getattr(section, name) for name in ("private_key", "certificate", "ca_cert")}
    if not section.tls or not brought.keys() >= {*named.values()}:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="ovsha-") as place:
        for name, path in named.items():
            file = Path(place) / name
            file.touch(mode=0o600)
            file.write_bytes(brought[path].content)
            named[name] = file
        yield replace(config, replication=replace(section, **named))


def here(config: Config, bundle: Bundle, discard: bool) -> Here:
    """Return what this switch is and has.  Raises DriverError where it belongs to another pair and is to stay."""
    state = config.state_directory / "state.json"
    kept: PersistentState | None = None
    if state.exists():
        try:
            kept = state_file.load(state, config.pair.id, config.node)
        except DriverError:
            if not discard:
                why = "is of another pair or damaged: add --discard-local to leave that behind"
                raise DriverError(f"{state}: {why}") from None
    database = config.server.database
    local = database_file.look(config.server.file, database)
    server = own_server.look(config)
    own_server.refuse_several(server, database)
    running = [Path(word) for word in server.words[1:] if word.startswith("/")]
    own = config.server.file.resolve()
    others = [each for each in database_file.find(database, running) if each.path.resolve() != own]
    joined = kept is not None and kept.peer_identity == bundle.identity and config.server.file.exists()
    return Here(_identity(config), kept, joined, local, others)


def _identity(config: Config) -> str:
    """Return the identity of this switch, "" when it has none yet."""
    try:
        return atomic_file.read(config.state_directory / "identity").strip()
    except (OSError, ValueError):
        return ""


def schema_refusal(own: Mapping[str, Any], config: Config, found: There) -> str:
    """Say why a server with the schema `own` cannot copy from there, "" when it can: it must have all that is there."""
    gap = schemas.schema_gap(own, found.schema)
    if not gap:
        return ""
    return (
        f"the schema of {config.peer}, {found.schema.get('version')}, has {gap}, which that of {config.node},"
        f" {own.get('version')}, lacks: upgrade openvswitch here first, as the backup side is upgraded first"
    )


def content_refusal(local: Local, config: Config, found: There) -> str:
    """Say why what this switch has must not be given up unasked, "" when it may be."""
    if not local.rows:
        return ""
    stamp, what = local.stamp, f"{local.path}: has {count(local.rows, 'row')}"
    if stamp is not None and stamp.node not in config.nodes:
        return f"{what} of another pair, stamped by {stamp.node} in term {stamp.term}"
    if term_of(stamp) > found.stamp.term:
        return f"{what} of term {term_of(stamp)}, newer than those of {config.peer}, of term {found.stamp.term}"
    if local.cells > found.cells:
        return f"{what}, {local.cells:,} cells, and {config.peer} has {found.cells:,} only"
    return ""


def identity_refusal(own: str, config: Config, found: There, replaces: bool) -> str:
    """Say why the other side would not take this switch for its peer, "" when it would."""
    known, node = found.status["identity"]["peer"] or "", config.node
    if known in ("", own):
        return ""
    if not replaces:
        return (
            f"{config.peer} knows another switch as {node}: if this one takes its place, add --replace;"
            f" if this one lost its state, too"
        )
    if found.status["presence"] == "alive":
        return f"{config.peer} hears the {node} that it knows, so nothing replaces that: switch it off first"
    return ""


def schema_of(file: Path) -> dict[str, Any]:
    """Return the schema that a database made of a file such as vtep.ovsschema has.  Raises DriverError."""
    if not file.exists():
        raise DriverError(f"{file} is not there; install openvswitch-vtep")
    with tempfile.TemporaryDirectory(prefix="ovsha-") as place:
        # A server tells its schema in its own form, so it is compared in that.
        made = Path(place) / "blank.db"
        contents.tool(database_file.LIMIT, "create", str(made), str(file))
        return log_file.schema(made)
