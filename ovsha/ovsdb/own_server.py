"""Our own ovsdb-server as a command asks it: what runs, what it was started with, its rows, its controllers.

It is found by the lock of its database, as the agent finds it, and asked with a time limit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsha.config import Config
from ovsha.config.switch import Server
from ovsha.core.facts import Role
from ovsha.errors import DriverError
from ovsha.net.routes import Connection
from ovsha.ovsdb import endpoints, process, unixctl
from ovsha.ovsdb.client import Session

ANSWER_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class OwnServer:
    """What can be seen of the server; `trouble` says why it does not answer, "" when it does.

    `pid` None: it does not run.  `words`: its command line.  `source`: whom it is told to copy from.
    `line`: its own words on the state of the copy.  `databases`: what it serves, but for its own.
    `astray`: what became of the file that it writes to, "" while that is in its place.  `control`: its control socket.
    `stranger`: why it is another server than the one of the database that is configured, "" when it is that one.
    """

    pid: int | None = None
    words: tuple[str, ...] = ()
    stopped: bool = False
    trouble: str = ""
    role: Role | None = None
    source: str | None = None
    replicating: bool = False
    line: str = ""
    remotes: frozenset[str] = frozenset()
    version: tuple[int, int] = (0, 0)
    databases: tuple[str, ...] = ()
    stranger: str = ""
    astray: str = ""
    control: Path = Path()


class Control(Session):
    """The control socket of an ovsdb-server (ovs-appctl(8)), whose form is that of a database session."""

    def __init__(self, path: Path, limit: float = ANSWER_LIMIT) -> None:
        super().__init__(f"unix:{path}", "", limit)

    def __enter__(self) -> Control:
        return self

    def command(self, name: str, *words: str) -> str:
        """Return what a control command prints."""
        return str(self._call(name, list(words)) or "")


def program(server: OwnServer) -> str:
    """Return the path of ovsdb-server: of the one that runs, or else of the one that is installed.

    Raises DriverError when there is neither.
    """
    if server.pid is not None and (running := Path(f"/proc/{server.pid}/exe")).exists():
        return str(running.resolve())
    found = shutil.which("ovsdb-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise DriverError("ovsdb-server is not installed")
    return found


def look(config: Config) -> OwnServer:
    """Return what is to be seen of the server now; never raises."""
    return look_at(config.server)


def look_at(places: Server) -> OwnServer:
    """Return what is to be seen now of the server that has these places; never raises."""
    pidfile, sight = places.pidfile, process.find(process.Places(places.file, places.pidfile, places.socket))
    if sight.unsure:
        return OwnServer(trouble=sight.unsure)
    pid = process.named_by(pidfile) if sight.pid is None else sight.pid
    missing = _missing(pidfile, pid) if sight.pid is None else ""
    if missing or pid is None:
        return OwnServer(trouble=sight.stranger or missing)
    try:
        words = tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0"))[:-1]
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return OwnServer(trouble=f"process {pid} has just ended")
    if state in ("T", "t"):
        return OwnServer(pid, words, stopped=True, trouble="a signal has stopped it")
    try:
        return replace(_asked(pid, words, places), stranger=sight.stranger)
    except DriverError as error:
        return OwnServer(pid, words, trouble=str(error), stranger=sight.stranger)


def holder(config: Config) -> str:
    """Say who has our database file open, or may have, whether it answers or not; "" when nobody has for sure."""
    places = config.server
    sight = process.find(process.Places(places.file, places.pidfile, places.socket))
    return sight.unsure if sight.pid is None else f"process {sight.pid}"


def _missing(pidfile: Path, pid: int | None) -> str:
    """Say why a pidfile leads to no server, "" when it leads to one."""
    if pid is None:
        there = pidfile.exists()
        return f"{pidfile} cannot be read, or holds no pid" if there else f"{pidfile} does not exist"
    name = process.name_of(pid)
    if not name:
        return f"{pidfile} names a process that is gone"
    return "" if name == process.SERVER else f"{pidfile} names process {pid}, which is {name}"


def _asked(pid: int, words: tuple[str, ...], places: Server) -> OwnServer:
    path = places.pidfile.parent / f"ovsdb-server.{pid}.ctl"
    with Control(path) as control:
        status = unixctl.sync_status(control.command("ovsdb-server/sync-status"), places.database)
        return OwnServer(
            pid,
            words,
            role=status.role,
            source=control.command("ovsdb-server/get-active-ovsdb-server").strip() or None,
            replicating=status.replicating,
            line=status.line,
            remotes=frozenset(control.command("ovsdb-server/list-remotes").split()),
            version=unixctl.version(control.command("version")),
            databases=tuple(sorted({*control.command("ovsdb-server/list-dbs").split()} - {"_Server"})),
            astray=process.astray(pid, places.file),
            control=path,
        )


def several(server: OwnServer, database: str) -> str:
    """Say what else the server of `database` serves, which following the peer would overwrite; "" when nothing."""
    others = [each for each in server.databases if each != database]
    if not others or database not in server.databases:
        return ""
    return f"ovsdb-server (pid {server.pid}) serves {', '.join(others)} beside {database}, and to follow overwrites all"


APART = "serve {} by an ovsdb-server of its own, and the others by another one"
"""What to do about it, for the name of the database."""


def refuse_several(server: OwnServer, database: str) -> None:
    """Raise DriverError where the server of `database` serves others too."""
    found = several(server, database)
    if found:
        raise DriverError(f"{found}: {APART.format(database)}")


@contextmanager
def database(config: Config, target: str = "") -> Iterator[Session]:
    """Open a session with this switch's database, or with the same one at `target`; DriverError when that fails."""
    target = target or endpoints.own_database(config)
    with Session(target, config.server.database, ANSWER_LIMIT) as session:
        yield session


