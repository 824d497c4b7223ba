"""One switch of the simulated pair: its host, its agent with the real core, and the drivers' view of the world.

The agent is driven as ovsha.agent drives it, with the real Orders, CopyWatch, record codec
and Conversation; only the drivers below them are models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovsha.core import handover, side
from ovsha.core import record as codec
from ovsha.core.copywatch import CopyWatch
from ovsha.core.facts import (
    Clag, Life, Memory, MlagRole, Presence, Record, Role, Server, Settings, Source, Stamp, Token, View, Vip,
)  # fmt: skip
from ovsha.core.heartbeat import Conversation
from ovsha.core.lineage import PARKED
from ovsha.core.side import Decision
from ovsha.orders import Orders
from sim_server import Data, Reply, SimServer

if TYPE_CHECKING:
    from simulation import Pair

KEY = bytes(range(32))
LINK, BACKUP = "peer-link", "backup-path"
INTERVAL, TOKEN_INTERVAL, SILENCE = 0.1, 0.5, 2.0
STEPS_PER_TURN = 12


@dataclass
class Host:
    """A switch: what survives the death of its agent, and on disk what survives a loss of power."""

    node: str
    server: SimServer
    clag: Clag = field(default_factory=Clag)
    up: bool = False
    vip: bool = False
    boots: int = 0
    agent: Agent | None = None
    agents: int = 0
    term: int = 0
    reserved: int = 0
    peer_stamp: Stamp | None = None
    met_in: int = -1


class LocalDriver:
    """What ovsha.drivers.server knows of its server, and what it orders."""

    managers, listener = "managers", "listener"

    def __init__(self, agent: Agent) -> None:
        self.agent, self.server, self.clock = agent, agent.host.server, agent.pair.clock
        self.saved = self.fenced = False
        self._process = -1
        self._role: Role | None = None
        self._source: str | None = None
        self._remotes: frozenset[str] = frozenset()
        self._contents: Data | None = None
        self._orders = 0
        self._seen_due = 0.0
        self._poll()

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
            controllers=int(active and self.server.managers),
            fenced=self.fenced,
            saved=self.saved,
        )

    def changed(self) -> None:
        """Receive, a little later, what the database holds now."""
        self._notice_process()
        process, data = self._process, self.server.data
        self._seen_due = max(self._seen_due + 1e-6, self.clock.now + self.clock.between(0.0005, 0.01))

        def seen() -> None:
            if process == self.server.process:
                self._contents = data
                self.agent.turn()

        self.clock.after(self._seen_due - self.clock.now, seen)

    def promote(self, done: Reply) -> None:
        self._order(self.server.promote, done)

    def follow(self, source: str, done: Reply) -> None:
        self._order(lambda: self.server.follow(source), done)

    def park(self, done: Reply) -> None:
        self.follow(PARKED, done)

    def open(self, remote: str, done: Reply) -> None:
        self._order(lambda: self._set(remote, True), done)

    def shut(self, remote: str, done: Reply) -> None:
        self._order(lambda: self._set(remote, False), done)

    def stamp(self, stamp: Stamp, done: Reply) -> None:
        self._order(
            lambda: self.server.commit(lambda data: replace(data, stamp=stamp, token=(stamp.term, 0))), done
        )

    def commit(self, token: Token, done: Reply) -> None:
        self._order(lambda: self.server.commit(lambda data: replace(data, token=token)), done)

    def fence(self) -> None:
        for remote in sorted(self._remotes):
            self.shut(remote, lambda error: None)
        self.park(lambda error: None)
        self.fenced = True

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
        """Ask for role and remotes each second, and soon after a start."""
        if self.agent.gone:
            return
        if self.server.responsive and not self._orders:
            self._read()
        self.clock.after(1.0, self._poll)

    def _read(self) -> None:
        self._notice_process()
        self._role, self._source = self.server.role, self.server.source
        names = (self.managers, self.listener)
        self._remotes = frozenset(name for name in names if getattr(self.server, name))

    def _notice_process(self) -> None:
        if self._process == self.server.process:
            return
        self._process = self.server.process
        self._role = self._source = self._contents = None
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
        if not server.running:
            return Life.DOWN
        silent_for = 0.0 if server.responsive else self.clock.now - server.silent_since
        if silent_for < self.agent.settings.dead_interval:
            self.fenced = False if server.responsive else self.fenced
            return Life.UP if self._role is not None else Life.UNKNOWN
        return Life.HUNG if server.frozen else Life.BUSY


class SourceDriver:
    """What ovsha.drivers.source knows of the peer's server: one TCP session to it."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.pair = agent, agent.pair
        self._process: int | None = None
        self._closed = False
        self._data: Data | None = None
        self._role: Role | None = None
        self._retry_at = self._probe_at = 0.0
        self._unacknowledged: float | None = None
        self._unanswered: float | None = None

    def run(self, now: float, probe_every: float) -> None:
        """Connect, notice the end of the session, and probe the server when that is due."""
        host = self.agent.host
        server = self.pair.reaches(host.server)
        if self._process is None:
            if now >= self._retry_at and server is not None and server.running:
                self._process, self._closed = server.process, False
                self._unacknowledged = self._unanswered = None
                self._probe_at = now
            else:
                return
        if server is not None and server.process != self._process:
            self._close(now)
            return
        if server is not None:
            self._unacknowledged = None
            if server.responsive:
                self._unanswered, self._data, self._role = None, server.data, server.role
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
            closed=self._closed,
            life_age=age(self._unacknowledged),
            answer_age=age(self._unanswered),
            role=self._role if connected else None,
            stamp=data.stamp if data else None,
            token=data.token if data else None,
            empty=data.empty if data else True,
        )

    def _close(self, now: float) -> None:
        self._process = self._data = self._role = None
        self._closed, self._retry_at = True, now + 0.2


