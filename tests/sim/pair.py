"""A pair of switches on a virtual clock, with faults, and the laws of the pair.

`Pair` holds two hosts with the real core in their agents; a fault is a method of it, named
in faults.py, so that a schedule is a list of names.  Whatever the agents do is checked
against the laws in sim_laws.py; `LawBroken` names the law, carries the last lines of the
log, and says how to see the whole run again.  One seed gives one run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ovsha.core.facts import Clag, MlagRole, Stamp, Token
from ovsha.core.lineage import term_of
from ovsha.core.situation import Situation
from tests.sim.laws import LawBroken, holds, serves
from tests.sim.network import BACKUP, LINK, NODES
from tests.sim.server import SimServer
from tests.sim.side import Agent
from tests.sim.world import World

__all__ = ["BACKUP", "LINK", "NODES", "LawBroken", "Pair", "holds", "serves", "started", "wait_for"]


class Pair(World):
    """A world, and what the operator, nature and chance do to it."""

    # Switches.

    def power_on(self, node: str) -> None:
        """Boot a switch; its server comes up first, then clagd and the agent."""
        host = self.hosts[node]
        if not host.up:
            host.up, host.boots = True, host.boots + 1
            self.server_start(node)
            self.clagd_start(node)
            self.agent_start(node)

    def power_off(self, node: str) -> None:
        """Take the power from a switch."""
        host = self.hosts[node]
        self.agent_kill(node)
        self.server_kill(node)
        host.clagd.crash()
        host.up = host.vip = host.dying = False
        self.disturbed(node)

    # Servers.

    def server_start(self, node: str) -> None:
        """Start ovsdb-server as its unit does, or do nothing when it runs."""
        self._start(node, plain=False)

    def server_start_plain(self, node: str) -> None:
        """Start ovsdb-server as somebody does who knows nothing of the pair."""
        self._start(node, plain=True)

    def server_kill(self, node: str) -> None:
        host = self.hosts[node]
        self.disturbed(node)
        host.server_changes += host.server.running
        host.server.kill()

    def server_returns(self, node: str, how: Callable[[SimServer], None] | None, *, plain: bool = False) -> None:
        """Start a server anew, with what `how` has made of its file meanwhile."""
        self.server_kill(node)
        if how is not None:
            how(self.hosts[node].server)
            self.hosts[node].files_changed = True
            self.laws.surprised(node)
        self._start(node, plain=plain)

    def server_upgraded(self, node: str) -> None:
        """Start a server anew with a newer schema."""
        self.server_kill(node)
        self.hosts[node].server.schema += 1
        self._start(node, plain=False)

    def server_freeze(self, node: str) -> None:
        self.disturbed(node)
        self.hosts[node].server.freeze()

    def server_thaw(self, node: str) -> None:
        """Let a stopped server go on: it first takes what waits in its sockets."""
        server = self.hosts[node].server
        self.disturbed(node)
        if server.frozen:
            server.frozen = False
            self.controller.goes_on(node)
            server.thaw()

    def server_stall(self, node: str) -> None:
        """Keep a server busy, for less than the time after which that counts as a hang."""
        self.hosts[node].server.stall(self.clock.between(0.1, 2.0))

    def server_rejects(self, node: str) -> None:
        """Let a constraint fail on whatever this server is about to copy."""
        self.disturbed(node)
        self.hosts[node].server.rejects = True
        self.hosts[node].files_changed = True  # after three copies that failed, only an operator has it tried again

    def server_promoted_by_hand(self, node: str) -> None:
        """Have somebody use ovs-appctl to make the server active."""
        self._by_hand(node, SimServer.promote)
        self.hosts[node].by_hand = False

    def server_connected_by_hand(self, node: str) -> None:
        """Have somebody use ovs-appctl to make the server a backup of the peer."""
        self._by_hand(node, lambda server: server.follow(self.settings[node].source))

    def client_clears(self, node: str) -> None:
        """Have a client replace the map in which the agents' keys are by one of its own."""
        self.hosts[node].server.overwrite(lambda data: replace(data, stamp=None, token=None))

    def client_sets_back(self, node: str) -> None:
        """Have a client write a token of some time ago, as it comes with a backup that is restored."""
        self.hosts[node].server.overwrite(lambda data: replace(data, token=earlier(data.true_token)))

    def client_claims(self, node: str) -> None:
        """Have a client write another node's name into the stamp."""
        name, chosen = self.clock.random.choice([*NODES, "spine1"]), self.clock.random.random() < 0.5
        self.hosts[node].server.overwrite(
            lambda data: replace(data, stamp=Stamp(term_of(data.true_stamp), name, chosen))
        )

    def client_exaggerates(self, node: str) -> None:
        """Have a client write a term and a token that nobody can have come to."""
        self.hosts[node].server.overwrite(lambda data: replace(data, stamp=Stamp(2**61, node), token=(2**61, 2**61)))

    # Agents.

    def agent_start(self, node: str) -> None:
        host = self.hosts[node]
        if host.up and host.agent is None:
            self.laws.starting(host)
            host.agent = Agent(self, host, self.settings[node])

    def agent_kill(self, node: str) -> None:
        host = self.hosts[node]
        if host.agent is not None:
            # What a backup held before a client's write came to it is known to nobody but its agent.
            host.server.unproven |= host.server.data.overwritten and not host.server.writable
            host.agent.gone, host.agent = True, None

    def agent_stop(self, node: str) -> None:
        """End the agent as systemd does: it says goodbye."""
        agent = self.hosts[node].agent
        if agent is not None and not agent.frozen:
            agent.say_goodbye()
            self.agent_kill(node)

    def death_in_stages(self, node: str) -> None:
        """Let a switch die: first what runs on it, some seconds later its kernel and its links."""
        for stop in (self.agent_freeze, self.server_freeze)[: 1 + self.clock.chance(0.5)]:
            stop(node)
        host = self.hosts[node]
        host.dying = host.up

        def end() -> None:
            if host.dying:
                self.power_off(node)

        self.clock.after(self.clock.between(0.0, 5.0), end)

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
        self.disturbed(node)
        agents = [host.agent for host in self.hosts.values() if host.agent and not host.agent.frozen]
        if agents:
            agent = self.clock.random.choice(agents)
            answer = agent.switchover(node)
            self.note(f"{agent.host.node}: ordered a switchover to {node}{': ' + answer if answer else ''}")

    def restore(self, node: str) -> None:
        """Have the operator order on `node` that the original primary gets the service back."""
        agent, self.restore_ordered = self.hosts[node].agent, True
        self.disturbed(node)
        if agent is not None and not agent.frozen and agent.view is not None and agent.decision is not None:
            target = Situation(agent.view, agent.memory, agent.decision.presence).configured
            answer = agent.switchover(target, restore=True) if target else "nobody knows which side that is"
            self.note(f"{node}: ordered to restore {target}{': ' + answer if answer else ''}")

    def recall(self, node: str) -> None:
        """Have the operator call off the move that was ordered on `node`."""
        agent = self.hosts[node].agent
        if agent is not None and not agent.frozen:
            self.disturbed(node)
            self.note(f"{node}: the order is called off {agent.recall()}")

    def resolve(self, keep: str) -> str:
        """Have the operator of either side keep the data of node `keep`; return the first refusal, "" when begun."""
        answers = []
        for host in self.hosts.values():
            if host.agent is not None and not host.agent.frozen:
                answers.append(host.agent.resolve(keep))
                if not answers[-1]:
                    self.disturbed(*NODES)
                    self.kept = keep
                    for node in NODES:
                        self.laws.surprised(node)
                    return ""
        return answers[0] if answers else "no agent runs"

    def upgrade_prepare(self, node: str) -> str:
        """Have the operator say that the switch is going to be upgraded; return why not, "" when that is taken."""
        return self._upgrade(node, True)

    def upgrade_finish(self, node: str) -> str:
        """Have the operator say that the upgrade is done; return why not, "" when that is taken."""
        return self._upgrade(node, False)

    def _upgrade(self, node: str, prepare: bool) -> str:
        agent = self.hosts[node].agent
        if agent is None or agent.frozen:
            return "the agent does not answer"
        refused = agent.upgrade(prepare)
        if not refused:
            self.disturbed(*NODES)
        return refused

    # Paths and clagd.

    def cut(self, path: str, sender: str | None = None, *, tcp: bool = True, carrier: bool = False) -> None:
        """Cut a path, or one direction of it, with or without TCP and the carrier."""
        self.disturbed(*NODES)
        self.network.cut(path, sender, tcp=tcp, carrier=carrier)
        self._clag_poked()

    def filter_copying(self, node: str) -> None:
        """Have a firewall drop, without a word, what `node` sends to the peer's server."""
        self.disturbed(*NODES)
        self.network.changed_at = self.clock.now
        self.network.filtered.add(node)

    def heal(self, path: str) -> None:
        self.disturbed(*NODES)
        self.network.heal(path)
        self._clag_poked()

    def clagd_start(self, node: str) -> None:
        host = self.hosts[node]
        host.clagd_starts += host.up and not host.clagd.running
        host.clagd.start()

    def clagd_stop(self, node: str) -> None:
        """Stop clagd; it says goodbye to its peer."""
        self.hosts[node].clagd.stop()

    def clagd_crash(self, node: str) -> None:
        self.hosts[node].clagd.crash()

    def clagd_prefers(self, node: str) -> None:
        """Give `node` the better priority."""
        for host in self.hosts.values():
            host.clagd.priority = 1000 if host.node == node else 2000

    def clag_roles(self, one: MlagRole | None, two: MlagRole | None) -> None:
        """Make clagctl say of the two switches what need not be true, None for nothing at all."""
        for node, role in zip(NODES, (one, two), strict=True):
            self.hosts[node].clagd.forced = Clag(role, trouble="" if role else "clagctl cannot be understood")
        self._clag_poked()

    def heal_all(self) -> None:
        """End every fault."""
        self.refusals = 0.0
        self.network.heal_all()
        self.clagd_prefers(NODES[0])
        for host in self.hosts.values():
            host.dying = False
            host.clagd.forced, host.clagd.has_backup_path = None, True
            host.server.rejects = False
            self.disturbed(host.node)
        newest = max(host.server.schema for host in self.hosts.values())
        for node in NODES:
            self.hosts[node].server.schema = newest
            self.power_on(node)
            self.server_thaw(node)
            self.server_start(node)
            self.clagd_start(node)
            self.agent_thaw(node)
            self.agent_start(node)

    def _start(self, node: str, *, plain: bool) -> None:
        host = self.hosts[node]
        if host.up and not host.server.running:
            self.disturbed(node)
            host.server_changes += 1
            if plain:
                self.laws.surprised(node)
            host.server.start(plain=plain)

    def _by_hand(self, node: str, act: Callable[[SimServer], object]) -> None:
        host = self.hosts[node]
        if host.server.responsive:
            self.disturbed(node)
            self.laws.surprised(node)
            host.by_hand = True
            act(host.server)

    def _clag_poked(self) -> None:
        for host in self.hosts.values():
            host.clagd.ask()


def earlier(token: Token | None) -> Token:
    """Return a token that was committed before this one."""
    return (token[0], max(0, token[1] - 5)) if token is not None else (0, 0)


def started(seed: int = 0, **changed: object) -> Pair:
    """Return a pair that booted together and is in its steady state."""
    pair = Pair(seed, **changed)
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    return pair


def wait_for(
    pair: Pair, holds: Callable[[], bool], limit: float, meanwhile: Callable[[], None] | None = None
) -> float:
    """Let time pass until something holds; return how long that took.  LawBroken when it takes too long."""
    began = pair.clock.now
    while not holds():
        if pair.clock.now - began > limit:
            pair.broken(f"of progress: not there after {limit:g} s")
        pair.run(0.05)
        if meanwhile is not None:
            meanwhile()
    return pair.clock.now - began
