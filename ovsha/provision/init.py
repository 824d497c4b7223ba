"""Make this switch the first of a pair: key, configuration, services; it serves alone, and a bundle is for the other.

Each step looks at what is there and does what is missing, so that all of it can be repeated after an interruption.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from ovsha import __version__, atomic_file
from ovsha import config as configuration
from ovsha.checks import probes
from ovsha.config import Config
from ovsha.config.switch import Server
from ovsha.config.values import bare, read_yaml
from ovsha.core import lineage as schemas
from ovsha.core.facts import Stamp
from ovsha.errors import ConfigError, DriverError, UsageError
from ovsha.host import state_file
from ovsha.net import routes
from ovsha.ovsdb import contents, endpoints, launch, own_server
from ovsha.ovsdb.client import Session
from ovsha.provision import bundle, config_file, database_file, discover, files, server_options, units, wait
from ovsha.provision.bundle import Bundle
from ovsha.provision.config_file import Node, Settings
from ovsha.provision.database_file import Local
from ovsha.provision.discover import Found
from ovsha.provision.step import Step
from ovsha.provision.units import Services
from ovsha.provision.wait import Document
from ovsha.words import count

_CONFIG_MODE = 0o644


@dataclass
class First:
    """What is going to be done on this switch; `look` finds it out and changes nothing.

    `text`: of the configuration, `changed`: whether the file has another one.  `deaf`: our server runs and does not
    listen where the other switch will copy from, as one that stood alone does not.  `options`: those for
    ovsdb-server that its file lacks, None when it needs none.  `stops`: the services whose place ours take.
    """

    config: Config
    text: str
    changed: bool
    local: Local | None
    options: str | None
    stops: list[str]
    services: Services
    deaf: bool
    bundle_file: Path
    made: Bundle | None = None
    serves: wait.Document | None = None

    def steps(self) -> list[Step]:
        """Return the steps in order."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        config, path = self.config, self.config.file
        assert path is not None
        key_file = config.pair.key_file
        yield Step("pair key", f"make {key_file}, mode 0600", self._key,
                   skipped=f"{key_file} is there" if key_file.exists() else "")
        nothing = "ovsdb-server needs no options of its own, or has them"
        would = f"write {server_options.FILE}\n{(self.options or '').strip()}"
        yield Step("server options", would, self._options, skipped="" if self.options is not None else nothing)
        yield Step("configuration", f"write {path}:\n{self.text}", self._configuration,
                   skipped="" if self.changed else f"{path} says all of it already")
        stops = " ".join(self.stops)
        would = f"systemctl disable --now {stops}\nhave a server that is left running exit"
        stray = units.stray(self.services, config) is not None
        yield Step("other services", would, self._stop_others,
                   f"see systemctl status {stops}", self._start_others if self.stops else None,
                   skipped="" if self.stops or stray else "no other service starts an ovsdb-server")
        yield self._begin(units.SERVER, "ovsdb-server")
        yield self._begin(units.AGENT, "agent")
        yield Step("serve alone", f"have the agent serve until {config.peer} joins, which it remembers", self._serve)
        yield Step("bundle", f"write {self.bundle_file}, mode 0600", self._bundle)

    def _begin(self, unit: str, what: str) -> Step:
        restarts = self.changed if unit == units.AGENT else self.deaf
        there = units.set_up(self.services, unit) and not restarts
        return Step(what, f"systemctl enable {unit}\nsystemctl {'re' if restarts else ''}start {unit}",
                    lambda: self._started(unit, restarts), f"see journalctl -u {unit}",
                    skipped=f"{unit} runs and is enabled" if there else "")  # fmt: skip

    def _key(self) -> str:
        files.make_once(self.config.pair.key_file)
        return str(self.config.pair.key_file)

    def _options(self) -> str:
        assert self.options is not None
        return _written(server_options.FILE, files.replace(server_options.FILE, self.options, server_options.MODE))

    def _configuration(self) -> str:
        assert self.config.file is not None
        return _written(self.config.file, files.replace(self.config.file, self.text, _CONFIG_MODE))

    def _stop_others(self) -> str:
        self.services.disable(*self.stops)
        ended = units.end_stray(self.services, self.config)
        return "; ".join(filter(None, (f"stopped and disabled: {', '.join(self.stops)}" if self.stops else "", ended)))

    def _start_others(self) -> None:
        # Ours is what keeps them from starting, and it may be half-way up.
        self.services.disable(units.SERVER)
        for unit in self.stops:
            units.begin(self.services, unit)

    def _started(self, unit: str, restarts: bool) -> str:
        self.services.reload()
        self.services.enable(unit)
        (self.services.restart if restarts else self.services.start)(unit)
        return f"{unit} runs and is enabled"

    def _serve(self) -> str:
        config = self.config
        self.serves = wait.serve_alone(config, "ovsha init")
        own = self.serves["sides"][config.node]
        peer = "" if self.serves["presence"] == "alive" else f"; it waits for {config.peer} to join"
        return f"{config.node} serves in term {own['stamp']['term']}{peer}"

    def _bundle(self) -> str:
        assert self.serves is not None
        self.made = make(self.config, self.serves)
        write(self.made, self.bundle_file)
        return str(self.bundle_file)