class Agent:
    """The agent: look, decide, act, tell; it also stands in for ovsha.switch, which Orders acts on."""

    def __init__(self, pair: Pair, host: Host, settings: Settings) -> None:
        self.pair, self.host, self.settings = pair, host, settings
        host.agents += 1
        boot = f"{host.node}.{host.agents}"
        now = pair.clock.now
        self.gone = self.frozen = False
        self.memory = Memory(
            boot=boot, term=host.term, peer_stamp=host.peer_stamp, met=host.met_in == host.boots, awake=now
        )
        self.reserved = host.reserved
        self.conversation = Conversation(
            "rack7", host.node, settings.peer, KEY, boot, [LINK, BACKUP], max_delay=1.0
        )
        self.inbox: list[tuple[bytes, str]] = []
        self.record: Record | None = None
        self.stale = self._saving = False
        self.view: View | None = None
        self.decision: Decision | None = None
        self._copy = CopyWatch(settings.max_lag, TOKEN_INTERVAL)
        self.server = LocalDriver(self)
        self.source = SourceDriver(self)
        self.orders = Orders(self)  # type: ignore[arg-type]
        self._last_turn = self._send_at = self._token_at = now
        self._committing = False
        self._told: tuple[object, ...] = ()
        self._tick()

    def receive(self, packet: bytes, path: str) -> None:
        """Take a packet from the wire; one that comes while we are stopped waits in the socket."""
        self.inbox.append((packet, path))
        self.turn()

    def turn(self) -> None:
        """Look once, decide, and carry out what can be carried out now."""
        if self.gone or self.frozen:
            return
        now = self.pair.clock.now
        woke = now - self._last_turn > self.settings.dead_interval
        self._last_turn = now
        if woke:
            self.inbox.clear()
            self.conversation.forget_liveness(now)
            self._send_at = now
        for packet, path in self.inbox:
            state = self.conversation.receive(packet, path, now)
            self.record = codec.from_plain(state) if state is not None else self.record
        self.inbox.clear()
        age = self.conversation.heard_age(now)
        self.source.run(now, INTERVAL if age is None or age > 1.5 * INTERVAL else 1.0)
        self._store()
        for _ in range(STEPS_PER_TURN):
            decision = self._decide(now, woke)
            woke = False
            self.pair.beginning(self, decision)
            if not self.orders.carry_out(decision, now):
                break
        self._commit_token(now)
        self._tell(now)

    def switchover(self, target: str) -> str:
        """Do what Agent.order_switchover does; return why it cannot be done, "" when it is begun."""
        view, decision = self.view, self.decision
        if view is None or decision is None or decision.presence is not Presence.ALIVE or view.record is None:
            return "the peer is not heard"
        ours = target == self.host.node
        if not (view.record.serving if ours else decision.record.serving):
            return "the side that should give does not serve"
        if (decision.record.in_sync_for if ours else view.record.in_sync_for) is None:
            return "not in sync"
        ident = f"order-{view.now}"
        until = view.now + self.settings.handover_timeout
        self.memory = replace(
            self.memory, wanted=ident if ours else None, offer=None if ours else ident, wanted_until=until
        )
        return ""

    def add_vip(self, now: float) -> None:
        self.host.vip = self.stale = True

    def drop_vip(self, now: float) -> None:
        self.host.vip = self.stale = False

    def cut_stale(self) -> None:
        self.stale = False

    def fence(self) -> None:
        self.server.fence()

    def snapshot(self, term: int, done: Reply) -> None:
        """Copy the database file, which takes a moment."""
        clock = self.pair.clock

        def taken() -> None:
            self.pair.snapshots.add(self.host.server.data)
            if not self.gone:
                self.server.saved = True
                done(None)
                self.turn()

        clock.after(clock.between(0.005, 0.05), taken)

    def observe(self, now: float, woke: bool) -> View:
        """Return all that is known now."""
        server, source = self.server.facts(), self.source.facts(now)
        following = server.role is Role.BACKUP and server.source == self.settings.source
        return View(
            now=now,
            settings=self.settings,
            server=server,
            vip=Vip(self.host.vip, self.pair.carrier, self.stale),
            clag=self.host.clag,
            source=source,
            copy=self._copy.look(now, server, source, following),
            record=self.record,
            heard_age=self.conversation.heard_age(now),
            link_silent_for=self.conversation.path_state(LINK, now, self.settings.dead_interval).heard_age,
            reserved=self.reserved,
            woke=woke,
        )

    def _decide(self, now: float, woke: bool) -> Decision:
        self.view = self.observe(now, woke)
        decision = side.turn(self.view, self.memory)
        self.pair.decided(self, self.decision, decision)
        self.decision, self.memory = decision, decision.memory
        return decision

    def _store(self) -> None:
        """Save what must survive, a little later, as ovsha.drivers.store does with its thread."""
        host, memory = self.host, self.memory
        reserved = max(self.reserved, memory.term + 1)
        met_in = host.boots if memory.met else host.met_in
        wanted = (memory.term, reserved, memory.peer_stamp, met_in)
        if self._saving or wanted == (host.term, host.reserved, host.peer_stamp, host.met_in):
            return
        self._saving, boots = True, host.boots

        def saved() -> None:
            self._saving = False
            if self.gone or host.boots != boots:
                return
            host.term, host.reserved, host.peer_stamp, host.met_in = wanted
            self.reserved = reserved
            self.turn()

        self.pair.clock.after(self.pair.clock.between(0.001, 0.02), saved)

    def _commit_token(self, now: float) -> None:
        decision, view = self.decision, self.view
        assert decision is not None and view is not None
        server = view.server
        if now < self._token_at or self._committing or not decision.record.serving or self.memory.grant:
            return
        own = server.stamp
        opening = (decision.opening.term, decision.opening.node)
        if server.role is not Role.ACTIVE or own is None or (own.term, own.node) != opening:
            return
        self._token_at, self._committing = now + TOKEN_INTERVAL, True

        def done(error: str | None) -> None:
            self._committing = False

        self.server.commit(handover.following(server.token, own.term), done)

    def _tell(self, now: float) -> None:
        decision = self.decision
        assert decision is not None
        record = decision.record
        urgent = (
            record.state, record.life, record.role, record.serving, record.stamp, record.ask, record.grant,
            record.offer, record.in_sync_for is None, record.refusal,
        )  # fmt: skip
        if now >= self._send_at or urgent != self._told or self.conversation.wants_reply(now):
            self._told, self._send_at = urgent, now + INTERVAL
            for path in (LINK, BACKUP):
                self.pair.send(self.host, path, self.conversation.seal(path, codec.to_plain(record), now))

    def _tick(self) -> None:
        """Be woken by the timers: each heartbeat, and the moment at which the peer has been silent too long."""
        if self.gone:
            return
        self.turn()
        self.pair.clock.after(INTERVAL / 2, self._tick)


def clag(role: MlagRole | None, peer_alive: bool | None = True, backup_active: bool | None = True) -> Clag:
    """Return what clagd says, `role` None when it does not run."""
    if role is None:
        return Clag(trouble="clagd does not run")
    other = MlagRole.SECONDARY if role is MlagRole.PRIMARY else MlagRole.PRIMARY
    return Clag(role, other, peer_alive, backup_active, "")
