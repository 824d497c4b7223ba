"""One switch of the simulated pair: its host, and its agent with the real core.

The agent is driven as ovsha.agent.loop drives it, with the real Orders, CopyWatch, record codec
and Conversation; only the drivers below them are models.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovsha.agent.peer_kernel import KernelWatch
from ovsha.agent.peer_token import Known, lack_of, noted
from ovsha.agent.steps import StepExecutor
from ovsha.core import belief, handover, operator_orders, turn
from ovsha.core import lineage as schemas
from ovsha.core.facts import Presence, Proof, Record, Role, Stamp, State, Token, Vip
from ovsha.core.lineage import CopyWatch
from ovsha.core.situation import USABLE, Situation
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, Settings, View
from ovsha.host.state_file import surely_on_disk
from ovsha.protocol import record as codec
from ovsha.protocol.heartbeat import Conversation
from tests.sim.drivers import LocalDriver, SourceDriver
from tests.sim.echo import Echoes
from tests.sim.network import BACKUP, LINK
from tests.sim.server import Data, Reply, SimServer, schema_of

if TYPE_CHECKING:
    from tests.sim.clagd import Clagd
    from tests.sim.world import World

KEY = bytes(range(32))
INTERVAL, TOKEN_INTERVAL = 0.1, 0.5
STEPS_PER_TURN = 12
SNAPSHOTS_KEPT = 5
GOODBYES = 3


@dataclass
class Host:
    """A switch: what survives the death of its agent, and on disk what survives a loss of power."""

    node: str
    server: SimServer
    clagd: Clagd = field(init=False)
    up: bool = False
    vip: bool = False
    boots: int = 0
    agent: Agent | None = None
    agents: int = 0
    term: int = 0
    reserved: int = 0
    peer_stamp: Stamp | None = None
    met_in: int = -1
    identity: str = ""
    peer_identity: str = ""
    held: Token | None = None
    founding: bool = False
    proof: Proof | None = None
    peer_token: Known = field(default_factory=Known)
    snapshots: dict[str, deque[Data]] = field(default_factory=dict)
    connect_decided_at: float = 0.0
    by_hand: bool = False  # somebody has used ovs-appctl, and the agent has not put it right yet
    files_changed: bool = False
    upgrade: float | None = None  # when it was prepared for an upgrade that nobody has finished; on disk
    dying: bool = False  # what runs on it has stopped, and its kernel and links will
    changed_at: float = 0.0
    server_changes: int = 0
    clagd_starts: int = 0

    def keep(self, data: Data) -> None:
        """Keep a snapshot of these data, and the newest ones of each sort, as ovsha.host.snapshot does."""
        sort = "blank" if data.empty and data.stamp is None else "known" if data.stamp else "unknown"
        kept = self.snapshots.setdefault(sort, deque(maxlen=1 if sort == "blank" else SNAPSHOTS_KEPT))
        if data not in kept:
            kept.append(data)

    def has_snapshot(self, data: Data) -> bool:
        """Tell whether there is a snapshot of these data."""
        return data in self.all_snapshots()

    def all_snapshots(self) -> list[Data]:
        """Return what the snapshots hold."""
        return [data for kept in self.snapshots.values() for data in kept]


class Agent:
    """The agent: look, decide, act, tell; it also stands in for ovsha.agent.switch, which Orders acts on."""

    def __init__(self, pair: World, host: Host, settings: Settings) -> None:
        self.pair, self.host, self.settings = pair, host, settings
        host.agents += 1
        self.boot = boot = f"{host.node}.{host.agents}"
        now = pair.clock.now
        self.started_at = self.woke_at = now
        self.gone = self.frozen = False
        self.memory = Memory(
            boot=boot, term=host.term, peer_stamp=host.peer_stamp, met=host.met_in == host.boots, awake=now,
            held=host.held, founding=host.founding, proof=belief.remembered(host.proof, host.held),
            peer_token=host.peer_token.token, lack=lack_of(host.peer_token, now, pair.wall(), str(host.boots)),
        )  # fmt: skip
        self.reserved = host.reserved
        self.conversation = Conversation(
            "rack7", host.node, settings.peer, KEY, boot, [LINK, BACKUP], max_delay=1.0,
            identity=host.identity or host.node, peer_identity=host.peer_identity,
        )
        self.inbox: list[tuple[bytes, str]] = []
        self.record: Record | None = None
        self.stale = self._saving = False
        self.view: View | None = None
        self.decision: Decision | None = None
        self.incidents = 0
        self._copy = CopyWatch(settings.max_lag, TOKEN_INTERVAL)
        self.server = LocalDriver(self)
        self.source = SourceDriver(self)
        self.kernel = KernelWatch(Echoes(self), self.source, settings.dead_interval)  # type: ignore[arg-type]
        self.orders = StepExecutor(self)  # type: ignore[arg-type]
        self._last_turn = self._send_at = self._token_at = now
        self._committing = False
        self._told: tuple[object, ...] = ()
        self._tick()

    @property
    def waits_for_decision(self) -> bool:
        """An operator has to decide before this side goes on."""
        return self.decision is not None and self.decision.state is State.NEEDS_DECISION

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
            self.woke_at = now
            self.inbox.clear()
            self.conversation.forget_liveness(now)
            self.kernel.forget()
            self._send_at = now
        for packet, path in self.inbox:
            state = self.conversation.receive(packet, path, now)
            self.record = codec.from_plain(state) if state is not None else self.record
        self.inbox.clear()
        age = self.conversation.heard_age(now)
        probe_every = INTERVAL if age is None or age > 1.5 * INTERVAL else 1.0
        self.source.run(now, probe_every)
        self.kernel.run(now, probe_every, age, self.record is not None and self.record.goodbye)
        self._store()
        for _ in range(STEPS_PER_TURN):
            decision = self._decide(now, woke)
            woke = False
            if not self.orders.carry_out(decision, now):
                break
        self._commit_token(now)
        self._tell(now)

    def switchover(self, target: str, restore: bool = False) -> str:
        """Do what Agent.order_switchover does; return why it cannot be done, "" when it is begun."""
        view, decision = self.view, self.decision
        if view is None or decision is None or decision.presence is not Presence.ALIVE or view.record is None:
            return "the peer is not heard"
        ours = target == self.host.node
        if not (view.record.serving if ours else decision.record.serving):
            return "the side that should give does not serve"
        if (decision.record.in_sync_for if ours else view.record.in_sync_for) is None:
            return "not in sync"
        case = Situation(view, self.memory, decision.presence)
        self.memory = operator_orders.switchover_ordered(case, target, f"order-{view.now}", "", restore)
        return ""

    def recall(self) -> str:
        """Do what Agent.recall does: call off the move that was ordered here; return why not, "" when it is."""
        if self.view is None or self.decision is None:
            return "the agent has only just started"
        now = Situation(self.view, self.memory, self.decision.presence)
        self.memory, refused = operator_orders.switchover_recalled(now)
        return refused

    def resolve(self, keep: str) -> str:
        """Do what Agent.order_resolve does; return why it cannot be done, "" when it is begun."""
        if self.view is None or self.decision is None:
            return "the agent has only just started"
        case = Situation(self.view, self.memory, self.decision.presence)
        refused = operator_orders.resolve_refusal(case, self.decision.rule.asks is not None, keep)
        if not refused:
            self.memory = operator_orders.resolve_ordered(case, keep)
            self.host.upgrade = None if keep == self.host.node else self.host.upgrade
        return refused

    def upgrade(self, prepare: bool) -> str:
        """Do what `ovsha upgrade prepare` or `finish` orders; return why it cannot be done, "" when it is."""
        if self.view is None or self.decision is None:
            return "the agent has only just started"
        case = Situation(self.view, self.memory, self.decision.presence)
        refusal = operator_orders.upgrade_prepare_refusal if prepare else operator_orders.upgrade_finish_refusal
        refused = refusal(case)
        if not refused:
            self.host.upgrade = self.pair.clock.now if prepare else None
        return refused

    def found(self) -> str:
        """Do what ovsha.agent.standing_orders.found does; return why it cannot be done, "" when it is begun."""
        if self.view is None or self.decision is None:
            return "the agent has only just started"
        case = Situation(self.view, self.memory, self.decision.presence)
        refused = operator_orders.founding_refusal(case, self.conversation.peer.identity)
        if not refused:
            self.memory = operator_orders.founding_ordered(case)
        return refused

    def say_goodbye(self) -> None:
        """Do what ovsha.agent.loop.Agent.say_goodbye does."""
        if self.decision is not None and self.decision.record.life in USABLE:
            state = codec.to_plain(replace(self.decision.record, goodbye=True, offer=None))
            for _ in range(GOODBYES):
                for path in (LINK, BACKUP):
                    self.pair.send(self.host, path, self.conversation.seal(path, state, self.pair.clock.now))

    def add_vip(self, now: float) -> None:
        self.host.vip = self.stale = True

    def drop_vip(self, now: float) -> None:
        self.host.vip = self.stale = False

    def cut_stale(self) -> None:
        self.stale = False

    def fence(self) -> None:
        self.pair.controller.cut(self.host.node)
        self.server.fence()

    def connect(self, done: Reply) -> None:
        """Do what ovsha.agent.switch does: what was held is forgotten on disk before it can be erased."""
        self.host.proof = None
        self.server.follow(self.settings.source, done)

    def snapshot(self, term: int, done: Reply) -> None:
        """Copy the database file, which takes a moment."""
        clock = self.pair.clock

        def taken() -> None:
            self.host.keep(self.host.server.data)
            if not self.gone:
                self.server.saved = True
                done(None)
                self.turn()

        clock.after(clock.between(0.005, 0.05), taken)

    def observe(self, now: float, woke: bool) -> View:
        """Return all that is known now."""
        server, source, theirs = self.server.facts(), self.source.facts(now), self.source.schema
        following = server.role is Role.BACKUP and server.source == self.settings.source
        return View(
            now=now,
            settings=self.settings,
            server=server,
            vip=Vip(self.host.vip, self.pair.carrier(self.host.node), stale=self.stale),
            clag=self.host.clagd.facts,
            source=source,
            copy=self._copy.look(now, server, source, following),
            kernel=self.kernel.facts(now),
            record=self.record,
            heard_age=self.conversation.heard_age(now),
            link_silent_for=self.conversation.path_state(LINK, now, self.settings.dead_interval).heard_age,
            reserved=self.reserved,
            woke=woke,
            estranged=self._estranged(now),
            upgrade=None if self.host.upgrade is None else now - self.host.upgrade,
            schema_gap=""
            if theirs is None
            else schemas.schema_gap(schema_of(self.host.server.schema), schema_of(theirs)),
        )

    def _estranged(self, now: float) -> Record | None:
        stranger = self.conversation.peer.stranger(now, self.settings.dead_interval)
        return None if stranger is None else codec.from_plain(stranger.state)

    def _decide(self, now: float, woke: bool) -> Decision:
        self.view = self.observe(now, woke)
        self.recorded = (self.view, self.memory)
        last, decision = self.decision, turn.turn(self.view, self.memory)
        self.view, self.decision, self.memory = decision.view, decision, decision.memory
        self._keep_proof()
        self.pair.decided(self, last, decision)
        return decision

    def _store(self) -> None:
        """Save what must survive, a little later, as ovsha.host.state_file does with its thread."""
        host, memory = self.host, self.memory
        reserved = max(self.reserved, memory.term + 1)
        met_in = host.boots if memory.met else host.met_in
        now, wall = self.pair.clock.now, self.pair.wall()
        wanted = (
            memory.term, reserved, memory.peer_stamp, met_in, surely_on_disk(memory.held, host.held),
            self.conversation.peer.identity, memory.founding,
            noted(host.peer_token, memory, self.settings.max_lag, now, wall, str(host.boots)),
        )  # fmt: skip
        kept = (
            host.term, host.reserved, host.peer_stamp, host.met_in, host.held, host.peer_identity, host.founding,
            host.peer_token,
        )  # fmt: skip
        if self._saving or wanted == kept:
            return
        self._saving, boots = True, host.boots

        def saved() -> None:
            self._saving = False
            if self.gone or host.boots != boots:
                return
            (
                host.term, host.reserved, host.peer_stamp, host.met_in, host.held, host.peer_identity, host.founding,
                host.peer_token,
            ) = wanted  # fmt: skip
            self.reserved = reserved
            self.turn()

        self.pair.clock.after(self.pair.clock.between(0.001, 0.02), saved)

    def _keep_proof(self) -> None:
        """Keep, now and then, what the server's process holds, as ovsha.ovsdb.proofs does."""
        proof, kept = self.memory.proof, self.host.proof
        if proof is None or proof.copy:
            self.host.proof = None
        elif kept is None or (kept.process, kept.stamp) != (proof.process, proof.stamp) or far(kept, proof):
            self.host.proof = Proof(proof.process, proof.stamp, proof.token)

    def _commit_token(self, now: float) -> None:
        decision = self.decision
        assert decision is not None
        token = handover.periodic_token(decision.record, decision.opening)
        if token is None or self._committing or now < self._token_at:
            return
        self._token_at, self._committing = now + TOKEN_INTERVAL, True

        def done(error: str | None) -> None:
            self._committing = False

        self.server.commit(token, done)

    def _tell(self, now: float) -> None:
        decision = self.decision
        assert decision is not None
        record = decision.record
        urgent = codec.urgent(record)
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


def far(kept: Proof, proof: Proof) -> bool:
    """Tell whether the token on disk is so old that it is written again, sooner than in truth."""
    ours, theirs = proof.token or (0, 0), kept.token or (0, 0)
    return ours[0] != theirs[0] or not 0 <= ours[1] - theirs[1] < 5
