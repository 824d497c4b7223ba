"""Operators' orders that stand for a while, go beyond what the pair does by itself, or make a pair.

Each returns why it is refused, "" when it is taken; what was taken is recorded with who ordered it and why.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, Protocol

from ovsha.agent.maintenance import MaintenanceFile, Plan
from ovsha.config import Config
from ovsha.core import operator_orders
from ovsha.core.facts import Mode
from ovsha.core.situation import Situation
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View, with_reason
from ovsha.errors import DriverError
from ovsha.peer.rpc_client import REPLACE
from ovsha.peer.rpc_server import Exchange
from ovsha.words import span

EARLY = "the agent has only just started; try again in a moment"


class Events(Protocol):
    """What this needs of the recorder."""

    def event(self, kind: str, text: str, level: int | None = None, /, **facts: Any) -> None:
        """Record that something happened, and log it."""


class Ordered(Protocol):
    """What this needs of an agent."""

    memory: Memory

    @property
    def config(self) -> Config:
        """Its configuration."""

    @property
    def view(self) -> View | None:
        """What it knew at its last turn, None before the first."""

    @property
    def decision(self) -> Decision | None:
        """What it decided then."""

    @property
    def standing(self) -> MaintenanceFile:
        """The orders that stand."""

    @property
    def recorder(self) -> Events:
        """Its recorder."""


def situation(agent: Ordered) -> Situation | None:
    """Return the agent's last case with what it remembers now, None before its first turn."""
    view, decision = agent.view, agent.decision
    return None if view is None or decision is None else Situation(view, agent.memory, decision.presence)


def look(agent: Ordered) -> None:
    """Save what stands, and raise the alarm over a pause that nobody has ended."""
    ended = agent.standing.run()
    if ended is not None:
        length = span(ended.until - ended.began)
        node, by = agent.config.node, ended.who or "an operator"
        text = f"the pause of {node} by {by} ended by itself after {length}: {node} acts again"
        agent.recorder.event("alarm", text, what="pause-forgotten", who=ended.who, reason=ended.reason)


def advise(agent: Ordered, decision: Decision) -> None:
    """Tell what would be done if this side were to act."""
    mode, steps = agent.standing.mode.value, [step.value for step in decision.would]
    would = f"{decision.rule.goal.value} ({', '.join(steps)})" if steps else "do nothing"
    if decision.would_ask is not None:
        would = f"ask for the service ({decision.would_ask.value})"
    text = f"{mode}: would {would}, because {decision.why}"
    agent.recorder.event("pause", text, mode=mode, goal=decision.rule.goal.value, rule=decision.rule.name, would=steps)


def failover(agent: Ordered, reason: str, who: str) -> str:
    """Have this side serve although the other cannot be asked."""
    now = situation(agent)
    refused = EARLY if now is None else operator_orders.force_refusal(now)
    if now is not None and not refused:
        agent.memory = with_reason(operator_orders.force_ordered(now), reason)
        node, lost = agent.config.node, list(operator_orders.force_exposure(now))
        text = f"{who or 'an operator'} forces {node} to serve and accepts to lose data: {reason}"
        facts = {"order": "failover", "to": node, "reason": reason, "who": who}
        agent.recorder.event("order", text, logging.WARNING, **facts, exposure=lost)
    return refused


def pause_refusal(agent: Ordered, seconds: float | None) -> str:
    """Say why this side cannot be paused for so long, "" when it can."""
    limit = agent.config.pause.limit
    if agent.standing.mode is Mode.ADVISE:
        return f"{agent.config.node} carries out nothing anyway: its configuration has mode: advise"
    if seconds is not None and seconds > limit:
        return f"pause.limit of the configuration is {span(limit)}: pause for less, and again before it ends"
    return ""


def pause(agent: Ordered, seconds: float | None, reason: str, who: str) -> str:
    """Carry out nothing on this side for so many seconds, None for as long as the configuration allows."""
    refused = pause_refusal(agent, seconds)
    if not refused:
        length = agent.config.pause.limit if seconds is None else seconds
        before = agent.standing.now.pause
        reason = reason or (before.reason if before is not None else "")
        agent.standing.pause(length, who, reason)
        text = f"{who or 'an operator'} pauses {agent.config.node} for {span(length)}: {reason or 'no reason given'}"
        facts = {"order": "pause", "who": who, "reason": reason}
        agent.recorder.event("pause", text, **facts, length=length, until=time.time() + length)
    return refused


def resume_refusal(agent: Ordered) -> str:
    """Say why there is no pause to end, "" when there is one, one that ended by itself, or one that cannot be read."""
    stands, node = agent.standing.now, agent.config.node
    if agent.standing.unread:
        return ""
    if agent.standing.mode is Mode.ADVISE:
        return f"the configuration of {node} has mode: advise; set mode: active and reload ovsha"
    return f"{node} is not paused" if stands.pause is None and stands.forgotten is None else ""


