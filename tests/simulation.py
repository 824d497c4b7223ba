"""A pair of switches on a virtual clock, with a network that can be cut, faults, and the laws of the pair.

`Pair` holds two hosts with the real core in their agents; a fault is a method of it, named
in FAULTS, so that a schedule is a list of names.  After every event the laws are checked;
`LawBroken` names the law and carries the last lines of the log.  One seed gives one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ovsha.core.facts import Kind, MlagRole, Presence, Settings, State
from ovsha.core.lineage import term_of
from ovsha.core.side import Decision
from ovsha.core.transition import Step
from sim_server import Clock, Data, SimServer
from sim_side import BACKUP, LINK, Agent, Host, clag

NODES = ("sw1", "sw2")
WRITE_EVERY = 0.1
EXCHANGE = 1.0  # seconds in which two sides that hear each other must have settled who serves
OPENING = (Step.PROMOTE, Step.OPEN_MANAGERS, Step.ADD_VIP, Step.OPEN_LISTENER)
PLANNED = (Kind.SWITCHOVER, Kind.RESTORE)


class LawBroken(AssertionError):
    """A law of the pair does not hold."""


class Pair:
    """Two switches, what is between them, a controller that writes, and the laws."""

    def __init__(self, seed: int = 0, **changed: object) -> None:
        self.clock = Clock(seed)
        self.log: list[str] = []
        self.loss, self.refusals, self.latency = 0.0, 0.0, 0.02
        self.cuts: set[tuple[str, str]] = set()  # (path, sender)
        self.tcp_cut = False
        self.carrier: bool | None = True
        self.snapshots: set[Data] = set()
        self.acknowledged: dict[int, str] = {}
        self.watched: Callable[[], object] | None = None  # one more law, while a test needs it
        self._overlap_since: float | None = None
        self._writes = 0
        self.hosts: dict[str, Host] = {}
        self.settings: dict[str, Settings] = {}
        for node, peer in (NODES, NODES[::-1]):
            server = SimServer(node, self.clock, self, Data())
            role = MlagRole.PRIMARY if node == "sw1" else MlagRole.SECONDARY
            self.hosts[node] = Host(node, server, clag(role))
            usual = Settings(
                node, peer, preferred="sw1", source=f"tcp:{peer}:9999", dead_interval=0.4, stall_interval=3.0,
                restore_delay=2.0, handover_timeout=2.0, link_cut_hold=1.0, max_lag=0.5,
            )  # fmt: skip
            self.settings[node] = replace(usual, **changed)  # type: ignore[arg-type]
        self._write()

    # What the operator and nature do.

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run(self.clock.now + seconds, self.check)

    def power_on(self, node: str) -> None:
        """Boot a switch; its server comes up first, then its agent."""
        host = self.hosts[node]
        if not host.up:
            host.up, host.boots = True, host.boots + 1
            self.server_start(node)
            self.agent_start(node)

    def power_off(self, node: str) -> None:
        """Take the power from a switch."""
        host = self.hosts[node]
        self.agent_kill(node)
        self.server_kill(node)
        host.up = host.vip = False

    def server_start(self, node: str) -> None:
        """Start ovsdb-server, or do nothing when it runs."""
        if self.hosts[node].up:
            self.hosts[node].server.start()

    def server_kill(self, node: str) -> None:
        self.hosts[node].server.kill()

    def server_freeze(self, node: str) -> None:
        self.hosts[node].server.freeze()

    def server_thaw(self, node: str) -> None:
        """Let a stopped server go on: it first takes what waits in its sockets."""
        server = self.hosts[node].server
        if server.frozen:
            server.frozen = False
            self._write_to(self.hosts[node])
            server.thaw()

    def server_stall(self, node: str) -> None:
        """Keep a server busy, for less than the time after which that counts as a hang."""
        self.hosts[node].server.stall(self.clock.between(0.1, 2.0))

    def agent_start(self, node: str) -> None:
        host = self.hosts[node]
        if host.up and host.agent is None:
            host.agent = Agent(self, host, self.settings[node])

    def agent_kill(self, node: str) -> None:
        host = self.hosts[node]
        if host.agent is not None:
            host.agent.gone, host.agent = True, None

    def agent_freeze(self, node: str) -> None:
        agent = self.hosts[node].agent
        if agent is not None:
            agent.frozen = True

    def agent_thaw(self, node: str) -> None:
        agent = self.hosts[node].agent
        if agent is not None and agent.frozen:
            agent.frozen = False
            agent.turn()

    def switchover(self, node: str) -> None:
        """Have the operator of either side order the service to `node`."""
        agents = [host.agent for host in self.hosts.values() if host.agent and not host.agent.frozen]
        if agents:
            agent = self.clock.random.choice(agents)
            answer = agent.switchover(node)
            self.note(f"{agent.host.node}: ordered a switchover to {node}{': ' + answer if answer else ''}")

    def cut(self, path: str, sender: str | None = None, *, tcp: bool = True, carrier: bool = False) -> None:
        """Cut a path, or one direction of it, with or without the carrier."""
        self.cuts |= {(path, node) for node in NODES if sender in (None, node)}
        if path == LINK:
            self.tcp_cut = self.tcp_cut or tcp
            self.carrier = False if carrier else self.carrier
        self._clag_notices()

    def heal(self, path: str) -> None:
        self.cuts = {cut for cut in self.cuts if cut[0] != path}
        if path == LINK:
            self.tcp_cut, self.carrier = False, True
        self._clag_notices()

    def clag_roles(self, one: MlagRole | None, two: MlagRole | None) -> None:
        """Set what the two clagds say of themselves."""
        for node, role in zip(NODES, (one, two), strict=True):
            self.hosts[node].clag = clag(role)
        self._clag_notices()

    def heal_all(self) -> None:
        """End every fault."""
        self.loss = self.refusals = 0.0
        self.clag_roles(MlagRole.PRIMARY, MlagRole.SECONDARY)
        for path in (LINK, BACKUP):
            self.heal(path)
        for node in NODES:
            self.power_on(node)
            self.server_thaw(node)
            self.server_start(node)
            self.agent_thaw(node)
            self.agent_start(node)

    # What the models ask of the world.

    def other(self, node: str) -> Host:
        return self.hosts[NODES[node == NODES[0]]]

    def reaches(self, server: SimServer) -> SimServer | None:
        other = self.other(server.node)
        return other.server if other.up and self.hosts[server.node].up and not self.tcp_cut else None

    def told(self, server: SimServer) -> None:
        """Wake the agents that can notice the change."""
        own, other = self.hosts[server.node].agent, self.other(server.node).agent
        if own is not None:
            own.server.changed()
        if other is not None:
            self.clock.after(self.clock.between(0.001, 0.005), other.turn)

    def send(self, sender: Host, path: str, packet: bytes) -> None:
        """Carry a packet: late, twice or not at all."""
        if (path, sender.node) in self.cuts or self.clock.random.random() < self.loss:
            return
        receiver = self.other(sender.node)
        for _ in range(2 if self.clock.random.random() < 0.02 else 1):
            delay = self.clock.between(0.0002, 0.005 if self.clock.random.random() < 0.95 else 0.15)

            def arrive() -> None:
                if receiver.agent is not None:
                    receiver.agent.receive(packet, path)

            self.clock.after(delay, arrive)

    def _clag_notices(self) -> None:
        for node, host in self.hosts.items():
            up = self.other(node).up
            linked, backed = ((path, sender) not in self.cuts for path in (LINK, BACKUP) for sender in NODES[:1])
            if host.clag.role is not None:
                host.clag = replace(host.clag, peer_alive=up and linked, backup_active=up and backed)

    # The controller.

    def _write(self) -> None:
        for host in self.hosts.values():
            if host.server.responsive:
                self._write_to(host)
        self.clock.after(WRITE_EVERY, self._write)

    def _write_to(self, host: Host) -> None:
        if serves(host):
            self._writes += 1
            host.server.write(self._writes)
            self.acknowledged[self._writes] = host.node

    # The laws.

    def check(self) -> None:
        """Law 1: two sides that hear each other do not both serve for longer than one exchange takes."""
        hosts = self.hosts.values()
        both = all(serves(host) and host.server.responsive for host in hosts) and all(
            hears(host) for host in hosts
        )
        if not both or self.refusals:
            self._overlap_since = None
        elif self._overlap_since is None:
            self._overlap_since = self.clock.now
        elif self.clock.now - self._overlap_since > EXCHANGE:
            self.broken("1: both sides serve although they hear each other")
        if self.watched is not None:
            self.watched()

    def beginning(self, agent: Agent, decision: Decision) -> None:
        """Law 1: a side that hears an active peer never begins to serve; laws 2, 4: nor with old or missing data."""
        view, step = agent.view, decision.step
        if step not in OPENING or view is None or view.record is None:
            return
        if decision.presence is Presence.ALIVE and view.record.serving and decision.rule.name != "split-won":
            self.broken(f"1: {agent.host.node} begins to serve although it hears that the peer does")
        heard = view.record.term if decision.presence is Presence.ALIVE else 0
        if step is Step.PROMOTE and heard > term_of(agent.host.server.data.stamp):
            self.broken(f"2: {agent.host.node} begins to serve although it hears of data of term {heard}")
        ask, other = decision.memory.ask, self.other(agent.host.node)
        if decision.rule.name != "granted" or ask is None:
            return
        own, theirs = agent.host.server, other.server
        older = age_of(theirs) > age_of(own)
        if ask.kind is Kind.START and theirs.running and older:
            self.broken(f"2: {agent.host.node} is given the service although its data is older")
        if ask.kind in PLANNED and theirs.writable and (older or theirs.data.rows - own.data.rows):
            self.broken(f"4: a planned move to {agent.host.node} does not wait for the last write")

    def erasing(self, server: SimServer, source: SimServer, by_itself: bool) -> None:
        """Law 2: what is erased is in a snapshot and is not newer than what is copied."""
        own, new = server.data, source.data
        self.note(f"{server.node}: copies the database of {source.node} over its own")
        if by_itself and hears(self.hosts[server.node]) is False:
            return  # no agent was there to park it
        if new.stamp is None:
            self.broken(f"2: {server.node} copies a database of unknown lineage")
        if term_of(new.stamp) < term_of(own.stamp):
            self.broken(f"2: {server.node} copies {new.stamp} over {own.stamp}")
        if new.empty and not own.empty:
            self.broken(f"2: {server.node} copies an empty database over its own")
        if not by_itself and own not in self.snapshots and not server.half:
            self.broken(f"2: {server.node} is erased without a snapshot")

    def promoting(self, server: SimServer) -> None:
        """Law 3: nothing half-copied is promoted."""
        if server.half:
            self.broken(f"3: {server.node} is promoted although its copy is not complete")

    def decided(self, agent: Agent, last: Decision | None, now: Decision) -> None:
        """Note what changed."""
        node = agent.host.node
        if last is None or last.state is not now.state:
            before = last.state.value if last else "start"
            self.note(f"{node}: {before} -> {now.state.value}, because {now.why}")
        elif last.rule is not now.rule:
            self.note(f"{node}: {now.rule.goal.value}, because {now.why}")
        if last is not None and last.step is not now.step and now.step is not None:
            self.note(f"{node}:   {now.step.value}")

    def note(self, line: str) -> None:
        self.log.append(f"t={self.clock.now:.2f} {line}")

    def broken(self, law: str) -> None:
        raise LawBroken("\n".join([f"t={self.clock.now:.2f}: law {law}", *self.log[-60:]]))

    def serving(self) -> list[str]:
        """Return the nodes that serve."""
        return [node for node, host in self.hosts.items() if serves(host)]

    def outline(self) -> list[tuple[object, ...]]:
        """Return what a controller, a VTEP daemon or a backup would notice when it changed."""
        return [
            (host.vip, server.process, server.role, server.source, server.managers, server.listener, server.data.stamp)
            for host in self.hosts.values()
            for server in [host.server]
        ]

    def settled(self, node: str) -> bool:
        """Tell whether `node` serves alone and whole, and the other side holds the same data."""
        active, backup = self.hosts[node], self.other(node)
        return (
            self.serving() == [node]
            and active.vip
            and active.server.managers
            and active.server.listener
            and not backup.vip
            and all(host.agent is not None and host.agent.decision is not None for host in self.hosts.values())
            and active.agent.decision.state is State.ACTIVE
            and backup.agent.decision.state is State.BACKUP
            and backup.agent.decision.record.in_sync_for is not None
            and active.server.data.stamp == backup.server.data.stamp
        )


def serves(host: Host) -> bool:
    """Tell whether a controller or a VTEP daemon can write to this switch's server."""
    server = host.server
    return server.writable and (server.managers or (server.listener and host.vip))


def age_of(server: SimServer) -> tuple[int, tuple[int, int]]:
    """Return what tells newer data from older: the term and the token."""
    return term_of(server.data.stamp), server.data.token or (0, 0)


def hears(host: Host) -> bool:
    """Tell whether this side's agent runs and hears the other."""
    agent = host.agent
    if agent is None or agent.frozen or agent.decision is None:
        return False
    age = agent.conversation.heard_age(agent.pair.clock.now)
    return age is not None and age < agent.settings.dead_interval


def started(seed: int = 0, **changed: object) -> Pair:
    """Return a pair that booted together and is in its steady state."""
    pair = Pair(seed, **changed)
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    return pair


def wait_for(pair: Pair, holds: Callable[[], bool], limit: float) -> float:
    """Let time pass until something holds; return how long that took.  LawBroken when it takes too long."""
    began = pair.clock.now
    while not holds():
        if pair.clock.now - began > limit:
            pair.broken(f"of progress: not there after {limit:g} s")
        pair.run(0.05)
    return pair.clock.now - began
