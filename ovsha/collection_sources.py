"""Say what is collected of one side: each source has a name, and a function that gives files or raises why not."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ovsha import __version__, client, exchange, mlag, programs, remotes
from ovsha import config as configuration
from ovsha.config import Config
from ovsha.drivers import process
from ovsha.errors import DriverError
from ovsha.ledger import content

LIMIT = 8.0
"""Seconds for one program, and for one answer."""

_LONG = 60.0
_MOST_FILE = 32 << 20
_LOG_LINES = 5000
_PACKAGES = (
    "openvswitch-common", "openvswitch-switch", "openvswitch-vtep", "python3-openvswitch", "ifupdown2", "clag", "mstpd",
    "ptmd", "ovsha",
)  # fmt: skip

Files = Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Source:
    """A source: `read` gives names and contents, or raises DriverError or OSError."""

    name: str
    read: Callable[[], Files]


def sources(config: Config, *, database: bool) -> list[Source]:
    """Return what is collected, in order: first what changes, last what only grows."""
    state = config.state_directory
    found = [
        *(_asked(config, name, command, *words) for name, command, *words in (
            ("status.json", "status", "json"), ("status.txt", "status"), ("sync-status.txt", "sync-status"),
            ("counters.json", "counters", "json"), ("agent-version.txt", "version"),
        )),
        *(_appctl(config, command) for command in (
            "ovsdb-server/sync-status", "ovsdb-server/get-active-ovsdb-server", "ovsdb-server/list-remotes",
            "ovsdb-server/list-dbs", "memory/show", "version", "vlog/list", "coverage/show",
        )),
        *(_program(name, command) for name, command in _programs(config)),
        # The agent of a switch that stands alone answers no exchange; what it decided is in its journal.
        *([] if config.standalone else [
            Source("trace.jsonl", partial(_trace, config)), Source("agent.log", partial(_log, config)),
        ]),
        Source("config.yaml", partial(_configuration, config)),
        Source("versions.txt", _versions),
        *(_directory(name, state / name, pattern) for name, pattern in (
            ("journal", "*"), ("ledgers", "*.json"), ("ledgers", "*.rows"), ("bases", "*.json"),
            ("forensics", "*/manifest.json"), ("forensics", "*/trace-*.jsonl"), ("upgrade", "*.json"),
        )),
        *(Source(name, partial(_file, name, state / name)) for name in ("state.json", "peer-token.json")),
        *(Source(f"log/{path.name}", partial(_tail, f"log/{path.name}", path)) for path in (
            Path("/var/log/openvswitch/ovsdb-server.log"), Path("/var/log/openvswitch/ovs-vtepd.log"),
            Path("/var/log/clagd.log"), Path("/var/log/switchd.log"),
        )),
    ]  # fmt: skip
    return [*found, Source("database.db", partial(_database, config))] if database else found


def _programs(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from () if config.standalone else mlag.commands(config.clag).items()
    yield "net/addresses.txt", ("ip", "-d", "-s", "address", "show")
    yield "net/routes.txt", ("ip", "route", "show", "table", "all")
    yield "net/routes6.txt", ("ip", "-6", "route", "show", "table", "all")
    yield "net/rules.txt", ("ip", "rule", "show")
    yield "net/neighbours.txt", ("ip", "-s", "neigh", "show")
    yield "net/sockets.txt", ("ss", "-tuapnoi")
    yield "net/socket-summary.txt", ("ss", "-s")
    yield "processes.txt", ("ps", "-eo", "pid,ppid,etimes,pcpu,rss,stat,wchan:20,comm")
    yield "disks.txt", ("df", "-h")
    yield "clock.txt", ("timedatectl", "show")
    yield "systemd/units.txt", (
        "systemctl", "show", "ovsha", "ovsha-backup.service", "ovsha-backup.timer", "openvswitch-vtep", "clagd",
        "--property=Id,ActiveState,SubState,Result,ExecMainStatus,NRestarts,ActiveEnterTimestamp,FragmentPath",
    )  # fmt: skip
    yield "systemd/journal.txt", (
        "journalctl", "--no-pager", "-o", "short-iso-precise", "-n", str(_LOG_LINES),
        "-u", "ovsha", "-u", "ovsha-backup", "-u", "openvswitch-vtep", "-u", "clagd",
    )  # fmt: skip
    for name, path in (("state", config.state_directory), ("snapshots", config.snapshots.directory),
                       ("backups", config.backup.directory), ("database", config.server.file.parent)):  # fmt: skip
        if path.is_dir():
            yield f"files/{name}.txt", ("ls", "-la", "--time-style=full-iso", str(path))


def _program(name: str, command: tuple[str, ...]) -> Source:
    def read() -> Files:
        output, status, said = programs.run(command, LIMIT, _MOST_FILE)
        if status and not output:
            raise DriverError(f"{command[0]} ended with status {status}" + (f": {said}" if said else ""))
        trailer = f"\n(ended with status {status}: {said})\n" if status else ""
        yield name, output + trailer.encode()

    return Source(name, read)


def _asked(config: Config, name: str, command: str, *words: str) -> Source:
    def read() -> Files:
        yield name, client.ask(client.in_directory(config.run_directory), command, *words, limit=LIMIT).encode()

    return Source(name, read)


def _appctl(config: Config, command: str) -> Source:
    name = f"ovsdb-server/{command.replace('/', '-').removeprefix('ovsdb-server-')}.txt"

    def read() -> Files:
        places = process.Places(config.server.file, config.server.pidfile, config.server.socket)
        pid = process.find(places).pid
        if pid is None:
            raise DriverError("ovsdb-server is not found")
        socket = config.server.pidfile.parent / f"ovsdb-server.{pid}.ctl"
        output, status, said = programs.run(("ovs-appctl", "-T", f"{LIMIT:.0f}", "-t", str(socket), command), LIMIT + 2)
        if status:
            raise DriverError(said or f"ovs-appctl ended with status {status}")
        yield name, output

    return Source(name, read)


def _ask_agent(config: Config) -> exchange.Asker:
    own = str(config.nodes[config.node].peer_link)
    return exchange.Asker(own, config.exchange.port, configuration.read_key(config.pair.key_file), LIMIT)


def _trace(config: Config) -> Files:
    entries: list[dict[str, Any]] = []
    with _ask_agent(config) as agent:
        while len(entries) < 5000:
            answer = agent.ask("trace", {"after": entries[-1]["number"] if entries else 0})
            entries += answer["entries"]
            if not answer["more"] or not answer["entries"]:
                break
    yield "trace.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def _log(config: Config) -> Files:
    with _ask_agent(config) as agent:
        lines = agent.ask("log", {})
    yield "agent.log", "".join(f"{line}\n" for line in lines).encode()


def _configuration(config: Config) -> Files:
    # What was parsed and not the file, whose comments may hold anything.
    yield "config.yaml", yaml.safe_dump(_plain(config), sort_keys=False).encode()


def _plain(value: Any) -> Any:
    """Return the configuration as YAML takes it; of a command only the program, for its words may hold a password."""
    if is_dataclass(value):
        found = {}
        for field in fields(value):
            if field.metadata:
                part = getattr(value, field.name)
                hidden = field.name == "export" and len(part) > 1
                found[field.name] = [part[0], "(words left out)"] if hidden else _plain(part)
        return found
    if hasattr(value, "items"):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, (bool, int, float)) or value is None else str(value)


def _versions() -> Files:
    lines = [f"ovsha {__version__}", " ".join(os.uname())]
    for command in (("ovsdb-server", "--version"), ("python3", "--version"), ("ovsdb-client", "--version"),
                    ("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\\n", *_PACKAGES)):  # fmt: skip
        try:
            output, _, _ = programs.run(command, LIMIT)
            lines.append(output.decode(errors="replace").strip())
        except DriverError as error:
            lines.append(str(error))
    for path in (Path("/etc/os-release"), Path("/etc/lsb-release")):
        if path.exists():
            lines += ["", f"{path}:", path.read_text(errors="replace").strip()]
    yield "versions.txt", ("\n".join(lines) + "\n").encode()


def _directory(name: str, place: Path, pattern: str) -> Source:
    def read() -> Files:
        for path in sorted(place.glob(pattern)):
            if path.is_file() and not path.name.endswith(".part"):
                yield from _file(f"{name}/{path.relative_to(place)}", path)

    return Source(f"{name}/{pattern}", read)


def _file(name: str, path: Path) -> Files:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _MOST_FILE))
        yield name, file.read(_MOST_FILE)


def _tail(name: str, path: Path) -> Files:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - (1 << 20)))
        yield name, b"\n".join(file.read(1 << 20).splitlines()[-_LOG_LINES:]) + b"\n"


def _database(config: Config) -> Files:
    with tempfile.TemporaryDirectory(prefix="ovsha-collect-") as place:
        part = Path(place) / "database.db"
        try:
            target, limit = remotes.own_database(config), f"--timeout={_LONG:.0f}"
            how = [limit, *remotes.client_options(config, target), "backup", target]
            content.save(part, _LONG, "ovsdb-client", *how, config.server.database)
            yield "database.db", part.read_bytes()
        except DriverError:
            # Without a server there is still its file.
            yield "database-file.db", config.server.file.read_bytes()