def resume(agent: Ordered, who: str) -> str:
    """End the pause, or take note that it has ended by itself or was lost with its file."""
    stands, node = agent.standing.now, agent.config.node
    refused = resume_refusal(agent)
    if refused:
        return refused
    lasted = span(agent.standing.passed)
    agent.standing.now, agent.standing.unread = replace(stands, pause=None, forgotten=None), ""
    if stands.pause is not None:
        text = f"{who or 'an operator'} ends the pause of {node} after {lasted}"
        agent.recorder.event("pause", text, order="resume", who=who)
    return ""


def plan_refusal(agent: Ordered, target: str, at: float) -> str:
    """Say why no switchover to `target` can be planned for `at`, seconds since 1970, "" when it can.

    What has to be well then need not be so now.
    """
    config, stands = agent.config, agent.standing.now
    if config.standalone:
        return f"{config.node} stands alone: there is no other side to move the service to"
    if target not in (config.node, config.peer):
        return f"node {target} is not of this pair: it has {config.node} and {config.peer}"
    if stands.plan is not None:
        return f"a switchover to {stands.plan.to} is planned already; `ovsha cancel` takes it back"
    if agent.standing.mode is Mode.ADVISE:
        return f"{config.node} carries out nothing: its configuration has mode: advise"
    return "" if at > time.time() else "that moment is over"


def plan(agent: Ordered, target: str, at: float, reason: str, who: str) -> str:
    """Move the service to `target` at that moment if all is well then."""
    refused = plan_refusal(agent, target, at)
    if not refused:
        agent.standing.now = replace(agent.standing.now, plan=Plan(target, at, who, reason))
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))
        why = reason or "no reason given"
        text = f"{who or 'an operator'} plans to move the service to {target} at {when}: {why}"
        agent.recorder.event("order", text, order="plan", to=target, at_moment=at, who=who, reason=reason)
    return refused


def cancel(agent: Ordered, who: str, check: bool = False) -> tuple[str, str]:
    """Take back the planned switchover, or the move under way; return what was taken back, and why nothing was.

    `check`: only say so.
    """
    stands, now = agent.standing.now, situation(agent)
    if stands.plan is not None:
        done = f"the planned switchover to {stands.plan.to}"
        if check:
            return done, ""
        agent.standing.now = replace(stands, plan=None)
    else:
        if now is None:
            return "", EARLY
        memory, refused = operator_orders.switchover_recalled(now)
        if refused:
            return "", refused
        done = "the move that is under way"
        if check:
            return done, ""
        agent.memory = memory
    agent.recorder.event("order", f"{who or 'an operator'} takes back {done}", order="cancel", who=who)
    return done, ""


class JoiningSwitch(Protocol):
    """What this needs of the drivers."""

    exchange: Exchange

    @property
    def peer_identity(self) -> str:
        """The identity by which the peer is known, "" when it was never met."""

    def learn_peer(self, identity: str) -> None:
        """Take the switch with this identity for the peer from now on."""


class Joined(Ordered, Protocol):
    """What this needs of an agent."""

    @property
    def switch(self) -> Any:
        """Its drivers, a `Switch`."""


def register(agent: Joined) -> None:
    """Have the exchange take the order of a unit that was put in the peer's place."""
    agent.switch.exchange.methods[REPLACE] = lambda params: replace_peer(agent, params)


def found_refusal(agent: Joined) -> str:
    """Say why this side must not serve alone as the first of a new pair, "" when it may."""
    now = situation(agent)
    return EARLY if now is None else operator_orders.founding_refusal(now, agent.switch.peer_identity)


def found(agent: Joined, reason: str, who: str) -> str:
    """Serve alone until the other side has joined; return why that is refused, "" when it is not."""
    now, refused = situation(agent), found_refusal(agent)
    if now is not None and not refused:
        agent.memory = operator_orders.founding_ordered(now)
        config = agent.config
        text = f"{who or 'an operator'} has {config.node} serve alone until {config.peer} joins the pair"
        agent.recorder.event("order", text, order="found", to=config.node, reason=reason, who=who)
    return refused


def replace_peer(agent: Joined, params: Any) -> dict[str, Any]:
    """Know the unit that asks as the peer; it has our pair key, and its operator says that it takes the peer's place.

    Raises DriverError with why that is refused.
    """
    now = situation(agent)
    if now is None:
        raise DriverError(EARLY)
    if not isinstance(params, dict) or not all(isinstance(params.get(name), str) for name in ("node", "identity")):
        raise DriverError("it needs the node and the identity of the new unit")
    node, identity, known = params["node"], params["identity"], agent.switch.peer_identity
    refused = operator_orders.replacement_refusal(now, node, identity, known)
    if refused:
        raise DriverError(refused)
    if identity != known:
        agent.switch.learn_peer(identity)
        who = params.get("who") if isinstance(params.get("who"), str) else ""
        text = f"{who or 'an operator'} put a new unit in the place of {node}: its identity is {identity}, and was "
        facts = {"order": "peer-replace", "identity": identity, "was": known, "who": who}
        agent.recorder.event("order", text + (known or "not known"), logging.WARNING, **facts)
    return {"node": node, "identity": identity, "was": known or None}
