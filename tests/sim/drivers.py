"""What the drivers of one simulated switch know of its own server and of the peer's, and what they order.

They have the delays and the blind spots of the real ones: a change is seen a little later,
an order is answered later still, and a server that is stopped or busy is known only as it
was before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ovsha.core import lineage as schemas
from ovsha.core.facts import Life, Role, Server, Source, Stamp, Token
from ovsha.core.lineage import PARKED
from tests.sim.server import Data, Reply, schema_of

if TYPE_CHECKING:
    from tests.sim.side import Agent

SILENCE = 2.0
LOOKS = 100  # a tenth of a second apart, while a copy is being made


class LocalDriver:
    """What ovsha.ovsdb.server knows of its server, and what it orders."""

    managers, listener = "managers", "listener"

    def __init__(self, agent: Agent) -> None:
        self.agent, self.server, self.clock = agent, agent.host.server, agent.pair.clock
        self.saved = self.fenced = False
        self._process = -1
        self._bound = self.server.process if self.server.emptied else -1
        self._role: Role | None = None
        self._source: str | None = None
        self._replicating = False
        self._cells: int | None = None
        self._remotes: frozenset[str] = frozenset()
        self._contents: Data | None = None
        self._orders = self._looks = 0
        self._seen_due = 0.0
        self._poll()

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self.server.process if self.server.running else None

    def facts(self) -> Server:
        """Return what the server is doing."""
        self._notice_process()
        life, data = self._life(), self._contents
        self.saved = self.saved and self._role is Role.BACKUP and self._source == PARKED and life is not Life.DOWN
        active = self._role is Role.ACTIVE
        return Server(
            life=life,
            role=self._role,
            source=None if active else self._source,
            managers_open=self.managers in self._remotes,
            listener_open=self.listener in self._remotes,
            loaded=data is not None,
            stamp=data.stamp if data else None,
            token=data.token if data else None,
            empty=data.empty if data else True,
            replicating=self._replicating,
            controllers=int(active and self._controlled()),
            vteps=self._vteps(),
            fenced=self.fenced,
            saved=self.saved,
            cells=self._cells,
            schema=schemas.describe_schema(schema_of(self.server.schema)) if data is not None else None,
            undriven="its run directory was emptied" if self._undriven else "",
            process=f"{self.server.node}.{self.server.process}" if self.server.running else "",
        )

    @property
    def _undriven(self) -> bool:
        return self.server.running and self.server.process == self._bound

    def changed(self) -> None:
        """Receive, a little later, what the database holds now."""
        self._notice_process()
        process, data = self._process, self.server.data
        self._seen_due = max(self._seen_due + 1e-6, self.clock.now + self.clock.between(0.0005, 0.01))

        def seen() -> None:
            if process == self.server.process and self.server.running:
                self._contents = data
                self.agent.turn()

        self.clock.after(self._seen_due - self.clock.now, seen)

    def promote(self, done: Reply) -> None:
        self._order(self.server.promote, done)

    def follow(self, source: str, done: Reply) -> None:
        decided_at, host = self.clock.now, self.agent.host

        def perform() -> str | None:
            host.connect_decided_at, host.by_hand = decided_at, False
            self._looks = 0 if source == PARKED else LOOKS
            return self.server.follow(source)

        self._order(perform, done)

    def park(self, done: Reply) -> None:
        self.follow(PARKED, done)

    def open(self, remote: str, done: Reply) -> None:
        self._order(lambda: self._set(remote, True), done)

    def shut(self, remote: str, done: Reply) -> None:
        self._order(lambda: self._set(remote, False), done)

    def stamp(self, stamp: Stamp, done: Reply) -> None:
        self._order(
            lambda: self.server.commit(lambda data: data.written(stamp, (stamp.term, 0))), done
        )

    def renew(self, stamp: Stamp, token: Token, done: Reply) -> None:
        self._order(lambda: self.server.commit(lambda data: data.written(stamp, token)), done)

    def commit(self, token: Token, done: Reply) -> None:
        self._order(lambda: self.server.commit(lambda data: data.at_token(token)), done)

    def fence(self) -> None:
        for remote in sorted(self._remotes):
            self.shut(remote, lambda error: None)
        self.park(lambda error: None)
        self.fenced = True

    def _controlled(self) -> bool:
        return self.agent.host.node in self.agent.pair.controller.sessions and self.server.managers

    def _vteps(self) -> int:
        """Count the VTEP daemons that reach our listener: one on each switch."""
        host, pair = self.agent.host, self.agent.pair
        if not (host.vip and self.server.listener):
            return 0
        other = pair.other(host.node)
        return 1 + (other.up and not other.vip and not pair.network.tcp_cut)

    def _set(self, remote: str, is_open: bool) -> str | None:
        setattr(self.server, remote, is_open)
        return None

    def _order(self, act: Callable[[], str | None], done: Reply) -> None:
        """Send an order; its answer comes later, and now and then a server refuses."""
        pair, process = self.agent.pair, self.server.process
        refused = self.clock.random.random() < pair.refusals
        self._orders += 1

        def perform() -> str | None:
            return "refused for a test" if refused else act()

        def answer(error: str | None) -> None:
            self.clock.after(self.clock.between(0.0002, 0.005), lambda: arrive(error))

        def arrive(error: str | None) -> None:
            self._orders -= 1
            if process == self.server.process:
                self._read()
            done(error)
            self.agent.turn()

        self.server.order(self.clock.between(0.0005, pair.latency), perform, answer)

    def _poll(self) -> None:
        """Ask for role and remotes each second; more often while it should be read-only, and may not be."""
        if self.agent.gone:
            return
        if self.server.responsive and not self._orders:
            self._notice_process()
            known = (self._role, self._source)
            self._read()
            self.agent.incidents += known[0] is not None and known != (self._role, self._source)
        self._looks = 0 if self._replicating else max(0, self._looks - 1)
        self.clock.after(0.1 if self._looks else 0.4 if self._role is Role.BACKUP else 1.0, self._poll)

    def _read(self) -> None:
        self._notice_process()
        self._role, self._source = self.server.role, self.server.source
        if self._undriven:
            self._source = None  # no more is told by the rows, which are read at the address for the peer
            return
        self._replicating, self._cells = self.server.says_replicating, self.server.cells
        names = (self.managers, self.listener)
        self._remotes = frozenset(name for name in names if getattr(self.server, name))

    def _notice_process(self) -> None:
        if self._process == self.server.process:
            return
        self._process = self.server.process
        self._role = self._source = self._contents = self._cells = None
        self._remotes, self.fenced = frozenset(), False
        if self.server.running:
            self._first_look(self._process)

    def _first_look(self, process: int) -> None:
        """Read role and rows of a server that is new to us, as soon as it answers."""

        def look() -> None:
            if process != self.server.process or self.agent.gone:
                return
            if not self.server.responsive:
                self.clock.after(0.05, look)
                return
            self._read()
            self.changed()
            self.agent.turn()

        self.clock.after(self.clock.between(0.005, 0.1), look)

    def _life(self) -> Life:
        server = self.server
        if not server.running or server.denied:
            return Life.DOWN
        if self._undriven:
            return Life.HUNG if server.frozen else Life.UNKNOWN
        silent_for = 0.0 if server.responsive else self.clock.now - server.silent_since
        if silent_for < self.agent.settings.dead_interval:
            self.fenced = False if server.responsive else self.fenced
            return Life.UP if self._role is not None else Life.UNKNOWN
        return Life.HUNG if server.frozen else Life.BUSY


class SourceDriver:
    """What ovsha.ovsdb.peer_server knows of the peer's server: one TCP session to it."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.pair = agent, agent.pair
        self._process: int | None = None
        self.closed = self.ended = False
        self._packet_at: float | None = None
        self._data: Data | None = None
        self._role: Role | None = None
        self.schema: int | None = None
        self._retry_at = self._probe_at = self._role_at = 0.0
        self._unacknowledged: float | None = None
        self._unanswered: float | None = None

    def run(self, now: float, probe_every: float) -> None:
        """Connect, notice the end of the session, and probe the server when that is due."""
        host = self.agent.host
        server = self.pair.reaches(host.server)
        if self._process is None:
            if now >= self._retry_at and server is not None and server.running:
                self._process, self.closed, self.ended = server.process, False, False
                self._unacknowledged = self._unanswered = None
                self._probe_at = now
            else:
                if server is not None and self.closed:
                    self.ended, self._packet_at = True, now  # it refuses
                return
        if server is not None:
            self._packet_at = now
        if server is not None and server.process != self._process:
            self.ended = True
            self._close(now)
            return
        if server is not None:
            self._unacknowledged = None
            if server.responsive:
                self._unanswered, self._data, self._role, self._role_at = None, server.data, server.role, now
                self.schema = server.schema
        if now >= self._probe_at:
            self._probe_at = now + probe_every
            if server is None and self._unacknowledged is None:
                self._unacknowledged = now
            if (server is None or not server.responsive) and self._unanswered is None:
                self._unanswered = now
        if self._unacknowledged is not None and now - self._unacknowledged > SILENCE:
            self._close(now)

    def facts(self, now: float) -> Source:
        """Return what the session shows."""
        connected, data = self._process is not None, self._data

        def age(since: float | None) -> float | None:
            return None if not connected else 0.0 if since is None else now - since

        return Source(
            loaded=data is not None,
            closed=self.closed,
            life_age=age(self._unacknowledged),
            answer_age=age(self._unanswered),
            role=self._role if connected else None,
            stamp=data.stamp if data else None,
            token=data.token if data else None,
            empty=data.empty if data else True,
            schema=schemas.describe_schema(schema_of(self.schema)) if self.schema is not None else None,
            role_age=now - self._role_at if connected and self._role is not None else None,
        )

    def packet_age(self, now: float) -> float | None:
        """Return the seconds since the other host acknowledged, sent or refused anything."""
        return None if self._packet_at is None else now - self._packet_at

    def _close(self, now: float) -> None:
        self._process = self._data = self._role = self.schema = None
        self.closed, self._retry_at = True, now + 0.2
