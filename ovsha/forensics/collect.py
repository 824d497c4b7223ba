"""The support archive: what somebody needs who was not there, of one side, without any key.

Each source becomes a file `NODE/...`; one that fails, hangs or is not there becomes a line in `NODE/MANIFEST` instead.
No key ever gets in: the configuration is written out from what was parsed, key files are not read but to be searched
for, and anything that holds the pair key or a private key all the same is left out.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ovsha import __version__, control_client
from ovsha import config as configuration
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError
from ovsha.host import child
from ovsha.mlag import reader
from ovsha.ovsdb import contents, endpoints, process
from ovsha.peer import rpc_client
from ovsha.peer.rpc_server import COLLECTED

MOST = 64 << 20
"""Bytes of one file; what is longer is cut, and that is said."""

_PRIVATE = b"PRIVATE KEY-----"
Progress = Callable[[int, int, str], None]


class Archive:
    """An archive that is being written to `path` for its owner only; whole when this block ends, or not there."""

    def __init__(self, path: Path, secrets: tuple[bytes, ...]) -> None:
        self.path, self.names = path, list[str]()
        self._secrets = (*secrets, _PRIVATE)
        self._part = path.with_name(path.name + ".part")

    def __enter__(self) -> Archive:
        self._part.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz", compresslevel=6)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._tar.close()
                self._file.flush()
        finally:
            self._file.close()
            if kind is None:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)

    def add(self, name: str, data: bytes) -> None:
        """Add a file.  Raises DriverError for one that holds a secret."""
        if any(secret in data for secret in self._secrets):
            raise DriverError("holds a key, and was left out")
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(data))
        self.names.append(name)

    def merge(self, other: Path, node: str) -> None:
        """Add what another side has collected, below its name.  Raises DriverError for an archive that is none."""
        try:
            with tarfile.open(other, "r:gz") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is not None and member.name.startswith(f"{node}/") and ".." not in member.name:
                        self.add(member.name, file.read())
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DriverError(f"the archive of {node} is damaged: {error}") from None


def fill(archive: Archive, config: Config, *, database: bool, progress: Progress) -> list[str]:
    """Add all of this side; return a line for each source that has nothing to give, with the reason."""
    wanted = sources(config, database=database)
    lines, missing = [], []
    for number, source in enumerate(wanted):
        progress(number, len(wanted), source.name)
        began = time.monotonic()
        try:
            size = sum(_add(archive, config, name, data) for name, data in source.read())
            lines.append(f"{source.name}: {size} bytes" if size else f"{source.name}: nothing there")
        except FileNotFoundError as error:
            lines.append(f"{source.name}: there is no {error.filename}")
        except (DriverError, ConfigError, OSError, ValueError, KeyError, TypeError) as error:
            missing.append(f"{source.name}: {' '.join(str(error).split())}")
        if time.monotonic() - began > 2.0:
            lines.append(f"  (took {time.monotonic() - began:.1f} s)")
    progress(len(wanted), len(wanted), "done")
    head = [f"collected on {config.node} at {time.strftime('%Y-%m-%dT%H:%M:%S%z')}", "", "there:"]
    text = [*head, *(f"  {line}" for line in lines), "", "missing:", *(f"  {line}" for line in missing)]
    archive.add(f"{config.node}/MANIFEST", ("\n".join(text) + "\n").encode())
    return missing


def _add(archive: Archive, config: Config, name: str, data: bytes) -> int:
    if len(data) > MOST:
        name, data = f"{name}.cut", data[:MOST]
    archive.add(f"{config.node}/{name}", data)
    return len(data)


def secrets_of(config: Config) -> tuple[bytes, ...]:
    """Return what must not be in an archive."""
    try:
        return (configuration.read_key(config.pair.key_file),)
    except ConfigError:
        return ()


def make_for_peer(config: Config, *, database: bool) -> dict[str, Any]:
    """Make the archive of this side where the peer can fetch it.  Raises DriverError."""
    directory = config.state_directory / COLLECTED
    path = directory / f"{config.node}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Archive(path, secrets_of(config)) as archive:
            missing = fill(archive, config, database=database, progress=lambda done, total, what: None)
    except OSError as error:
        raise DriverError(f"{directory}: an archive cannot be written: {error.strerror}") from None
    return {"name": path.name, "bytes": path.stat().st_size, "missing": missing}


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
    yield from () if config.standalone else reader.commands(config.clag).items()
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
        output, status, said = child.run(command, LIMIT, _MOST_FILE)
        if status and not output:
            raise DriverError(f"{command[0]} ended with status {status}" + (f": {said}" if said else ""))
        trailer = f"\n(ended with status {status}: {said})\n" if status else ""
        yield name, output + trailer.encode()

    return Source(name, read)


def _asked(config: Config, name: str, command: str, *words: str) -> Source:
    def read() -> Files:
        agent = control_client.in_directory(config.run_directory)
        yield name, control_client.ask(agent, command, *words, limit=LIMIT).encode()

    return Source(name, read)


def _appctl(config: Config, command: str) -> Source:
    name = f"ovsdb-server/{command.replace('/', '-').removeprefix('ovsdb-server-')}.txt"

    def read() -> Files:
        places = process.Places(config.server.file, config.server.pidfile, config.server.socket)
        pid = process.find(places).pid
        if pid is None:
            raise DriverError("ovsdb-server is not found")
        socket = config.server.pidfile.parent / f"ovsdb-server.{pid}.ctl"
        output, status, said = child.run(("ovs-appctl", "-T", f"{LIMIT:.0f}", "-t", str(socket), command), LIMIT + 2)
        if status:
            raise DriverError(said or f"ovs-appctl ended with status {status}")
        yield name, output

    return Source(name, read)


def _ask_agent(config: Config) -> rpc_client.Asker:
    own = str(config.nodes[config.node].peer_link)
    return rpc_client.Asker(own, config.exchange.port, configuration.read_key(config.pair.key_file), LIMIT)


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
            output, _, _ = child.run(command, LIMIT)
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
            contents.save(part, _LONG, *endpoints.backup_command(config, _LONG))
            yield "database.db", part.read_bytes()
        except DriverError:
            # Without a server there is still its file.
            yield "database-file.db", config.server.file.read_bytes()