def look(wishes: Wishes, path: Path, bundle_file: Path | None, services: Services) -> First:
    """Return what is to be done.  Raises DriverError, ConfigError and UsageError, and changes nothing."""
    services.need()
    if not services.exists(units.SERVER):
        raise DriverError(f"{units.SERVER} is not installed: install the package of ovsha")
    before = (files.read(path) or b"").decode(errors="replace")
    try:
        read_yaml(before)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; correct it, or move it away") from None
    older = _older(path)
    interface = wishes.interface or (older.peer_link.interface if older else "")
    vip = wishes.vip or (str(older.vip.address) if older and older.vip.address else "")
    found = discover.look(older.clag if older else None, interface, vip)
    wanted = together(wishes, older, found)
    first = configuration.parse(config_file.render(wanted, before), str(path))
    file, local = wished_database(wishes, older, first)
    if older is None or wishes.database_file is not None:
        wanted = replace(wanted, database_file=file)
    text = config_file.render(wanted, before)
    config = replace(configuration.parse(text, str(path)), file=path.absolute())
    if config.pair.key_file.exists():
        configuration.read_key(config.pair.key_file)
    state_file.load(config.state_directory / "state.json", config.pair.id, config.node)
    _check_here(config)
    return First(
        config, text, text != before, local, _options(config, services), units.others(services), services,
        _deaf(config, services), bundle_file or Path(f"ovsha-join-{config.pair.id}.json").absolute(),
    )  # fmt: skip


def _older(path: Path) -> Config | None:
    """Return the configuration that is there; None for none, or for one that is not complete yet."""
    if not path.exists():
        return None
    try:
        return configuration.load(path)
    except ConfigError:
        return None


def _check_here(config: Config) -> None:
    """Raise DriverError where an address of ours is not on this switch, or somebody else has the VIP."""
    here = {str(each.address.ip): each.interface for each in routes.held()}
    own = config.nodes[config.node]
    for address, what in ((own.peer_link, "peer_link"), (own.backup_path, "backup_path")):
        if address is not None and str(bare(address)) not in here:
            raise DriverError(f"{address} is on no interface of this switch, and nodes.{config.node}.{what} must be")
    vip = str(config.vip.address)
    if vip in here or config.vip.routed:
        return
    claimed = probes.claims(ip_address(vip), config.vip.interface)
    strangers = claimed - routes.neighbours(str(bare(config.nodes[config.peer].peer_link)))
    if strangers:
        names = ", ".join(sorted(strangers))
        where = config.vip.interface
        raise DriverError(f"the VIP {vip} is taken: {names} answers for it on {where}; choose another by --vip")


def _deaf(config: Config, services: Services) -> bool:
    wanted = {word.removeprefix("--remote=") for word in launch.command(config, "") if word.startswith("--remote=")}
    return services.is_active(units.SERVER) and not wanted <= own_server.look(config).remotes


def _options(config: Config, services: Services) -> str | None:
    """Return the file of options that carries on what TLS the running server of another service has."""
    runs = services.is_active(units.SERVER)
    if runs or endpoints.credentials(config) or server_options.tls_of(server_options.given()):
        return None
    running = server_options.tls_of(own_server.look(config).words)
    return server_options.text([*server_options.given(), *running]) if running else None


def _written(path: Path, copy: Path | None) -> str:
    return f"{path}" + (f"; the older one is kept as {copy}" if copy else "")


