"""Run the agent of one switch: look, decide, act, wait.

The loop is single-threaded, in the dialect of python-ovs, and never blocks but in its one
wait.  Starting up is the recovery path: it looks at what is there and goes on from that,
so the agent may be killed at any moment, and stopping it changes nothing either.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from ovs.poller import Poller

from ovsha.agent import peer_token, standing_orders, upgrade
from ovsha.agent.conflicts import Overwritten
from ovsha.agent.divergence import DivergenceTasks
from ovsha.agent.maintenance import MaintenanceFile
from ovsha.agent.move_timer import MoveTimer
from ovsha.agent.peer_tasks import Tasks
from ovsha.agent.replication_tls import ReplicationListener
from ovsha.agent.split_brain import SplitBrain
from ovsha.agent.steps import MADE_ACTIVE, StepExecutor
from ovsha.agent.switch import Switch
from ovsha.config import Config, pair_key
from ovsha.core import belief, handover, operator_orders, turn
from ovsha.core.facts import Presence, Role, State
from ovsha.core.situation import USABLE
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View, with_reason
from ovsha.history.recorder import Recorder
from ovsha.host import state_file
from ovsha.host.boot_clock import Clocks, boot_id
from ovsha.host.state_file import own_identity
from ovsha.host.systemd import Notifier
from ovsha.protocol import record as codec
from ovsha.report.trace import Trace

log = logging.getLogger("ovsha")

_STEPS_PER_TURN = 12
_ROLES_SAID, _MINUTE = 5, 60.0
"""How often it is said, within how many seconds, that the server was found in the same wrong role."""


class Agent:
    """The agent of this switch; `clock` gives monotonic seconds.

    Raises ConfigError for a pair key that cannot be used, DriverError when the state
    directory or the kernel refuses.
    """

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.started = now = clock()
        key = pair_key(config)
        kept = state_file.load(config.state_directory / "state.json", config.pair.id, config.node)
        boot = secrets.token_hex(4)
        self.peer_token = peer_token.PeerTokenFile(config.state_directory, boot_id(), clock, time.time)
        self.memory = Memory(
            boot=boot, term=kept.term, peer_stamp=kept.peer_stamp, met=kept.met_in == boot_id(), awake=now,
            held=kept.held, founding=kept.founding, peer_token=self.peer_token.now.token, lack=self.peer_token.lack,
        )  # fmt: skip
        self.switch = Switch(config, key, boot, kept, own_identity(config.state_directory / "identity"))
        self.memory = replace(self.memory, proof=belief.remembered(self.switch.proofs.loaded, kept.held))
        self.orders = StepExecutor(self.switch)
        self.trace = Trace()
        clocks = Clocks(boot_id())
        self.recorder = Recorder(config.state_directory, config.recorder, boot)
        self.standing = MaintenanceFile(config.state_directory, config.mode == "advise", clocks, config.pause.limit)
        self.listening = ReplicationListener(self.switch, self.recorder)
        self.upgrading = upgrade.Upgrading(config.state_directory, config.upgrade.limit, clocks)
        self.meter = MoveTimer(self.switch, self.orders, self.recorder, clock)
        self.overwritten = Overwritten(config, self.recorder)
        self.duel = SplitBrain(config, key, self.switch, self.trace)
        self.switch.exchange.files.update(Tasks(config).methods)
        standing_orders.register(self)
        self.aftermath = DivergenceTasks(config, lambda: self.switch.snapshots.latest)
        self.systemd = Notifier(os.environ)
        self.view: View | None = None
        self.decision: Decision | None = None
        self.counters: dict[str, int] = {"incidents": 0, "gaps": 0, "moves": 0, "decisions": 0}
        self.moved: tuple[float, str] | None = None
        self._last_turn = now
        self._send_at = now
        self._watchdog_at = now
        self._told: tuple[object, ...] = ()
        self._token_at = now
        self._committing = False
        self._ready = False
        self._said: dict[str, list[float]] = {}

    def turn(self) -> None:
        """Look once, decide, and carry out what can be carried out now."""
        now = self.clock()
        woke = now - self._last_turn > self.config.heartbeat.dead_interval
        if woke:
            log.warning("the agent was not scheduled for %.2f s; it asks before it acts", now - self._last_turn)
            self.counters["gaps"] += 1
            self.switch.woke(now)
            self._send_at = now
        self._last_turn = now
        self.switch.run(now, self.memory)
        self.duel.run(now)
        standing_orders.look(self)
        upgrade.look(self)
        self.listening.run(self.view, self.decision, self.standing.mode)
        for _ in range(_STEPS_PER_TURN):
            decision = self._decide(now, woke)
            woke = False
            if not self.orders.carry_out(decision, now):
                break
        self._answer_rivals(now)
        self.peer_token.run(self.memory, self.switch.settings.max_lag)
        self._commit_token(now)
        self._tell(now)

    def wait(self) -> Poller:
        """Return a poller that blocks until there is something to do."""
        poller, now = Poller(), self.clock()
        self.switch.wait(poller, now)
        self.duel.wait(poller, now)
        self.meter.wait(poller, now)
        self.aftermath.wait(poller, now)
        moments = [self._send_at]
        if self.decision is not None:
            retry = self.orders.deadline(self.decision.step)
            moments += [retry] if retry is not None else []
        beat = self.config.heartbeat
        heard = self.switch.conversation.deadline(beat.dead_interval)
        if heard is not None and heard > now:
            moments.append(heard)
        age = self.switch.conversation.heard_age(now)
        if age is not None and 1.5 * beat.interval < age < 2 * beat.dead_interval:
            # The peer is about to be given up: its other witnesses are looked at more often.
            moments.append(now + beat.interval / 5)
        poller.timer_wait(max(0, int((min(moments) - now) * 1000) + 1))
        return poller

    def refuse_switchover(self, target: str) -> str:
        """Return why the service cannot begin to move to node `target` now, "" when it can."""
        case = standing_orders.situation(self)
        return standing_orders.EARLY if case is None else operator_orders.switchover_refusal(case, target)

    def order_switchover(self, target: str, ident: str, reason: str = "", who: str = "", restore: bool = False) -> str:
        """Ask for the service to move to node `target`; return why that cannot begin, "" when it does.

        `reason` is the operator's, for those who read what happened on either side, and `who` gave the order.
        `restore`: the service is given back to the original primary.
        """
        case, refused = standing_orders.situation(self), self.refuse_switchover(target)
        if case is None or refused:
            return refused
        self.memory = operator_orders.switchover_ordered(case, target, ident, reason, restore)
        text = f"{who or 'an operator'} moves the service to {target}: {reason or 'no reason given'}"
        facts = {"order": "restore-primary" if restore else "switchover", "to": target, "reason": reason}
        self.recorder.event("order", text, **facts, ident=ident, who=who)
        self._send_at = case.view.now
        return ""

    def order_resolve(self, keep: str, reason: str, who: str = "") -> str:
        """Keep the data of node `keep`; return why that cannot be done, "" when it is begun.

        `reason` is the operator's, for the log, and `who` gave the order.
        """
        case = standing_orders.situation(self)
        if case is None or self.decision is None:
            return standing_orders.EARLY
        refused = operator_orders.resolve_refusal(case, self.decision.rule.asks is not None, keep)
        if not refused:
            self.memory = with_reason(operator_orders.resolve_ordered(case, keep), reason)
            self._send_at = case.view.now
            text = f"{who or 'an operator'} keeps the data of {keep}: {reason}"
            self.recorder.event("order", text, logging.WARNING, order="resolve", keep=keep, reason=reason, who=who)
            if keep == self.config.node:
                upgrade.over(self, who, "its data is kept")
        return refused

    def forget_peer(self) -> str:
        """Learn the peer's identity anew; return the one that was known, "" for none."""
        forgotten = self.switch.forget_peer()
        text = f"an operator had us forget the peer's identity: {forgotten or 'none was known'}"
        self.recorder.event("order", text, logging.WARNING, order="peer-forget", identity=forgotten)
        return forgotten

    def say_goodbye(self) -> None:
        """Tell the peer that this agent ends on purpose, if its server is there to stay."""
        if self.decision is not None and not self.config.standalone and self.decision.record.life in USABLE:
            self.switch.say_goodbye(self.decision.record, self.clock())

    def close(self) -> None:
        """Stop, and leave everything as it stands."""
        self.systemd.stopping()
        self.release()

    def release(self) -> None:
        """Let go of everything, for a successor in this process or for good."""
        self.meter.close()
        self.duel.close()
        self.aftermath.close()
        self.switch.close(self.clock())
        self.standing.close()
        self.peer_token.close()
        self.upgrading.close()
        self.recorder.close()

    def _decide(self, now: float, woke: bool) -> Decision:
        view = self.upgrading.colour(self.standing.colour(self.switch.observe(now, woke)))
        decision = turn.turn(view, self.memory)
        at = time.time()
        self.recorder.note(self.trace.note(at, view, self.memory, decision))
        view = decision.view
        self.duel.look(view, decision, at)
        self._report(decision)
        self.meter.look(view, decision)
        self.view, self.decision, self.memory = view, decision, decision.memory
        self.aftermath.run(now, view, decision)
        return decision

    def _report(self, decision: Decision) -> None:
        """Log a move, and a change of rule, once."""
        last = self.decision
        self._incidents()
        for collision in self.switch.collided:
            self.recorder.event("collision", f"collision: {collision}", what=collision)
        self.switch.collided.clear()
        self.counters["incidents"] += self.overwritten.look(decision)
        if last is None or last.state is not decision.state:
            before = last.state.value if last else "start"
            alarm = decision.state is State.NEEDS_DECISION
            level = logging.WARNING if alarm else logging.INFO
            text = f"{before} -> {decision.state.value}, because {decision.why}"
            facts = {"from": before, "to": decision.state.value, "reason": decision.why, "rule": decision.rule.name}
            self.recorder.event("move", text, level, **facts, term=decision.record.term)
            self.counters["decisions"] += alarm
            self.counters["moves"] += last is not None
            self.moved = (self._last_turn, text)
            self.systemd.status(f"{decision.state.value}: {decision.why}")
        elif last.rule is not decision.rule and not decision.would:
            log.info("%s, because %s", decision.rule.goal.value, decision.why)
        advice = (decision.would, decision.would_ask)
        if any(advice) and (last is None or advice != (last.would, last.would_ask)):
            standing_orders.advise(self, decision)
        if (last is None or last.presence is not decision.presence) and not self.config.standalone:
            met = decision.presence is not Presence.NEVER
            log.info("the peer %s", f"is {decision.presence.value}" if met else "was not met since this switch booted")
        if last is not None and last.step is not decision.step and decision.step is not None:
            log.info("step: %s", decision.step.value)

    def _incidents(self) -> None:
        """Count what somebody else has done to what is ours, and say it, but not again and again."""
        roles, losses = self.switch.server.incidents, self.switch.server.losses
        undone, now = self.orders.undone, self._last_turn
        if roles and self.memory.ordered is Role.BACKUP:
            undone.note(MADE_ACTIVE, now)
        others = ((each, 1) for each in (*undone.incidents, *losses))
        for incident, most in (*((each, _ROLES_SAID) for each in roles), *others):
            self.counters["incidents"] += 1
            kind = incident.partition(", but was ordered ")[0]  # whatever that was: we park what is made active
            said = [moment for moment in self._said.get(kind, ()) if now - moment < _MINUTE]
            if len(said) < most:
                said.append(now)
                self.recorder.event("incident", f"incident: {incident}", what=incident)
            self._said[kind] = said
        roles.clear()
        losses.clear()
        undone.incidents.clear()

    def _answer_rivals(self, now: float) -> None:
        """Announce the VIP, if it is ours, to those who have heard somebody else announce it."""
        case, decision = standing_orders.situation(self), self.decision
        if case is not None and decision is not None and self.switch.rivals.owes(case, decision.rule.goal):
            self.switch.answer_rivals(now)

    def _commit_token(self, now: float) -> None:
        """While we serve, commit a token every few seconds: it shows the peer how far its copy is."""
        decision = self.decision
        assert decision is not None
        token = handover.periodic_token(decision.record, decision.opening)
        if token is None or self._committing or now < self._token_at:
            return
        self._token_at, self._committing = now + self.config.replication.token_interval, True

        def done(error: str | None) -> None:
            self._committing = False

        self.switch.server.commit(token, done)

    def _trouble(self, decision: Decision) -> str:
        """Return what hinders the step that is due, or would be lost with the server, for the peer's status to show."""
        failing = self.orders.failing.get(decision.step, "") if decision.step is not None else ""
        return (failing or self.switch.store.trouble or self.switch.server.astray)[:160]

    def _tell(self, now: float) -> None:
        """Send the heartbeat when it is due, or at once when something changed that the peer waits for."""
        decision = self.decision
        assert decision is not None
        record = decision.record
        urgent = codec.urgent(record)
        interval = self.config.heartbeat.interval
        # Who answers the peer a little early, and comes a little late by itself, wakes up half as often.
        early = self.switch.heard and now >= self._send_at - interval / 2
        if early or now >= self._send_at or urgent != self._told:
            self._told, self._send_at = urgent, now + interval + (interval / 10 if early else 0.0)
            self.switch.send(replace(record, trouble=self._trouble(decision), uptime=now - self.started), now)
        if not self._ready:
            self._ready = True
            self.systemd.ready()
        watchdog = self.systemd.watchdog_interval
        if watchdog is not None and now >= self._watchdog_at:
            self._watchdog_at = now + watchdog
            self.systemd.watchdog()
