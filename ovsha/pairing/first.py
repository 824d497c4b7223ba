"""Make this switch the first of a pair: key, configuration, services; it serves alone, and a bundle is for the other.

Each step looks at what is there and does what is missing, so that all of it can be repeated after an interruption.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from ovsha import config as configuration
from ovsha import remotes, safe_start
from ovsha.addresses import bare
from ovsha.checks import net, ovsdb
from ovsha.config import Config
from ovsha.config_yaml import read_yaml
from ovsha.core.words import count
from ovsha.drivers import store
from ovsha.errors import ConfigError, DriverError
from ovsha.pairing import agent, making
from ovsha.pairing.settings import Wishes, database_file, together
from ovsha.preflight import probe
from ovsha.setup import discover, document, files, key, server_options, units
from ovsha.setup.bundle import Bundle
from ovsha.setup.local_database import Local
from ovsha.setup.services import Services
from ovsha.setup.step import Step

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
    serves: agent.Document | None = None

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
        key.make_once(self.config.pair.key_file)
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
        self.serves = agent.serve_alone(config, "ovsha init")
        own = self.serves["sides"][config.node]
        peer = "" if self.serves["presence"] == "alive" else f"; it waits for {config.peer} to join"
        return f"{config.node} serves in term {own['stamp']['term']}{peer}"

    def _bundle(self) -> str:
        assert self.serves is not None
        self.made = making.make(self.config, self.serves)
        making.write(self.made, self.bundle_file)
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
    first = configuration.parse(document.render(wanted, before), str(path))
    file, local = database_file(wishes, older, first)
    if older is None or wishes.database_file is not None:
        wanted = replace(wanted, database_file=file)
    text = document.render(wanted, before)
    config = replace(configuration.parse(text, str(path)), file=path.absolute())
    if config.pair.key_file.exists():
        configuration.read_key(config.pair.key_file)
    store.load(config.state_directory / "state.json", config.pair.id, config.node)
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
    here = {str(each.address.ip): each.interface for each in net.held()}
    own = config.nodes[config.node]
    for address, what in ((own.peer_link, "peer_link"), (own.backup_path, "backup_path")):
        if address is not None and str(bare(address)) not in here:
            raise DriverError(f"{address} is on no interface of this switch, and nodes.{config.node}.{what} must be")
    vip = str(config.vip.address)
    if vip in here or config.vip.routed:
        return
    claimed = probe.claims(ip_address(vip), config.vip.interface)
    strangers = claimed - net.neighbours(str(bare(config.nodes[config.peer].peer_link)))
    if strangers:
        names = ", ".join(sorted(strangers))
        where = config.vip.interface
        raise DriverError(f"the VIP {vip} is taken: {names} answers for it on {where}; choose another by --vip")


def _deaf(config: Config, services: Services) -> bool:
    wanted = {word.removeprefix("--remote=") for word in safe_start.command(config, "") if word.startswith("--remote=")}
    return services.is_active(units.SERVER) and not wanted <= ovsdb.look(config).remotes


def _options(config: Config, services: Services) -> str | None:
    """Return the file of options that carries on what TLS the running server of another service has."""
    if services.is_active(units.SERVER) or remotes.credentials(config) or server_options.tls_of(server_options.given()):
        return None
    running = server_options.tls_of(ovsdb.look(config).words)
    return server_options.text([*server_options.given(), *running]) if running else None


def _written(path: Path, copy: Path | None) -> str:
    return f"{path}" + (f"; the older one is kept as {copy}" if copy else "")


def local_text(local: Local | None, config: Config) -> str:
    """Say what is in the database that will be served."""
    if local is None:
        return f"a new, empty database in {config.server.file}"
    return f"the database in {local.path}, with all its {count(local.rows, 'row')}"
