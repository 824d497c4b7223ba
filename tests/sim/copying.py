"""How a simulated ovsdb-server copies from another: erase, then fill, then receive what is committed there.

A crash between the two steps leaves it empty.  It connects again, by itself, to whatever
answers at its source.  What cannot be copied makes it active: a schema newer than its own
or its own self before anything is erased, a constraint that fails only afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from ovsha.core.lineage import PARKED

if TYPE_CHECKING:
    from tests.sim.server import Data, SimServer

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 4.0
SOON = 0.005


class Copying:
    """The sessions of `server` with its source and with those that follow it."""

    def __init__(self, server: SimServer) -> None:
        self.server = server
        self.replicating = False
        self._followers: list[Callable[[], None]] = []
        self._session = 0
        self._backoff = FIRST_BACKOFF

    def begin(self) -> None:
        """Connect to the source that was just named."""
        self._backoff = FIRST_BACKOFF
        self._connect_after(SOON, by_itself=False)

    def leave(self) -> None:
        """End the session with the source."""
        self._session += 1
        self.replicating = False

    def pass_on(self) -> None:
        """Let the backups see what was committed."""
        for follower in self._followers:
            follower()

    def drop_followers(self) -> None:
        """End the sessions of our backups; each is told as soon as the network lets it."""
        followers, self._followers = self._followers, []
        for follower in followers:
            self.server.clock.after(0.002, follower)

    def _connect_after(self, delay: float, by_itself: bool) -> None:
        session = self._session
        self.server.clock.after(delay, lambda: self._connect(session, by_itself))

    def _again(self, by_itself: bool) -> None:
        self._connect_after(self._backoff, by_itself)
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)

    def _connect(self, session: int, by_itself: bool) -> None:
        server = self.server
        if session != self._session or server.source == PARKED:
            return
        source = server.world.reaches(server)
        if not server.responsive or source is None or not source.responsive:
            self._again(by_itself)
            return
        self._backoff = FIRST_BACKOFF
        if source is server:
            server.promote_itself("the source is the server itself")
            return
        if source.schema > server.schema:
            server.promote_itself("the source has a newer schema")
            return
        source.stall(0.4 * server.copy_time)
        server.stall(server.copy_time)
        process = source.process
        server.clock.after(0.9 * server.copy_time, lambda: self._erase(session, source, process, by_itself))

    def _erase(self, session: int, source: SimServer, process: int, by_itself: bool) -> None:
        server = self.server
        if session != self._session:
            return
        if server.frozen or source.process != process or server.world.reaches(server) is not source:
            self._connect_after(self._backoff, by_itself=True)
            return
        server.world.erasing(server, source, by_itself)
        server.half = True
        server.hold(type(server.data)())
        server.clock.after(0.1 * server.copy_time, lambda: self._fill(session, source, process))

    def _fill(self, session: int, source: SimServer, process: int) -> None:
        server = self.server
        if session != self._session:
            return
        if server.frozen:  # what was received waits in the process
            server.clock.after(0.05, lambda: self._fill(session, source, process))
            return
        if server.rejects:
            server.promote_itself("a constraint fails on what it received")
            return
        if source.process != process:
            self._connect_after(self._backoff, by_itself=True)
            return
        server.half = False
        self.replicating = server.says_replicating = True
        server.unproven |= source.data.overwritten
        server.hold(source.data)
        self._listen_to(session, source)

    def _listen_to(self, session: int, source: SimServer) -> None:
        """Receive what `source` commits, in its order, some time later; learn when the session ends."""
        server, clock = self.server, self.server.clock
        lag = clock.between(0.0005, server.longest_lag)
        numbers, taken = itertools.count(1), 0

        def receive(number: int, data: Data) -> None:
            nonlocal taken
            if session != self._session or number < taken:
                return
            if not server.responsive or server.world.reaches(server) is None:
                clock.after(0.05, lambda: receive(number, data))
                return
            taken = number
            if data != server.data:  # or two that follow each other would never come to rest
                server.hold(data)

        def changed() -> None:
            if session != self._session:
                return
            if changed not in source.copying._followers:
                self._lost(session)
                return
            number, data = next(numbers), source.data
            clock.after(lag, lambda: receive(number, data))

        source.copying._followers.append(changed)

    def _lost(self, session: int) -> None:
        """Notice that the session has ended, once the network can tell, and connect again by itself."""
        server = self.server
        if session != self._session:
            return
        if server.world.reaches(server) is None:
            server.clock.after(0.1, lambda: self._lost(session))
            return
        self.leave()
        self._connect_after(self._backoff, by_itself=True)
