"""Have this switch join a pair: its old data kept aside, key and configuration, the copy, and the proof of it.

Each step looks at what is there and does what is missing, so that all of it can be repeated after an interruption.
What lets the services start, the configuration, is written last; before it the state, by which the agent knows that
only the other side has the pair's data, so that nothing here serves before it is a copy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ovsha import atomic_file, codec
from ovsha import config as configuration
from ovsha.config import Config
from ovsha.control_client import who
from ovsha.core.lineage import PARKED
from ovsha.divergence import compare
from ovsha.divergence.compare import Progress
from ovsha.errors import DriverError, UsageError
from ovsha.host.state_file import PersistentState, own_identity
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.endpoints import own_database, peer_server_remote
from ovsha.ovsdb.launch import SCHEMAS
from ovsha.peer import rpc_client
from ovsha.provision import database_file, files, init, units, wait
from ovsha.provision import target as looks
from ovsha.provision.bundle import Bundle
from ovsha.provision.files import Wanted
from ovsha.provision.step import Step
from ovsha.provision.target import Here, There
from ovsha.provision.units import Services
from ovsha.provision.wait import Document

_CONFIG_MODE, _KEY_MODE, _STATE_MODE = 0o644, 0o600, 0o600
_NOTE = "joined.json"


@dataclass
class Second:
    """What is going to be done on this switch; `look` finds it out and changes nothing.

    `schema`: the file of the schema that its database gets.  `stops`: the services whose place ours take.
    """

    bundle: Bundle
    config: Config
    text: str
    path: Path
    there: There
    here: Here
    schema: Path
    stops: list[str]
    services: Services
    replaces: bool

    @property
    def erased(self) -> bool:
        """Whether what is in this switch's database gives way to the pair's."""
        return not self.here.joined and self.here.local is not None

    @property
    def note(self) -> dict[str, Any]:
        """What an earlier run has noted of the old data: its snapshot and rows; empty when there is nothing."""
        try:
            found = codec.parse(atomic_file.read(self.config.state_directory / _NOTE))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("pair") == self.bundle.pair else {}

    def steps(self) -> list[Step]:
        """Return the steps in order."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        config, here, peer = self.config, self.here, self.config.peer
        stopping = [*self.stops, *([] if here.joined else self._ours())]
        stops = " ".join(stopping)
        would = f"systemctl disable --now {stops}\nhave a server that is left running exit"
        stray = units.stray(self.services, config) is not None
        yield Step("other services", would, lambda: self._stop(stopping), f"see systemctl status {stops}",
                   skipped="" if stopping or stray else "no other service starts an ovsdb-server")
        yield Step("directories", f"make {config.state_directory}, and draw an identity", self._identity,
                   skipped="this switch has its identity" if here.identity else "")
        yield Step("new unit", f"have the agent on {peer} know this switch as {config.node}", self._replace,
                   skipped="" if self.replaces else f"{peer} knows no other switch as {config.node}")
        rows = here.local.rows if here.local else 0
        yield Step("snapshot", f"copy {config.server.file} ({rows:,} rows) to {config.snapshots.directory}", self._keep,
                   skipped="" if self.erased and here.local and here.local.counts else "there is nothing to be kept")
        yield Step("database", f"make {config.server.file} an empty database of {self.schema}", self._blank,
                   skipped="it is the pair's already" if here.joined else "")
        yield Step("state", f"write {self._state}: only {peer} has the pair's data", self._write_state,
                   skipped="it is the pair's already" if here.joined else "")
        names = "\n".join(str(each.path) for each in self._files())
        yield Step("files", f"write\n{names}", self._write_files, skipped="" if self._changed() else "all are there")
        yield self._begin(units.SERVER, "ovsdb-server")
        yield self._begin(units.AGENT, "agent")

    def _ours(self) -> list[str]:
        return [unit for unit in (units.AGENT, units.SERVER) if self.services.is_active(unit)]

    def _begin(self, unit: str, what: str) -> Step:
        restarts = self.here.joined and self._changed() and self.services.is_active(unit) and unit == units.AGENT
        there = self.here.joined and units.set_up(self.services, unit) and not restarts
        return Step(what, f"systemctl enable {unit}\nsystemctl {'re' if restarts else ''}start {unit}",
                    lambda: self._started(unit, restarts), f"see journalctl -u {unit}",
                    skipped=f"{unit} runs and is enabled" if there else "")  # fmt: skip

    @property
    def _state(self) -> Path:
        return self.config.state_directory / "state.json"

    def _stop(self, stopping: list[str]) -> str:
        self.services.disable(*stopping)
        ended = units.end_stray(self.services, self.config)
        return "; ".join(filter(None, (f"stopped: {', '.join(stopping)}" if stopping else "", ended)))

    def _identity(self) -> str:
        directory = self.config.state_directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DriverError(f"{directory}: cannot be made: {error.strerror}") from None
        return f"this switch is {own_identity(directory / 'identity')}"

    def _replace(self) -> str:
        config = self.config
        identity = own_identity(config.state_directory / "identity")
        params = {"node": config.node, "identity": identity, "who": who()}
        address = str(config.nodes[config.peer].peer_link)
        key = self.bundle.key.strip()
        told = rpc_client.ask(address, config.exchange.port, key, rpc_client.REPLACE, params, looks.ASK_LIMIT)
        was = told.get("was") if isinstance(told, dict) else None
        return f"{config.peer} knows it by {identity}" + (f", and forgot {was}" if was not in (None, identity) else "")

    def _keep(self) -> str:
        local = self.here.local
        assert local is not None
        kept = database_file.keep(self.config, local)
        note = {"pair": self.bundle.pair, "snapshot": str(kept), "rows": local.rows}
        try:
            atomic_file.write(self.config.state_directory / _NOTE, json.dumps(note) + "\n")
        except OSError as error:
            raise DriverError(f"{self.config.state_directory / _NOTE}: cannot be written: {error.strerror}") from None
        return str(kept)

    def _blank(self) -> str:
        file = self.config.server.file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DriverError(f"{file.parent}: cannot be made: {error.strerror}") from None
        database_file.blank(file, self.schema)
        return f"{file} is empty, and a backup of {PARKED} until the agent has it follow {self.config.peer}"

    def _write_state(self) -> str:
        stamp = self.there.stamp
        kept = PersistentState(
            self.bundle.pair, self.config.node, term=stamp.term, peer_stamp=stamp, peer_identity=self.bundle.identity
        )
        older = files.replace(self._state, json.dumps(asdict(kept)), _STATE_MODE)
        moved = f"; the older one is {older}" if older else ""
        return f"{self._state}: term {stamp.term} is with {stamp.node}{moved}"

    def _files(self) -> list[Wanted]:
        """Return what is to be written, the configuration, without which no service starts, at last."""
        shared = [Wanted(Path(each.path), each.content, each.mode) for each in self.bundle.files]
        key = Wanted(self.config.pair.key_file, self.bundle.key, _KEY_MODE)
        return [*shared, key, Wanted(self.path, self.text.encode(), _CONFIG_MODE)]

    def _changed(self) -> bool:
        return any(files.read(each.path) != each.content for each in self._files())

    def _write_files(self) -> str:
        wanted = self._files()
        copies = [str(each) for each in files.together(wanted) if each is not None]
        kept = f"; older ones are kept as {', '.join(copies)}" if copies else ""
        return ", ".join(str(each.path) for each in wanted) + kept

    def _started(self, unit: str, restarts: bool) -> str:
        self.services.reload()
        self.services.enable(unit)
        (self.services.restart if restarts else self.services.start)(unit)
        return f"{unit} runs and is enabled"