def local_text(local: Local | None, config: Config) -> str:
    """Say what is in the database that will be served."""
    if local is None:
        return f"a new, empty database in {config.server.file}"
    return f"the database in {local.path}, with all its {count(local.rows, 'row')}"


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator said; "" and None are options that were not given."""

    pair: str = ""
    node: str = ""
    peer_name: str = ""
    vip: str = ""
    vip_port: int | None = None
    address: str = ""
    peer_address: str = ""
    backup: str = ""
    peer_backup: str = ""
    interface: str = ""
    preferred: str = ""
    database_file: Path | None = None


def together(wishes: Wishes, older: Config | None, found: Found) -> Settings:
    """Return the settings, in which the options come first, then an older file, then what clagd and the kernel say.

    Raises UsageError, which names the option, for what nobody says.
    """
    node = wishes.node or (older.node if older else "") or socket.gethostname().partition(".")[0]
    peer = wishes.peer_name or (older.peer if older and older.node == node else "")
    if not peer:
        raise UsageError("the name of the other switch is not known: give it by --peer-name NAME")
    if peer == node:
        raise UsageError(f"both switches would be called {node}: give --node NAME or --peer-name NAME otherwise")
    own_before = older.nodes.get(node) if older else None
    peer_before = older.nodes.get(peer) if older else None
    nodes = {
        node: Node(
            peer_link=wishes.address or _text(own_before and own_before.peer_link) or found.own,
            backup_path=wishes.backup or _text(own_before and own_before.backup_path) or found.own_backup or None,
        ),
        peer: Node(
            peer_link=wishes.peer_address or _text(peer_before and peer_before.peer_link) or found.peer,
            backup_path=(
                wishes.peer_backup or _text(peer_before and peer_before.backup_path) or found.peer_backup or None
            ),
        ),
    }
    vrf_is_news = bool(found.vrf) and own_before is None and nodes[node].backup_path is not None
    made = Settings(
        node=node,
        pair=wishes.pair or (older.pair.id if older else "") or f"{node}-{peer}",
        nodes=nodes,
        preferred=wishes.preferred or (older.pair.preferred if older and not older.standalone else node),
        interface=wishes.interface or (older.peer_link.interface if older else "") or found.interface,
        backup_vrf=found.vrf if found.own_backup and nodes[node].backup_path == found.own_backup else "",
        vip=wishes.vip or _text(older and older.vip.address),
        vip_port=wishes.vip_port,
        more={"backup_path": {"vrf": found.vrf}} if vrf_is_news else {},
    )
    _complete(made, found)
    return made


def wished_database(wishes: Wishes, older: Config | None, config: Config) -> tuple[Path, Local | None]:
    """Return the file of the database that is to be served, and what is in it, None when there is none yet.

    `config` is the configuration as far as it is known.  Raises UsageError where the file cannot be told,
    and DriverError where its server serves other databases too.
    """
    database, server = config.server.database, own_server.look(config)
    own_server.refuse_several(server, database)
    if wishes.database_file is not None or older is not None:
        path = wishes.database_file or config.server.file
        return path, database_file.look(path, database)
    running = [Path(word) for word in server.words[1:] if word.startswith("/")]
    found = database_file.find(database, running)
    if not found:
        other = Server.file.exists()
        return (Server.file.with_name("vtep.db") if other else Server.file), None
    served = [each for each in found if each.path in running]
    filled = [each for each in found if each.rows]
    if len(filled) > 1 and len(served) != 1:
        several = ", ".join(f"{each.path} ({each.rows:,} rows)" for each in filled)
        raise UsageError(f"there are several databases {database}: {several}: give the one by --database-file FILE")
    chosen = (served or filled or found)[0]
    return chosen.path, chosen


def missing(what: str, option: str, found: Found) -> UsageError:
    """Return the error for something that nobody says."""
    why = f" ({'; '.join(found.trouble)})" if found.trouble else ""
    return UsageError(f"{what} is not known{why}: give it by {option}")


def _complete(made: Settings, found: Found) -> None:
    own, peer = made.nodes.values()
    if not made.interface:
        raise missing("the interface of the peer link", "--interface NAME", found)
    if not own.peer_link:
        what = f"this switch's address on {made.interface}, which is not the VIP,"
        raise missing(what, "--address ADDRESS, or another interface by --interface NAME", found)
    if not peer.peer_link:
        raise missing("the other switch's address on the peer link", "--peer-address ADDRESS", found)
    if not made.vip:
        raise UsageError("the VIP, which no other program can tell, is not known: give it by --vip ADDRESS")
    if bool(own.backup_path) != bool(peer.backup_path):
        option = "--backup-address" if peer.backup_path else "--peer-backup-address"
        raise missing("one end of the backup path", f"{option} ADDRESS", found)


def _text(address: object) -> str:
    return "" if address is None else str(address)


def make(config: Config, status: Document) -> Bundle:
    """Return the bundle for the other switch; `status` is what our agent tells.  Raises DriverError."""
    node, own = config.node, status["sides"][config.node]
    if not own["serving"]:
        other = status["sides"][config.peer] or {}
        hint = f"run it on {config.peer}, which does" if other.get("serving") else "see ovsha status"
        raise DriverError(f"{node} does not serve, so nothing can be copied from it; {hint}")
    with own_server.database(config) as session:
        found = session.schema()
        rows = sum(len(contents.row_uuids(session, table)) for table in contents.tables(found))
    key = files.read(config.pair.key_file)
    if key is None or config.file is None:
        raise DriverError(f"{config.pair.key_file}: is gone")
    text = files.read(config.file) or b""
    stamp = own["stamp"]
    return Bundle(
        pair=config.pair.id,
        maker=node,
        identity=status["identity"]["own"] or "",
        node=config.peer,
        config=config_file.text(text.decode(), config),
        key=key,
        files=server_options.shared(config),
        stamp=None if stamp is None else Stamp(stamp["term"], stamp["node"], stamp["chosen"]),
        schema=schemas.describe_schema(found),
        rows=rows,
        made=time.time(),
        version=__version__,
    )


def write(made: Bundle, path: Path) -> None:
    """Put the bundle into a file for its owner only.  Raises DriverError."""
    try:
        atomic_file.write(path, bundle.pack(made), bundle.MODE)
    except OSError as error:
        raise DriverError(f"{path}: the bundle cannot be written: {error.strerror}; name another by --bundle") from None


def rows_of(session: Session) -> dict[str, int]:
    """Return how many rows each table of a running server has.  Raises DriverError."""
    return {table: len(contents.row_uuids(session, table)) for table in contents.tables(session.schema())}
