"""A real ovsdb-server in a directory of its own, without a network namespace, for the tests of one program or driver.

Every wait is for a condition, with a limit that only a broken machine reaches.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import rpc
import seed
from session import mac_of

LIMIT = 30.0

needs_ovs = pytest.mark.skipif(shutil.which("ovsdb-server") is None, reason="needs ovsdb-server")


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of `condition`; fails when there is none within LIMIT."""
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {LIMIT:.0f} s for {what}"
        select.select([], [], [], 0.01)
    return value


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody has at this moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(*command: str | Path, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process for the time of a with-block."""
    process = subprocess.Popen([str(word) for word in command], text=True, **how)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


class Server:
    """A real ovsdb-server of the hardware_vtep database, whose files and sockets are in a directory of its own."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self.directory = directory
        self.database = directory / "conf.db"
        self.socket = directory / "db.sock"
        self.pidfile = directory / "ovsdb-server.pid"
        self.process: subprocess.Popen[str] | None = None
        directory.mkdir()
        seed.blank(self.database)

    def start(self, *options: str) -> None:
        """Start it on its database, and wait until it answers."""
        command = ["ovsdb-server", "--no-chdir", "-vconsole:off", f"--pidfile={self.pidfile}", *options]
        command += [f"--remote=punix:{self.socket}", str(self.database)]
        environment = os.environ | {"OVS_RUNDIR": str(self.directory)}
        self.process = self._stack.enter_context(running(*command, env=environment))
        wait_until(lambda: all(map(_listening, (self.socket, self.ctl))), "ovsdb-server to listen")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None, "it was started"
        self.process.send_signal(number)

    def wait(self) -> None:
        """Wait until it has ended."""
        assert self.process is not None, "it was started"
        self.process.wait(LIMIT)

    def kill(self) -> None:
        """End it as a crash does: its pidfile and its sockets stay behind."""
        self.signal(signal.SIGKILL)
        self.wait()

    @property
    def pid(self) -> int:
        """The pid of its last run."""
        assert self.process is not None, "it was started"
        return self.process.pid

    @property
    def ctl(self) -> Path:
        """The control socket of its last run."""
        return self.directory / f"ovsdb-server.{self.pid}.ctl"

    def appctl(self, command: str, *words: str) -> str:
        """Return what a command over the control socket prints."""
        return rpc.appctl(self.ctl, command, *words, limit=LIMIT)

    def transact(self, *operations: dict[str, Any]) -> list[Any]:
        """Return the results of one transaction.  Raises rpc.Refused when it is not committed."""
        return rpc.transact(self.socket, *operations, limit=LIMIT)

    def fill(self, manager: str | None = None, rows: int = 0) -> None:
        """Put in a logical switch, so many MACs of another range than the stand-ins', and a Manager row if given."""
        operations: list[dict[str, Any]] = [
            {"op": "insert", "table": "Logical_Switch", "uuid-name": "ls", "row": {"name": "ls0"}}
        ]
        managers: list[Any] = ["set", []]
        if manager is not None:
            operations.append({"op": "insert", "table": "Manager", "uuid-name": "m", "row": {"target": manager}})
            managers = ["set", [["named-uuid", "m"]]]
        operations.append({"op": "insert", "table": "Global", "row": {"managers": managers}})
        place = {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "10.9.9.9"}
        operations.append({"op": "insert", "table": "Physical_Locator", "uuid-name": "pl", "row": place})
        for number in range(rows):
            row = {"MAC": mac_of(0, number), "logical_switch": ["named-uuid", "ls"], "locator": ["named-uuid", "pl"]}
            operations.append({"op": "insert", "table": "Ucast_Macs_Remote", "row": row | {"ipaddr": ""}})
        self.transact(*operations)

    def macs(self, table: str = "Ucast_Macs_Remote") -> list[str]:
        """Return the MACs in a table."""
        answer = self.transact({"op": "select", "table": table, "where": [], "columns": ["MAC"]})
        return [row["MAC"] for row in answer[0]["rows"]]


def _listening(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe, suppress(OSError):
        directory = os.open(path.parent, os.O_PATH)
        try:
            # A path of any length is short by way of its directory (unix(7) allows 107 bytes).
            return probe.connect_ex(f"/proc/self/fd/{directory}/{path.name}") == 0
        finally:
            os.close(directory)
    return False