def look(
    bundle: Bundle, path: Path, database_file: Path | None, *, replaces: bool, discard: bool, services: Services
) -> Second:
    """Return what is to be done.  Raises DriverError and UsageError, and changes nothing."""
    services.need()
    if not services.exists(units.SERVER):
        raise DriverError(f"{units.SERVER} is not installed: install the package of ovsha")
    config = bundle.settings()
    text = bundle.config
    if database_file is not None:
        text = _with_file(text, database_file)
        config = configuration.parse(text, "the configuration in the bundle")
    looks.who(config, bundle, path, discard)
    there = looks.there(config, bundle)
    here = looks.here(config, bundle, discard)
    schema = SCHEMAS.get(config.server.database)
    if schema is None:
        raise DriverError(f"the schema of {config.server.database} is not known here")
    own = here.local.whole_schema if here.joined and here.local else looks.schema_of(schema)
    refused = looks.schema_refusal(own, config, there) or looks.identity_refusal(here.identity, config, there, replaces)
    if refused:
        raise DriverError(refused)
    if not discard and not here.joined:
        for local in (*([here.local] if here.local else []), *here.others):
            refused = looks.content_refusal(local, config, there)
            if refused:
                raise UsageError(f"{refused}: add --discard-local to give it up; a snapshot is taken first")
    known = there.status["identity"]["peer"]
    return Second(
        bundle, replace(config, file=path), text, path, there, here, schema, units.others(services), services,
        replaces and known is not None and known != here.identity,
    )  # fmt: skip


