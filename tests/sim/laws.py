"""The eight laws, as checks on what the simulated pair does; each complaint begins with the number of its law.

A check compares what a side decides with the truth of the world, which the side cannot see.
What no agent can prevent is left out where it is checked, with the reason: a server that
copies while its own agent is dead, a source that is replaced while the order is on its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovsha.agent.steps import ACTS
from ovsha.core.election import RULES
from ovsha.core.facts import Kind, Presence, State, Token
from ovsha.core.lineage import term_of
from ovsha.core.transition import Step
from ovsha.core.turn import Decision, turn

if TYPE_CHECKING:
    from tests.sim.server import SimServer
    from tests.sim.side import Agent, Host
    from tests.sim.world import World

EXCHANGE = 1.0  # seconds in which two sides that hear each other must have settled who serves
CALM = 1.0  # seconds after which everybody has noticed what happened last
PLANNED = (Kind.SWITCHOVER, Kind.RESTORE)
OPENING = (Step.PROMOTE, Step.OPEN_MANAGERS, Step.ADD_VIP, Step.OPEN_LISTENER)
HARMLESS = (None, Step.RESERVE_TERM, Step.CUT_STALE, Step.COMMIT_TOKEN, Step.HEAL)
STEPS = {
    "reserve the term", "make ovsdb-server active", "stamp the term into the database",
    "open the remote of the managers", "add the VIP and announce it", "open the listener on the VIP",
    "cut old sockets towards the VIP", "close the remote of the managers", "close the listener on the VIP",
    "drop the VIP", "commit the barrier token", "park ovsdb-server", "take a snapshot", "follow the peer",
    "cut the sessions of the hanging ovsdb-server", "write the stamp again that a client overwrote",
}  # fmt: skip
"""All that an agent may do.  None of it starts, stops or reconfigures a daemon: law 7."""


class LawBroken(AssertionError):
    """A law of the pair does not hold."""


@dataclass
class Lacking:
    """A copy that ends at `after` and whose agent, `boot`, has known of more `since` then, up to its `last` turn."""

    since: float
    after: Token
    boot: str
    last: float


class Laws:
    """The laws of one pair.

    `unplanned` counts what may let a reader see less than before; `unplanned_at` names the
    nodes that came to be active in no planned way.  `by_order`: whether an operator ordered each node's last service.
    """

    def __init__(self, pair: World) -> None:
        self.pair = pair
        self.unplanned = 0
        self.unplanned_at: set[str] = set()
        self.by_order: dict[str, bool | None] = {}
        self.turns = 0
        self.replays_all = False
        self._overlap_since: float | None = None
        self._healthy: dict[str, tuple[str, int, float]] = {}
        self._lacking: dict[str, Lacking] = {}
        self._wrote: dict[str, float] = {}
        self._watched: dict[str, float] = {}

    # After every event.

    def check(self) -> None:
        """Laws 1 and 7, which hold at every moment."""
        hosts = self.pair.hosts.values()
        for host in hosts:
            if host.up and host.server.writable and not host.server.frozen:
                self._wrote[host.node] = self.pair.clock.now
        both = all(holds(host) for host in hosts) and all(hears(host) for host in hosts)
        if not both or self.pair.refusals:
            self._overlap_since = None
        elif self._overlap_since is None:
            self._overlap_since = self.pair.clock.now
        elif self.pair.clock.now - self._overlap_since > EXCHANGE:
            self.broken("1: both sides serve although they hear each other")
        for host in hosts:
            if (host.server.process, host.clagd.starts) != (host.server_changes, host.clagd_starts):
                self.broken(f"7: a daemon of {host.node} was started or ended by nobody")

    # When a side has decided.

    def decided(self, agent: Agent, decision: Decision) -> None:
        """Check what every decision must be, and what the step that it orders must not do."""
        self.turns += 1
        self._explained(agent, decision)
        self._watch_copy(agent, decision)
        step = decision.step
        if step is not None and (step.value not in STEPS or not (step in ACTS or step is Step.RESERVE_TERM)):
            self.broken(f"7: {agent.host.node} is to {step.value}, which is not its business")
        if decision.step not in HARMLESS:
            self._undisturbed(agent, decision)
        if decision.step in OPENING:
            self._opening(agent, decision)
        if decision.step in OPENING and not serves(agent.host):
            self._begins(agent.host, decision)
        self._counted(agent, decision)

    def _explained(self, agent: Agent, decision: Decision) -> None:
        """Law 8: a rule of the table decided, with a reason, and the same facts lead to the same decision."""
        node = agent.host.node
        if decision.rule not in RULES or not decision.why.startswith(decision.rule.why) or not decision.rule.name:
            self.broken(f"8: {node} decides by no rule of the table: {decision.why!r}")
        if (decision.state is State.NEEDS_DECISION) is not bool(decision.record.decision):
            self.broken(f"8: {node} does not say what there is to decide")
        view, memory = agent.recorded
        # Most turns change nothing; of these every eighth will do, where not all are asked for.
        changed = decision.step is not None or decision.memory is not memory
        if (changed or self.turns % 8 == 0 or self.replays_all) and turn(view, memory) != decision:
            self.broken(f"8: {node} decides otherwise on the same facts: {decision.why}")

    def _opening(self, agent: Agent, decision: Decision) -> None:
        """Check a step that begins to serve, at the moment at which it is decided on."""
        view, step, host = agent.view, decision.step, agent.host
        if view is None or decision.rule.name == "split-won":
            return
        heard = view.record if decision.presence is Presence.ALIVE else None
        if host.upgrade is not None:
            self.broken(f"2: {host.node} begins to serve although its upgrade is not finished")
        drains = decision.rule.name == "granted"  # whatever somebody has started there, it is being closed
        if heard is not None and heard.serving and not drains:
            self.broken(f"1: {host.node} begins to serve although it hears that the peer does")
        if host.server.half and not host.by_hand:
            self.broken(f"3: {host.node} begins to serve with a copy that is not complete")
        if step is not Step.PROMOTE:
            return
        if heard is not None and heard.term > term_of(host.server.data.true_stamp) and self.pair.kept != host.node:
            self.broken(f"2: {host.node} begins to serve although it hears of data of term {heard.term}")
        if decision.rule.name == "granted":
            self._granted(host, decision)
        else:
            self.surprised(host.node)
            self._far_behind(host, decision)
            self._unasked(host, decision)

    def _begins(self, host: Host, decision: Decision) -> None:
        """Note whether an operator ordered what begins now: None where that is between the two sides."""
        ask, rule = decision.memory.ask, decision.rule.name
        if rule == "granted" and ask is not None:
            undecided = ask.kind is Kind.START or (ask.kind is Kind.RESTORE and self.pair.restore_ordered)
            self.by_order[host.node] = None if undecided else ask.kind in (Kind.SWITCHOVER, Kind.RESOLVE)
        elif rule not in ("begun", "we-serve"):
            self.by_order[host.node] = rule in ("forced", "resolved")

    def _counted(self, agent: Agent, decision: Decision) -> None:
        """Law 8: who ordered a move is known to both sides at its end, whatever happened on the way."""
        (_, before), after, node = agent.recorded, decision.memory, agent.host.node
        if after.holder == before.holder or before.holder is None or after.holder is None:
            return
        by_order, counted = self.by_order.get(after.holder), after.moves != before.moves
        if by_order is not None and counted is by_order:
            what = "as one without an order" if counted else "as an ordered one"
            self.broken(f"8: {node} counts the move to {after.holder} {what}, and it was not")

    def _watch_copy(self, agent: Agent, decision: Decision) -> None:
        """Note since when an agent has known that its copy lacks something, and until when it saw the peer."""
        host, view, now = agent.host, agent.view, self.pair.clock.now
        if decision.presence in (Presence.ALIVE, Presence.SILENT):
            self._watched[host.node] = now
        own, known = host.server.data.token, self._lacking.get(host.node)
        if known is not None and known.boot != agent.boot:
            if known.last - known.since < CALM:  # it may not have come to the disk
                del self._lacking[host.node]
            known.boot = agent.boot
        tokens = [] if view is None else [view.record.token if view.record else None, view.source.token]
        told = [token for token in tokens if token is not None]
        if own is None or not told:
            return
        if own[0] != max(told)[0] or own >= max(told):
            self._lacking.pop(host.node, None)
        elif known is None or known.after != own or host.node not in self._lacking:
            self._lacking[host.node] = Lacking(now, own, agent.boot, now)
        else:
            known.last = now

    def _far_behind(self, host: Host, decision: Decision) -> None:
        """Law 2: a copy that is known to lack too much is not served unasked."""
        lacking, agent = self._lacking.get(host.node), host.agent
        if lacking is None or agent is None or agent.settings.max_behind is None or self.pair.kept == host.node:
            return
        if self.pair.network.misled:
            return  # it takes itself for the peer, and sees that one read-only
        until = min(self._wrote.get(self.pair.other(host.node).node, 0.0), self._watched.get(host.node, 0.0))
        if until - lacking.since > agent.settings.max_behind + agent.settings.token_interval:
            age = f"{until - lacking.since:.1f} s"
            self.broken(f"2: {host.node} begins to serve a copy that has lacked something for {age}: {decision.why}")

    def _granted(self, host: Host, decision: Decision) -> None:
        """Laws 2 and 4: the service is given to whom has everything."""
        ask, theirs, own = decision.memory.ask, self.pair.other(host.node).server, host.server
        planned = ask is not None and ask.kind in PLANNED
        if planned:
            self.unplanned_at.discard(host.node)
        else:
            self.surprised(host.node)
        older = age_of(theirs) > age_of(own)
        if ask is not None and ask.kind is Kind.START and theirs.running and older and self.pair.kept != host.node:
            self.broken(f"2: {host.node} is given the service although its data is older")
        if planned and theirs.writable and (older or theirs.data.rows - own.data.rows):
            self.broken(f"4: a planned move to {host.node} does not wait for the last write")

    def _unasked(self, host: Host, decision: Decision) -> None:
        """Law 5: a side that serves and can be reached is not dead."""
        pair, other = self.pair, self.pair.other(host.node)
        server, agent, now = other.server, host.agent, self.pair.clock.now
        calm_since = max(pair.network.changed_at, server.started_at, host.server.started_at, other.changed_at)
        if agent is None or now - max(calm_since, agent.started_at, agent.woke_at) < CALM or pair.network.misled:
            return
        silent_for = 0.0 if server.responsive else now - server.silent_since
        reached = pair.reaches(host.server) is server and not server.frozen
        if reached and serves(other) and silent_for < agent.settings.stall_interval:
            self.broken(f"5: {host.node} takes over from a server that serves and can be reached: {decision.why}")
        if hears(host) and decision.rule.name in ("peer-dead", "lone-boot", "founding", "peer-read-only"):
            self.broken(f"5: {host.node} takes a peer for dead that it hears: {decision.why}")

    def surprised(self, node: str) -> None:
        """Note that this node's database may be another from now on, or this node active, in no planned way."""
        self.unplanned += 1
        self.unplanned_at.add(node)
        self.by_order[node] = None

    def starting(self, host: Host) -> None:
        """Note how well the service is when an agent starts, for law 6."""
        other = self.pair.other(host.node)
        server, whole = host.server, host.vip and host.server.managers and host.server.listener
        stamp = server.data.true_stamp
        lineage = stamp is not None and stamp.node == host.node and stamp.term == host.term
        if serves(host) and whole and server.responsive and not holds(other) and lineage:
            self._healthy[host.node] = (f"{host.node}.{host.agents + 1}", self.pair.disturbances, self.pair.clock.now)

    def _undisturbed(self, agent: Agent, decision: Decision) -> None:
        """Law 6: an agent that has just started changes nothing of a service that is well."""
        boot, disturbances, since = self._healthy.get(agent.host.node, ("", -1, 0.0))
        young = agent.boot == boot and self.pair.clock.now - since < CALM
        if young and disturbances == self.pair.disturbances and decision.rule.name != "draining":
            self.broken(f"6: the agent of {agent.host.node} has just started, and is to {decision.step}")

    # When a server does something that cannot be undone.

    def erasing(self, server: SimServer, source: SimServer, by_itself: bool) -> None:
        """Law 2: what is erased is in a snapshot and is not newer than what is copied."""
        own, new, host = server.data, source.data, self.pair.hosts[server.node]
        if host.by_hand or (by_itself and not hears(host)):
            return  # nobody asked the agent, or none was there to park the server
        if by_itself and host.agent is not None and host.agent.orders.under_way is Step.PARK_SERVER:
            return  # it was there again, and its order to park was on its way
        if not by_itself and source.started_at > host.connect_decided_at:
            return  # it was replaced while the order was on its way
        if not by_itself and not host.has_snapshot(own) and not server.half:
            self.broken(f"2: {server.node} is erased without a snapshot")
        if self.pair.kept == source.node:
            return  # an operator wants it
        if new.true_stamp is None and (own.true_stamp is not None or own.rows - new.rows):
            self.broken(f"2: {server.node} copies a database of unknown lineage")
        if new.empty and not own.empty:
            self.broken(f"2: {server.node} copies an empty database over its own")
        if term_of(new.true_stamp) < term_of(own.true_stamp):
            self.broken(f"2: {server.node} copies {new.true_stamp} over {own.true_stamp}")
        if new.true_stamp == own.true_stamp and (new.true_token or (0, 0)) < (own.true_token or (0, 0)):
            self.broken(f"2: {server.node} copies token {new.true_token} over token {own.true_token} of the same term")

    def promoting(self, server: SimServer) -> None:
        """Law 3: nothing half-copied is promoted."""
        if server.half and not self.pair.hosts[server.node].by_hand:
            self.broken(f"3: {server.node} is promoted although its copy is not complete")

    def broken(self, law: str) -> None:
        """Raise LawBroken with the end of the log and the way to see the whole run again."""
        tail = self.pair.log[-60:]
        raise LawBroken("\n".join([f"t={self.pair.clock.now:.2f}: law {law}", *tail, self.pair.how_to_replay()]))


def serves(host: Host) -> bool:
    """Tell whether a controller or a VTEP daemon can write to this switch's server."""
    server = host.server
    return server.writable and (server.managers or (server.listener and host.vip))


def holds(host: Host) -> bool:
    """Tell whether this switch holds anything that serves: law 1 forbids it even where nothing answers behind it."""
    server = host.server
    return host.up and (host.vip or (server.running and not server.frozen and (server.managers or server.listener)))


def age_of(server: SimServer) -> tuple[int, tuple[int, int]]:
    """Return what tells newer data from older: the term and the token."""
    return term_of(server.data.true_stamp), server.data.true_token or (0, 0)


def hears(host: Host) -> bool:
    """Tell whether this side's agent runs and hears the other."""
    agent = host.agent
    if agent is None or agent.frozen or agent.decision is None:
        return False
    age = agent.conversation.heard_age(agent.pair.clock.now)
    return age is not None and age < agent.settings.dead_interval

