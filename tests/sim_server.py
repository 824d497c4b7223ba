"""A model of ovsdb-server with the traps that cost data, on a virtual clock.

What it has of the real one: it starts parked and read-only; to be connected as a backup
erases it, and the copy comes in a second step, so that a crash in between leaves it empty;
it answers nothing while it copies, is copied, or is stopped; it connects again to the
source it was given, by itself; replication is asynchronous; open remotes survive a change
of role.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ovsha.core.facts import Role, Stamp, Token
from ovsha.core.lineage import PARKED

Reply = Callable[[str | None], None]

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 4.0


class Clock:
    """Virtual time: what was put off to a moment happens then, in an order that the seed fixes."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay: float, act: Callable[[], None]) -> None:
        """Do `act` in `delay` seconds."""
        heapq.heappush(self._queue, (self.now + delay, next(self._numbers), act))

    def between(self, low: float, high: float) -> float:
        """Return a random length of time."""
        return self.random.uniform(low, high)

    def run(self, until: float, after_each: Callable[[], None]) -> None:
        """Let time pass up to the moment `until`."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, act = heapq.heappop(self._queue)
            act()
            after_each()
        self.now = until


@dataclass(frozen=True, slots=True)
class Data:
    """All that a database holds; `rows` are the numbers of the writes in it."""

    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    rows: frozenset[int] = frozenset()


class Surroundings(Protocol):
    """What a server needs of the world around it."""

    def reaches(self, server: SimServer) -> SimServer | None:
        """Return the other server when TCP to its host works."""

    def told(self, server: SimServer) -> None:
        """Something about the server changed that agents may notice."""

    def erasing(self, server: SimServer, source: SimServer, by_itself: bool) -> None:
        """`server` is about to be erased and filled from `source`."""

    def promoting(self, server: SimServer) -> None:
        """`server` becomes active."""


class SimServer:
    """One ovsdb-server and its database file."""

    def __init__(self, node: str, clock: Clock, world: Surroundings, data: Data) -> None:
        self.node, self.clock, self.world = node, clock, world
        self.data = data
        self.half = False  # erased and not filled yet
        self.running = self.frozen = False
        self.busy_until = 0.0
        self.silent_since = 0.0
        self.process = 0  # how often it was started or killed
        self.role = Role.BACKUP
        self.source: str | None = PARKED
        self.managers = self.listener = False
        self.replicating = False
        self.copy_time, self.longest_lag = 0.1, 0.02
        self.followers: list[Callable[[], None]] = []
        self._session = 0
        self._backoff = FIRST_BACKOFF
        self._waiting: list[tuple[Callable[[], str | None], Reply]] = []
        self._due = 0.0

    @property
    def responsive(self) -> bool:
        """It runs, is not stopped, and is not busy copying."""
        return self.running and not self.frozen and self.clock.now >= self.busy_until

    @property
    def writable(self) -> bool:
        """It takes writes from whom it lets in."""
        return self.running and self.role is Role.ACTIVE

    def start(self) -> None:
        """Start as the pair's servers are started: a backup of nobody, without the managers."""
        if self.running:
            return
        self.running, self.frozen, self.process = True, False, self.process + 1
        self.role, self.source = Role.BACKUP, PARKED
        self.managers = self.listener = self.replicating = False
        self.busy_until = self.clock.now
        self.world.told(self)

    def kill(self) -> None:
        """Kill it: its sessions end, its file stays as it is."""
        if not self.running:
            return
        self.running, self.frozen, self.process = False, False, self.process + 1
        self._leave()
        self._drop_followers()
        waiting, self._waiting = self._waiting, []
        for _, reply in waiting:
            reply("the connection was closed")
        self.world.told(self)

    def freeze(self) -> None:
        """Stop it as SIGSTOP does."""
        if self.running and not self.frozen:
            self.silent_since = self.clock.now if self.responsive else self.silent_since
            self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        self.frozen = False
        self._flush()
        self.world.told(self)

    def stall(self, seconds: float) -> None:
        """Keep it busy: it answers nothing for so long."""
        if self.responsive:
            self.silent_since = self.clock.now
        self.busy_until = max(self.busy_until, self.clock.now + seconds)
        self.clock.after(seconds + 0.0005, self._flush)

    def order(self, latency: float, act: Callable[[], str | None], reply: Reply) -> None:
        """Have `act` done when the command has arrived and its turn has come; it gives None or an error."""
        if not self.running:
            reply("not connected")
            return
        process = self.process
        self._due = max(self._due + 1e-6, self.clock.now + latency)

        def arrive() -> None:
            if process != self.process:
                reply("the connection was closed")
                return
            self._waiting.append((act, reply))
            self._flush()

        self.clock.after(self._due - self.clock.now, arrive)

    def promote(self) -> str | None:
        """disconnect-active-ovsdb-server."""
        self._leave()
        self.world.promoting(self)
        self.role, self.source = Role.ACTIVE, None
        self.world.told(self)
        return None

    def follow(self, source: str) -> str | None:
        """set-active-ovsdb-server and connect-active-ovsdb-server, and reconnect on an active server."""
        self._leave()
        if self.role is Role.ACTIVE:
            self._drop_followers()
        self.role, self.source, self._backoff = Role.BACKUP, source, FIRST_BACKOFF
        self.world.told(self)
        self._connect_after(0.005, by_itself=False)
        return None

    def commit(self, change: Callable[[Data], Data]) -> str | None:
        """Commit one transaction; an active server passes it on to its backups, later."""
        if self.role is not Role.ACTIVE:
            return "not allowed when database server is in read only mode"
        self._hold(change(self.data))
        return None

    def write(self, number: int) -> None:
        """Take a controller's write."""
        self.commit(lambda data: replace(data, rows=data.rows | {number}, empty=False))

    def _hold(self, data: Data) -> None:
        self.data = data
        self.world.told(self)
        for follower in self.followers:
            follower()

    def _flush(self) -> None:
        while self._waiting and self.responsive:
            act, reply = self._waiting.pop(0)
            reply(act())

    def _leave(self) -> None:
        self._session += 1
        self.replicating = False

    def _drop_followers(self) -> None:
        """End the sessions of our backups; each is told as soon as the network lets it."""
        followers, self.followers = self.followers, []
        for follower in followers:
            self.clock.after(0.002, follower)

    def _connect_after(self, delay: float, by_itself: bool) -> None:
        session = self._session
        self.clock.after(delay, lambda: self._connect(session, by_itself))

    def _connect(self, session: int, by_itself: bool) -> None:
        if session != self._session or self.source == PARKED:
            return
        source = self.world.reaches(self)
        if not self.responsive or source is None or not source.responsive:
            self._connect_after(self._backoff, by_itself)
            self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
            return
        self._backoff = FIRST_BACKOFF
        source.stall(0.4 * self.copy_time)
        self.stall(self.copy_time)
        self.clock.after(0.9 * self.copy_time, lambda: self._erase(session, source, source.process, by_itself))

    def _erase(self, session: int, source: SimServer, process: int, by_itself: bool) -> None:
        if session != self._session:
            return
        if self.frozen or source.process != process or self.world.reaches(self) is None:
            self._connect_after(self._backoff, by_itself=True)
            return
        self.world.erasing(self, source, by_itself)
        self.data, self.half = Data(), True
        self.world.told(self)
        self.clock.after(0.1 * self.copy_time, lambda: self._fill(session, source, process))

    def _fill(self, session: int, source: SimServer, process: int) -> None:
        if session != self._session:
            return
        if self.frozen:  # what was received waits in the process
            self.clock.after(0.05, lambda: self._fill(session, source, process))
            return
        if source.process != process:
            self._connect_after(self._backoff, by_itself=True)
            return
        self.half, self.replicating = False, True
        self._hold(source.data)
        self._listen_to(session, source, process)

    def _listen_to(self, session: int, source: SimServer, process: int) -> None:
        """Receive what `source` commits, in its order, some time later; learn when the session ends."""
        lag = self.clock.between(0.0005, self.longest_lag)
        numbers, taken = itertools.count(1), 0

        def receive(number: int, data: Data) -> None:
            nonlocal taken
            if session != self._session or number < taken:
                return
            if not self.responsive or self.world.reaches(self) is None:
                self.clock.after(0.05, lambda: receive(number, data))
                return
            taken = number
            self._hold(data)

        def changed() -> None:
            if session != self._session:
                return
            if changed not in source.followers:
                self._lost(session)
                return
            number, data = next(numbers), source.data
            self.clock.after(lag, lambda: receive(number, data))

        source.followers.append(changed)

    def _lost(self, session: int) -> None:
        """Notice that the session has ended, once the network can tell, and connect again by itself."""
        if session != self._session:
            return
        if self.world.reaches(self) is None:
            self.clock.after(0.1, lambda: self._lost(session))
            return
        self._leave()
        self._connect_after(self._backoff, by_itself=True)
