"""The database of this switch in its file: find it, keep a snapshot, blank it, serve it privately."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovs.poller import Poller

from ovsha import atomic_file
from ovsha.config import Config
from ovsha.core.facts import Stamp, Token
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.host.snapshot import Snapshots, label
from ovsha.ovsdb import contents, log_file
from ovsha.ovsdb.client import Session

PLACES = (
    Path("/var/lib/openvswitch/conf.db"),
    Path("/var/lib/openvswitch/vtep.db"),
    Path("/etc/openvswitch/vtep.db"),
    Path("/etc/openvswitch/conf.db"),
)
"""Where Cumulus and Debian keep it; Debian has another database in a conf.db."""

LIMIT = 120.0
"""Seconds for one run of ovsdb-tool; 100,000 rows take some."""

_HIDDEN = 2
"""Columns that every table has and no schema names, _uuid and _version; ovsdb-server counts their cells too."""


@dataclass(frozen=True, slots=True)
class Local:
    """A database file: its schema, how many rows of which table, and by whom it was stamped, None for by nobody.

    `cells`: rows times columns, as memory/show of ovsdb-server(1) counts them.
    """

    path: Path
    whole_schema: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)
    stamp: Stamp | None = None
    token: Token | None = None

    @property
    def rows(self) -> int:
        """All rows but the one of Global, which ovsha itself makes where there is none."""
        return sum(count for table, count in self.counts.items() if table != "Global")

    @property
    def cells(self) -> int:
        """Rows times columns."""
        tables = self.whole_schema["tables"]
        return sum(count * (len(tables[table]["columns"]) + _HIDDEN) for table, count in self.counts.items())


def look(path: Path, database: str) -> Local | None:
    """Return what is in a file, None when there is none.  Raises DriverError when it holds no such database."""
    if not path.exists():
        return None
    found = log_file.schema(path)
    if found.get("name") != database:
        raise DriverError(f"{path}: holds the database {found.get('name')} and not {database}")
    columns = {name: table.columns for name, table in contents.tables(found).items()}
    rows = contents.of_file(path, database, columns, LIMIT)
    lineage, token = contents.lineage_of_file(path, database, LIMIT)
    stamp = Stamp(*lineage) if lineage else None
    return Local(path, found, {table: len(those) for table, those in rows.items() if those}, stamp, token)


def find(database: str, more: Iterable[Path] = ()) -> list[Local]:
    """Return the files at the usual places, and at `more`, that hold the database; the richest first."""
    found: dict[Path, Local] = {}
    for path in (*more, *PLACES):
        try:
            local = look(path, database)
        except DriverError:
            continue  # of another database, or none
        if local is not None:
            found.setdefault(path.resolve(), local)
    return sorted(found.values(), key=lambda local: -local.cells)


def keep(config: Config, local: Local) -> Path:
    """Take a snapshot of the file among those that the agent takes, and return it.  Raises DriverError."""
    kept = config.snapshots
    try:
        kept.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DriverError(f"{kept.directory}: cannot be made: {error.strerror}") from None
    snapshots = Snapshots(local.path, kept.directory, kept.keep, kept.max_age)
    answers: list[str | None] = []
    try:
        snapshots.take(label(local.stamp.term if local.stamp else 0, not local.counts), answers.append)
        while not answers:
            poller = Poller()
            snapshots.wait(poller)
            poller.timer_wait(100)
            poller.block()
            snapshots.run()
    finally:
        snapshots.close()
    if answers[0] is not None or snapshots.last_taken is None:
        raise DriverError(str(answers[0]))
    return snapshots.last_taken


def blank(path: Path, schema_file: Path) -> None:
    """Put an empty database in the place of the file, for good; its owner and mode stay.  Raises DriverError."""
    part = path.with_name(f".{path.name}.ovsha-blank")
    try:
        disk.require({path: 0})
        part.unlink(missing_ok=True)
        contents.tool(LIMIT, "create", str(part), str(schema_file))
        if path.exists():
            before = path.stat()
            part.chmod(before.st_mode & 0o7777)
            os.chown(part, before.st_uid, before.st_gid)
        atomic_file.move(part, path)
    except OSError as error:
        raise DriverError(f"{path}: cannot be replaced: {error.strerror}; it is as it was") from None
    finally:
        for left in (part, part.with_name(f".{part.name}.~lock~")):
            left.unlink(missing_ok=True)


_LIMIT = 60.0
_LOOK_EVERY = 0.02


@contextlib.contextmanager
def server(file: Path, program: str = "ovsdb-server") -> Iterator[str]:
    """Give the target, such as ``unix:/tmp/x/db.sock``, of a server of `file` that listens nowhere else.

    ovsdb-server locks the file, so it does not start beside another one.  It has ended when the block has, and ends
    with this process too.  Raises DriverError with its own words when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ovsha-db-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        said = stack.enter_context((place / "said").open("w+b"))
        command = [
            *("setpriv", "--pdeathsig", "KILL", program, f"--remote=punix:{place / 'db.sock'}"),
            *(f"--unixctl={place / 'ctl'}", "-vconsole:warn", "-vsyslog:off", "-vfile:off", str(file)),
        ]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd="/"
            )
        except OSError as error:
            raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
        stack.callback(_end, process)
        target = f"unix:{place / 'db.sock'}"
        deadline = time.monotonic() + _LIMIT
        while not _answers(target):
            if process.poll() is not None or time.monotonic() > deadline:
                said.seek(0)
                words = " ".join(said.read().decode(errors="replace").split()) or "it does not answer"
                raise DriverError(f"{file}: no private ovsdb-server could be started on it: {words}")
            time.sleep(_LOOK_EVERY)
        yield target


def _answers(target: str) -> bool:
    try:
        Session(target, "", 5.0).close()
    except DriverError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