def select(session: Session, table: str, *columns: str) -> list[dict[str, Any]]:
    """Return these columns of all rows of a table; a backup answers too.  Raises DriverError."""
    operation = {"op": "select", "table": table, "where": [], "columns": list(columns)}
    rows: list[dict[str, Any]] = session.transact([operation])[0]["rows"]
    return rows


def option(words: tuple[str, ...], long: str, short: str = "") -> str | None:
    """Return the value of an option on a command line (getopt_long(3)), None when it is not there."""
    for number, word in enumerate(words[1:], 1):
        if word.startswith(f"--{long}="):
            return word.partition("=")[2]
        if word == f"--{long}" or (short and word == f"-{short}"):
            return words[number + 1] if number + 1 < len(words) else ""
        if short and word.startswith(f"-{short}") and not word.startswith("--"):
            return word[2:]
    return None


@dataclass(frozen=True, slots=True)
class Manager:
    """A Manager row; `read` is None for a target that is no TCP target or cannot be read.

    `connected` and `status` are what stands in the row, which on a backup is a copy of the active side's.
    """

    target: str
    read: endpoints.Target | None
    connected: bool
    status: dict[str, str]

    @property
    def address(self) -> endpoints.Address | None:
        """Where the controller listens; None for one that is named, or that comes to us."""
        return None if self.read is None or self.read.passive else self.read.address

    def has_session(self, session: Connection) -> bool:
        """Tell whether a connection of ovsdb-server's is with this controller."""
        ends = (session.local, session.local_port, session.remote, session.remote_port)
        return self.read is not None and self.read.met_by(*ends) is not False

    @property
    def where(self) -> str:
        """Its address and port."""
        return self.target.partition(":")[2]


def managers(config: Config) -> list[Manager]:
    """Return the Manager rows of this switch's own copy.  Raises DriverError when the server does not answer."""
    columns = ("target", "is_connected", "status")
    with database(config) as session:
        return [_manager(row) for row in select(session, "Manager", *columns)]


def _manager(row: dict[str, Any]) -> Manager:
    target = str(row["target"])
    return Manager(target, endpoints.read(target), row["is_connected"] is True, dict(row["status"][1]))
