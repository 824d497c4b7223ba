"""Real ovsdb-servers, and the drivers of the local and of the peer's server run on them as the agent's loop does.

The loop sleeps until a driver, or a timer of a heartbeat's length, wakes it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ovs.poller import Poller

from ovsha.core.facts import Life, Source, Stamp
from ovsha.core.facts import Server as Facts
from ovsha.core.lineage import PARKED
from ovsha.ovsdb.peer_server import PeerSource
from ovsha.ovsdb.process import Places
from ovsha.ovsdb.server import LocalServer
from real_server import LIMIT, Server, free_port

PATIENCE, HANG, STALL = 0.4, 1.5, 60.0
SILENCE = 2.0
HEARTBEAT = 0.1
STAMP = Stamp(3, "sw1", chosen=True)
SAFE = f"--sync-from={PARKED}"
AT_ONCE = 1.0
"""Seconds in which a busy test machine sees what takes milliseconds."""


@dataclass(frozen=True)
class Local:
    """A real server that starts as a pair's server does, and the driver for it."""

    real: Server
    driver: LocalServer
    vip_port: int
    replication_port: int
    lives: list[tuple[float, Life]] = field(default_factory=list)

    @property
    def facts(self) -> Facts:
        """What the driver makes of the server at this moment."""
        return self.driver.facts(time.monotonic())

    @property
    def address(self) -> str:
        """Where others may copy from it."""
        return f"tcp:127.0.0.1:{self.replication_port}"

    def start(self, *options: str) -> None:
        """Start the server; by default as a backup of nobody."""
        self.real.start(f"--remote=ptcp:{self.replication_port}:127.0.0.1", *(options or (SAFE,)))

    def until(self, condition: Callable[[], object], heartbeat: float = HEARTBEAT, limit: float = LIMIT) -> float:
        """Run the driver until the condition holds; return for how many seconds.  Each change of its life is kept."""
        begun = time.monotonic()
        while True:
            self.driver.run(time.monotonic())
            life = self.facts.life
            if not self.lives or self.lives[-1][1] is not life:
                self.lives.append((time.monotonic(), life))
            if condition():
                return time.monotonic() - begun
            now = time.monotonic()
            assert now < begun + limit, f"not within {limit:.0f} s: {self.facts}, {self.driver.trouble!r}"
            poller = Poller()
            self.driver.wait(poller, now)
            poller.timer_wait(int(heartbeat * 1000))
            poller.block()

    def order(self, order: Callable[[Callable[[str | None], None]], None]) -> None:
        """Carry out an order, which has to succeed."""
        outcomes: list[str | None] = []
        order(outcomes.append)
        self.until(lambda: outcomes)
        assert outcomes == [None]

    def known(self) -> Facts:
        """Return what is seen of the server when all can be seen."""
        self.until(lambda: self.facts.life is Life.UP and self.facts.loaded)
        return self.facts

    def serve(self) -> None:
        """Have it serve in the term of STAMP."""
        self.known()
        self.order(self.driver.promote)
        self.order(lambda done: self.driver.stamp(STAMP, done))
        self.order(lambda done: self.driver.open(self.driver.managers, done))
        self.order(lambda done: self.driver.open(self.driver.listener, done))

    def roles(self) -> str:
        """Return what the server itself prints of its role."""
        return self.real.appctl("ovsdb-server/sync-status")

    def remotes(self) -> list[str]:
        """Return the remotes that the server itself lists."""
        return self.real.appctl("ovsdb-server/list-remotes").split()

    def client(self) -> socket.socket:
        """Return a session over the listener, which the server has taken."""
        connection = socket.create_connection(("127.0.0.1", self.vip_port), timeout=LIMIT)
        connection.sendall(b'{"method": "echo", "params": [], "id": 0}')
        assert connection.recv(65536)
        return connection


def local(stack: ExitStack, directory: Path) -> Local:
    """Make a server that is not started yet, and its driver."""
    real, port = Server(stack, directory), free_port()
    driver = LocalServer(
        Places(real.database, real.pidfile, real.socket), "hardware_vtep", f"ptcp:{port}:127.0.0.1",
        patience=PATIENCE, hang_interval=HANG, stall_limit=STALL,
    )  # fmt: skip
    stack.callback(driver.close, 0.0)
    return Local(real, driver, port, free_port())


@dataclass(frozen=True)
class Watch:
    """A session to a server, as the peer holds one."""

    source: PeerSource

    @property
    def facts(self) -> Source:
        """What the session shows at this moment."""
        return self.source.facts(time.monotonic())

    def until(self, condition: Callable[[], object], heartbeat: float = HEARTBEAT) -> float:
        """Run the session until the condition holds; return for how many seconds."""
        begun = time.monotonic()
        while True:
            self.source.run(time.monotonic(), HEARTBEAT)
            if condition():
                return time.monotonic() - begun
            now = time.monotonic()
            assert now < begun + LIMIT, f"not within {LIMIT:.0f} s: {self.facts}, {self.source.trouble!r}"
            poller = Poller()
            self.source.wait(poller, now)
            poller.timer_wait(int(heartbeat * 1000))
            poller.block()


def watch(stack: ExitStack, target: str) -> Watch:
    """Hold a session to a server."""
    made = Watch(PeerSource(target, "hardware_vtep", SILENCE))
    stack.callback(made.source.close, 0.0)
    return made


def ended(connection: socket.socket) -> bool:
    """Wait until the other end has closed a session."""
    with closing(connection):
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True
