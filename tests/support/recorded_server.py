"""A LocalServer with an idle process that it takes for an ovsdb-server, whose answers are recorded ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha.core.lineage import PARKED
from ovsha.ovsdb.process import Places
from ovsha.ovsdb.server import LocalServer
from tests.support.child import child
from tests.support.endpoint import Endpoint, Refusal, spin

# What ovsdb-server 3.1.0 prints; the newer form of sync-status is that of 3.3 on.
PEER = "tcp:169.254.0.10:9999"
MANAGERS, LISTENER = "db:hardware_vtep,Global,managers", "ptcp:9998:169.254.0.11"
ALWAYS = "ptcp:9999:169.254.0.9\npunix:/var/run/openvswitch/db.sock\n"
V31, V33 = "ovsdb-server (Open vSwitch) 3.1.0\n", "ovsdb-server (Open vSwitch) 3.3.0\n"
ACTIVE = "state: active\n"
AS_PARKED = f"state: backup\nconnecting: {PARKED}\n"
AS_COPY = f"state: backup\nreplicating: {PEER}\ndatabase: hardware_vtep\n"
NEW_COPY = f"database: _Server\nstate: active\n\ndatabase: hardware_vtep\nstate: backup\nreplicating: {PEER}\n"

CELLS = 20
SCHEMA = {"name": "hardware_vtep", "version": "1.7.0", "tables": {"Global": {"columns": {}}}}

PATIENCE, HANG, STALL = 0.4, 3.0, 60.0
MEMORY, VERSION, SOURCE, STATUS, REMOTES = (
    "memory/show",
    "version",
    "ovsdb-server/get-active-ovsdb-server",
    "ovsdb-server/sync-status",
    "ovsdb-server/list-remotes",
)
QUESTIONS = (MEMORY, VERSION, SOURCE, STATUS, REMOTES)


def said(text: str) -> Callable[[list[Any]], str]:
    """Return an answer that prints a text."""
    return lambda params: text


def refused(text: str) -> Callable[[list[Any]], str]:
    """Return an answer that is an error."""

    def refuse(params: list[Any]) -> str:
        raise Refusal(text)

    return refuse


@dataclass(frozen=True)
class Rig:
    """A driver, the process that it takes for a server, and both sockets of that."""

    server: LocalServer
    process: subprocess.Popen[bytes]
    control: Endpoint
    database: Endpoint

    def until(self, condition: Callable[[], object]) -> float:
        """Let all have turns until the condition holds; return the time."""
        return spin(self.server.run, [self.control, self.database], condition)

    def tell(self, status: str, source: str = "", remotes: str = "", version: str = V31) -> None:
        """Have the server answer so from now on."""
        texts = (f"atoms:14 cells:{CELLS} monitors:1\n", version, f"{source}\n", status, remotes + ALWAYS)
        self.control.answers.update({question: said(text) for question, text in zip(QUESTIONS, texts, strict=True)})

    def known(self, now: float = 0.0) -> float:
        """Return, with the time, when nothing that was asked is without an answer and all is read."""
        return self.until(lambda: self.server.facts(now).role and self.server.contents.loaded and self.settled())

    def settled(self) -> bool:
        """Tell whether the server owes no answer."""
        channels = (self.server._control, self.server._database.channel)
        return all(channel.connected and not channel.unanswered_for(0.0) for channel in channels)

    def orders(self) -> list[tuple[str, list[str]]]:
        """Return what the server was ordered, without what it was only asked."""
        return [
            (method.removeprefix("ovsdb-server/"), params)
            for method, params in self.control.asked
            if method not in QUESTIONS
        ]

    def carry_out(self, order: Callable[[Callable[[str | None], None]], None]) -> str | None:
        """Give an order and return what became of it."""
        outcomes: list[str | None] = []
        order(outcomes.append)
        self.until(lambda: outcomes)
        assert len(outcomes) == 1
        return outcomes[0]

    def poll_again(self, now: float) -> None:
        """Let the next poll become due and be answered."""
        before = self.control.asked.count((REMOTES, []))
        self.server.run(now + 1.01)
        self.until(lambda: self.control.asked.count((REMOTES, [])) > before and self.settled())

    def silence(self, now: float) -> float:
        """Have the server owe an answer from now on; return since when."""
        self.control.answers.clear()
        self.database.answers.clear()
        self.server.run(now + 1.01)
        assert not self.settled()
        return now + 1.01


def local_server(directory: Path) -> LocalServer:
    """Return a driver for the server whose files are in a directory."""
    return LocalServer(
        Places(directory / "conf.db", directory / "ovsdb-server.pid", directory / "db.sock"), "hardware_vtep", LISTENER,
        patience=PATIENCE, hang_interval=HANG, stall_limit=STALL,
    )  # fmt: skip


@contextmanager
def sockets(directory: Path, process: subprocess.Popen[bytes]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Give a process the control socket and the database socket of a parked server."""
    (directory / "db.sock").unlink(missing_ok=True)
    orders = ("connect-active", "disconnect-active", "set-active")
    others = ("add-remote", "remove-remote", "reconnect", "set-sync-exclude-tables")
    control = Endpoint(
        directory / f"ovsdb-server.{process.pid}.ctl",
        {f"ovsdb-server/{verb}-ovsdb-server": said("") for verb in orders}
        | {f"ovsdb-server/{verb}": said("") for verb in others},
    )
    answers: dict[str, Callable[[list[Any]], Any]] = {
        "list_dbs": lambda params: ["_Server", "hardware_vtep"],
        "get_schema": lambda params: SCHEMA,
        "monitor": lambda params: {},
        "transact": lambda params: [{}, {}],
        "echo": lambda params: params,
    }
    database = Endpoint(directory / "db.sock", answers)
    try:
        yield control, database
    finally:
        control.close()
        database.close()


@contextmanager
def parked_rig(directory: Path) -> Iterator[Rig]:
    """Give a driver and a server that is parked."""
    with child(directory) as process, sockets(directory, process) as (control, database):
        (directory / "ovsdb-server.pid").write_text(f"{process.pid}\n")
        rig = Rig(local_server(directory), process, control, database)
        rig.tell(AS_PARKED, PARKED)
        try:
            yield rig
        finally:
            rig.server.close(0.0)