def _with_file(text: str, file: Path) -> str:
    """Return the text of a configuration with another database file, without its comments."""
    import yaml

    from ovsha.config.values import read_yaml

    values = read_yaml(text)
    assert isinstance(values, dict)
    values["server"] = {**(values.get("server") or {}), "file": str(file)}
    changed: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return changed


_LIMIT = 60.0
_LOOK_LIMIT = 0.5
_PATIENCE = 10.0
"""Seconds for which an agent may wait for an operator: one that has just started has not heard the other side yet."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that both sides are equal: rows compared, in how many tables, in which term, after how long a copy."""

    rows: int
    tables: int
    term: int
    seconds: float
    status: Document


def in_sync(config: Config, total: int, limit: float, say: Say, progress: Progress) -> Document:
    """Wait until our agent says that its copy is in sync, telling each phase once.

    `total`: rows that are to come.  Raises DriverError when the agent waits for an operator, or after `limit` s.
    """
    phase, stuck_since = "", 0.0

    def holds(found: Document) -> bool:
        nonlocal phase, stuck_since
        now = _phase(found)
        if now != phase:
            phase = now
            say(now)
        stuck_since = (stuck_since or time.monotonic()) if found["state"] == "needs-decision" else 0.0
        if stuck_since and time.monotonic() - stuck_since > _PATIENCE:
            raise DriverError(f"{config.node} cannot copy {config.peer}, because {found['why']}; see ovsha status")
        copied = _copied(config)
        if copied is not None:
            progress(min(copied, total), max(total, 1), f"{copied:,} of {total:,} rows")
        return bool(found["in_sync"] and found["sides"][config.node]["in_sync_for"] is not None)

    return wait.until(config, holds, limit, f"{config.node} is not in sync with {config.peer}")


def prove(config: Config, progress: Progress) -> Proof:
    """Compare both sides row by row.  Raises DriverError when they differ."""
    began = time.monotonic()
    database = config.server.database
    with (
        Session(own_database(config), database, _LIMIT) as own,
        Session(peer_server_remote(config), database, _LIMIT, config.peer) as peer,
    ):
        found = compare.compare_live(own, peer, progress)
    if found.entries:
        raise DriverError(f"{config.node} and {config.peer} differ in {len(found.entries):,} rows: see ovsha verify")
    status: dict[str, Any] | None = wait.status(config)
    if status is None or not status["in_sync"]:
        raise DriverError(f"the pair is not in sync any more: {status['verdict'] if status else 'no agent runs'}")
    rows, tables = sum(found.rows.values()), sum(1 for count in found.rows.values() if count)
    return Proof(rows, tables, status["sides"][config.peer]["stamp"]["term"], time.monotonic() - began, status)


def _phase(found: Document) -> str:
    step = f" ({found['step']})" if found["step"] else ""
    side = found["sides"][found["node"]]
    if side["in_sync_for"] is not None:
        return "in sync"
    if side["role"] == "backup" and side["replicating"] and not found["step"]:
        return "the copy is filled, and waits for the next token"
    return f"{found['why']}{step}"


def _copied(config: Config) -> int | None:
    """Return how many rows our server has, None when it is too busy to tell."""
    try:
        with Session(own_database(config), config.server.database, _LOOK_LIMIT) as session:
            return sum(init.rows_of(session).values())
    except DriverError:
        return None
