"""The world of a simulated pair: two hosts, what is between them, and what the models ask of it.

What can be done to it is in simulation.py, what must hold in sim_laws.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

from ovsha.core.facts import State
from ovsha.core.turn import Decision
from ovsha.core.view import Settings
from tests.sim.clagd import Clagd
from tests.sim.clock import Clock
from tests.sim.controller import Controller
from tests.sim.laws import Laws, serves
from tests.sim.network import NODES, Network
from tests.sim.server import Data, SimServer
from tests.sim.side import TOKEN_INTERVAL, Agent, Host


class World:
    """Two switches, what is between them, a controller that writes, and the laws."""

    def __init__(self, seed: int = 0, **changed: object) -> None:
        self.seed, self.changed = seed, changed
        self.clock = Clock(seed)
        self.network = Network(self.clock)
        self.log: list[str] = []
        self.done: list[tuple[float, str]] = []  # the faults so far, and when
        self.refusals, self.latency = 0.0, 0.02
        self.disturbances = 0
        self.restore_ordered = False  # somebody has ordered that the original primary serves
        self.clock_error = 1000.0
        self.kept: str | None = None  # whose data the operator has last decided to keep
        self.watched: Callable[[], object] | None = None  # one more law, while a test needs it
        self.hosts: dict[str, Host] = {}
        self.settings: dict[str, Settings] = {}
        self.laws = Laws(self)
        for number, (node, peer) in enumerate((NODES, NODES[::-1])):
            host = self.hosts[node] = Host(node, SimServer(node, self.clock, self, Data()))
            host.clagd = Clagd(host, self.clock, self.network, priority=1000 * (number + 1))
            usual = Settings(
                node, peer, preferred="sw1", source=f"tcp:{peer}:9999", dead_interval=0.4, stall_interval=3.0,
                restore_delay=2.0, handover_timeout=2.0, link_cut_hold=1.0, max_lag=0.5, move_window=10.0,
                token_interval=TOKEN_INTERVAL, max_behind=4.0,
            )  # fmt: skip
            known = {name: value for name, value in changed.items() if hasattr(usual, name)}
            self.settings[node] = replace(usual, **known)  # type: ignore[arg-type]
        for node in NODES:
            self.hosts[node].clagd.peer = self.other(node).clagd
        self.controller = Controller(self.hosts, self.clock, self.network, self.laws)  # type: ignore[arg-type]
        self.latency = float(changed.get("latency", 0.02))  # type: ignore[arg-type]
        for host in self.hosts.values():
            host.server.copy_time = float(changed.get("copy_time", 0.1))  # type: ignore[arg-type]
            host.server.longest_lag = float(changed.get("lag", 0.02))  # type: ignore[arg-type]
        self.network.loss = float(changed.get("loss", 0.0))  # type: ignore[arg-type]

    @property
    def acknowledged(self) -> set[int]:
        """The numbers of all writes that were acknowledged."""
        return set(self.controller.acknowledged)

    def wall(self) -> float:
        """Return the time of day; somebody may have set the clocks back."""
        return self.clock.now + self.clock_error

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run(self.clock.now + seconds, self._check)

    # What the models ask of the world.

    def other(self, node: str) -> Host:
        return self.hosts[NODES[node == NODES[0]]]

    def reaches(self, server: SimServer) -> SimServer | None:
        other = self.other(server.node)
        if server.node in self.network.misled:
            return server
        if server.node in self.network.filtered:
            return None
        return other.server if other.up and self.hosts[server.node].up and not self.network.tcp_cut else None

    def told(self, server: SimServer) -> None:
        """Wake the agents that can notice the change."""
        own, other = self.hosts[server.node].agent, self.other(server.node).agent
        if own is not None:
            own.server.changed()
        if other is not None:
            self.clock.after(self.clock.between(0.001, 0.005), other.turn)

    def send(self, sender: Host, path: str, packet: bytes) -> None:
        """Carry a packet to the other agent."""
        receiver = self.other(sender.node)

        def arrive() -> None:
            if receiver.agent is not None:
                receiver.agent.receive(packet, path)

        self.network.send(path, sender.node, arrive)

    def carrier(self, node: str) -> bool:
        """Tell whether this switch sees the peer link up: a switch without power gives no carrier."""
        return self.network.carrier and self.other(node).up

    def erasing(self, server: SimServer, source: SimServer, by_itself: bool) -> None:
        self.note(f"{server.node}: copies the database of {source.node} over its own")
        self.laws.erasing(server, source, by_itself)

    def promoting(self, server: SimServer) -> None:
        self.laws.promoting(server)

    def self_promoted(self, server: SimServer, why: str) -> None:
        self.note(f"{server.node}: makes itself active: {why}")
        self.laws.surprised(server.node)

    def decided(self, agent: Agent, last: Decision | None, now: Decision) -> None:
        """Note what changed, and check it."""
        node = agent.host.node
        if last is None or last.state is not now.state:
            before = last.state.value if last else "start"
            self.note(f"{node}: {before} -> {now.state.value}, because {now.why}")
        elif last.rule is not now.rule:
            self.note(f"{node}: {now.rule.goal.value}, because {now.why}")
        if last is not None and last.step is not now.step and now.step is not None:
            self.note(f"{node}:   {now.step.value}")
        self.laws.decided(agent, now)

    def note(self, line: str) -> None:
        self.log.append(f"t={self.clock.now:.2f} {line}")

    def how_to_replay(self) -> str:
        """Return the command that shows this run again, with its whole log."""
        words = [str(self.seed), *(f"{name}={value}" for name, value in self.changed.items())]
        before = 0.0
        for at, name in self.done:
            words += [f"{at - before:g}", name]
            before = at
        return "again: python3 tests/sim/replay.py " + " ".join(shlex.quote(word) for word in words)

    # How it stands.

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

    def broken(self, law: str) -> None:
        self.laws.broken(law)

    def disturbed(self, *nodes: str) -> None:
        self.disturbances += 1
        for node in nodes:
            self.hosts[node].changed_at = self.clock.now

    def _check(self) -> None:
        self.laws.check()
        if self.watched is not None:
            self.watched()
