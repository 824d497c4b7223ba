"""A controller that connects to whoever lets it in, writes, reads, and remembers what was acknowledged.

It stands for the managers' side and the VTEP daemons' alike: a session comes to be where the
managers' remote is open or the VIP leads to a listener.  It writes over each session, and
each acknowledged write is kept with where and when.  What it reads must never go back, as
long as every change of the serving side was a planned one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.sim.clock import Clock
from tests.sim.network import Network
from tests.sim.server import SimServer

WRITE_EVERY = 0.1
READ_EVERY = 3  # writes
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Where and when a write was acknowledged, and in which term."""

    node: str
    at: float
    term: int


class Place(Protocol):
    """A switch with a server, as a client sees it."""

    node: str
    vip: bool
    server: SimServer


class Watch(Protocol):
    """What is told of the reads."""

    unplanned: int
    unplanned_at: set[str]

    def broken(self, law: str) -> None:
        """Complain."""


class Controller:
    """One controller; `sessions` names the process at which each session ends."""

    def __init__(self, places: dict[str, Place], clock: Clock, network: Network, watch: Watch) -> None:
        self.acknowledged: dict[int, Acknowledged] = {}
        self.sessions: dict[str, int] = {}
        self._places, self._clock, self._network, self._watch = places, clock, network, watch
        self._writes = 0
        self._read: frozenset[int] = frozenset()
        self._read_in = watch.unplanned
        self._tick()

    def cut(self, node: str) -> None:
        """End the session with this switch: its sockets were destroyed there."""
        self.sessions.pop(node, None)

    def goes_on(self, node: str) -> None:
        """Take the answer to the write that waited in a stopped server's socket."""
        if self._in_session(self._places[node]):
            self._write(self._places[node])

    def _door(self, place: Place) -> bool:
        """Tell whether there is a way in."""
        server = place.server
        managers = server.managers and place.node not in self._network.no_uplink
        return server.running and (managers or (server.listener and place.vip))

    def _in_session(self, place: Place) -> bool:
        return self._door(place) and self.sessions.get(place.node) == place.server.process

    def _tick(self) -> None:
        for node, place in self._places.items():
            if not self._in_session(place):
                self.sessions.pop(node, None)
                if self._door(place) and not place.server.frozen:
                    self._begin(node)  # and the first write comes with the next tick
            elif place.server.responsive:
                self._write(place)
                if self._writes % READ_EVERY == 0:
                    self._look(place)
        if len(self.sessions) > 1:  # a split, in which two histories are read
            self._read = frozenset()
        self._clock.after(WRITE_EVERY, self._tick)

    def _begin(self, node: str) -> None:
        self.sessions[node] = self._places[node].server.process
        if node in self._watch.unplanned_at:
            self._read = frozenset()  # nobody has promised that everything is here

    def _write(self, place: Place) -> None:
        server = place.server
        if server.writable:
            self._writes += 1
            server.write(self._writes)
            term = server.data.stamp.term if server.data.stamp else 0
            self.acknowledged[self._writes] = Acknowledged(place.node, self._clock.now, term)

    def _look(self, place: Place) -> None:
        """Law 4: read everything, and miss nothing that was read before."""
        rows = place.server.data.rows
        if self._read_in == self._watch.unplanned and not self._read <= rows:
            gone = sorted(self._read - rows)
            self._watch.broken(f"4: on {place.node} {len(gone)} rows are gone that were read before, as row {gone[-1]}")
        self._read, self._read_in = rows, self._watch.unplanned
