"""Tell others how the pair is: the status, metrics and URLs over HTTP, and the operator's hooks.

The daemon calls `run` after each turn of the agent.  That leaves the facts where the
serving threads find them, and has the hooks told of what has changed; nothing here waits
for a reader or for a hook, and nothing here ends the agent.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ovsha import __version__
from ovsha.agent.loop import Agent
from ovsha.agent.urls import Board, Published, Urls
from ovsha.config import Config
from ovsha.core.facts import Role
from ovsha.core.situation import Situation
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.host.hooks import Event, Hooks
from ovsha.host.http import Answer, Web
from ovsha.report.assessment import (
    Assessment,
    Identities,
    Manager,
    Moved,
    PathReport,
    Stands,
    StatusInputs,
    Upgrade,
    exposure,
)
from ovsha.report.diagnosis import find
from ovsha.report.notifications import CLEARED, Notification, Notifications

log = logging.getLogger("ovsha")

SCHEMA = 1
"""Of the JSON object that hooks get; it changes when a key gets another meaning."""

_PUBLISH_EVERY = 0.5
_GIVE_WAY = 0.001
_FOR_SO_LONG = re.compile(r" for [0-9.]+ (s|min|h|d)( [0-9]+ (s|min|h))?(?=$|[,;])")
"""As `ovsha.words.span` writes it."""


class Publisher:
    """What is told of the agent that `run` is given; that may be another one after a reload."""

    def __init__(self) -> None:
        self.board = Board()
        self._agent: Agent | None = None
        self._web: Web | None = None
        self._hooks: Hooks | None = None
        self._occasions = Notifications(0.0)
        self._shown: tuple[object, ...] = ()
        self._publish_at = 0.0

    def run(self, agent: Agent) -> None:
        """Take note of the turn that the agent has just taken."""
        view, decision = agent.view, agent.decision
        if view is None or decision is None:
            return
        if agent is not self._agent:
            self._serve(agent)
        self.board.turned = view.now
        for occasion in self._occasions.roles(view.now, decision):
            self._tell(agent, view, decision, occasion)
        record = decision.record
        shown = (decision.rule, decision.state, decision.presence, record.serving, record.in_sync_for is None)
        if shown != self._shown or view.now >= self._publish_at:
            self._shown, self._publish_at = shown, view.now + _PUBLISH_EVERY
            self._publish(agent, view, decision)

    def close(self) -> None:
        """Stop serving; hooks that wait are still told as long as this process lives."""
        if self._web is not None:
            self._web.close()
        if self._hooks is not None:
            self._hooks.close()

    def _serve(self, agent: Agent) -> None:
        """Begin with this agent's configuration, and with what is the same in it go on."""
        before = self._agent.config if self._agent is not None else None
        config, self._agent = agent.config, agent
        self._occasions.hold = config.hooks.hold
        if self._hooks is None:
            self._hooks = Hooks(config.hooks.directory, config.hooks.limit)
        self._hooks.directory, self._hooks.limit = config.hooks.directory, config.hooks.limit
        if before is None or before.metrics != config.metrics:
            self._listen(config)

    def _listen(self, config: Config) -> None:
        if self._web is not None:
            self._web.close()
        self._web = None
        if config.metrics.enabled:
            urls = Urls(self.board, time.monotonic, Front(config.state_directory) if config.metrics.page else None)
            self._web = Web(config.metrics.address, config.metrics.port, urls.answer)
            # A serving thread that is at work lets go of Python's lock within a millisecond when the loop wants it.
            sys.setswitchinterval(_GIVE_WAY)
            self._web.start()

    def _publish(self, agent: Agent, view: View, decision: Decision) -> None:
        """Leave the facts on the board, and look for what is wrong."""
        assert self._hooks is not None
        agent.counters.update(self._hooks.counters)
        self._watch(agent, "hooks", self._hooks.trouble)
        self._watch(agent, "metrics", self._web.trouble if self._web is not None else "")
        outside = surroundings(agent, view.now)
        self.board.published = Published(time.time(), view.now, view, decision, outside)
        found = find(Assessment(Situation(view, decision.memory, decision.presence), decision, outside))
        for occasion in self._occasions.problems(view.now, found):
            self._tell(agent, view, decision, occasion)

    def _watch(self, agent: Agent, what: str, trouble: str) -> None:
        """Have what is wrong here shown by the status; it is logged when it changes."""
        known = agent.switch.troubles
        if trouble and known.get(what) != trouble:
            log.warning("%s: %s", what, trouble)
        if trouble:
            known[what] = trouble
        else:
            known.pop(what, None)

    def _tell(self, agent: Agent, view: View, decision: Decision, occasion: Notification) -> None:
        assert self._hooks is not None
        if occasion.problem is not None:
            _record(agent, occasion)
        self._hooks.tell(Event(occasion.event, facts(agent.config, view, decision, occasion)))


def _record(agent: Agent, occasion: Notification) -> None:
    """Record a problem that stands, or is over."""
    over, reason = occasion.event == CLEARED, timeless(occasion.reason)
    text = f"over: {reason}" if over else f"{occasion.event}: {reason}"
    level = logging.INFO if over else logging.WARNING
    about = {"problem": occasion.problem, "level": occasion.level, "over": over, "do": occasion.remedy}
    if occasion.problem == "trouble":
        # It had its line in the log when it began.
        agent.recorder.silently("alarm", text, **about, reason=reason)
    else:
        agent.recorder.event("alarm", text, level, **about, reason=reason)


class Front:
    """The page, with the events that are recorded below `state_directory`; what it needs is imported when asked for."""

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory
        self._events: Any = None

    def __call__(self, document: dict[str, Any], at: float, stuck_for: float | None) -> Answer:
        """Return the page of a document that was true `at`."""
        from ovsha.history import recordings
        from ovsha.report.page import page

        if self._events is None:
            self._events = recordings.Events(self._directory)
        text = page.page(document, self._events.since(at - recordings.DAY), at, stuck_for)
        headers = {"Content-Security-Policy": page.POLICY}
        return Answer(text.encode(), kind="text/html; charset=utf-8", headers=headers)


def timeless(text: str) -> str:
    """Return what is wrong without for how long: that is out of date when it is read."""
    return _FOR_SO_LONG.sub("", text)


def facts(config: Config, view: View, decision: Decision, occasion: Notification) -> dict[str, Any]:
    """Return what a hook is told: the same names, in capitals, are in its environment."""
    record, peer = decision.record, view.record
    return {
        "schema": SCHEMA,
        "event": occasion.event,
        "at": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "pair": config.pair.id,
        "node": config.node,
        "peer": config.peer or None,
        "from": occasion.before,
        "to": occasion.to,
        "reason": timeless(occasion.reason),
        "rule": occasion.rule or decision.rule.name,
        "term": record.term,
        "problem": occasion.problem,
        "level": occasion.level,
        "do": occasion.remedy,
        "state": decision.state.value,
        "serving": record.serving,
        "presence": decision.presence.value,
        "peer_state": peer.state.value if peer is not None else None,
        "vip": str(config.vip.address) if config.vip.address is not None else None,
    }


def surroundings(agent: Agent, now: float) -> StatusInputs:
    """Return what surrounds the agent's last decision; `now` is on the agent's clock."""
    config, switch, orders = agent.config, agent.switch, agent.orders
    active = agent.view is not None and agent.view.server.role is Role.ACTIVE
    step = agent.decision.step if agent.decision is not None else None
    return StatusInputs(
        version=__version__,
        pair=config.pair.id,
        pid=os.getpid(),
        uptime=now - agent.started,
        database=config.server.database,
        vip=switch.vip_address,
        vip_interface=config.vip.interface,
        vip_port=config.vip.port,
        paths=_paths(agent, now),
        clag_age=switch.clag.age(now),
        managers=tuple(Manager(row.target, active and row.connected) for row in switch.server.contents.managers),
        counters={
            **agent.counters,
            **switch.conversation.counters,
            **switch.exchange.counters,
            **agent.recorder.counters,
        },
        moved=None if agent.moved is None else Moved(now - agent.moved[0], agent.moved[1]),
        service=agent.meter.last(now),
        under_way=orders.under_way.value if orders.under_way else "",
        # An error of a step that is no longer wanted is history.
        failing={each.value: error for each, error in orders.failing.items() if each is step},
        undone=orders.undone.listed(now),
        troubles={**switch.troubles, **_written(agent), **agent.aftermath.troubles, **agent.recorder.troubles},
        server_trouble=switch.server.trouble,
        server_file=switch.server.astray,
        server_control=switch.server.control_socket,
        source_trouble=switch.source.trouble,
        collisions=switch.collisions.listed(now),
        collisions_missed=switch.collisions.missed(now),
        snapshots=switch.snapshots.newest() if agent.decision and agent.decision.record.decision else (),
        identities=_identities(agent, now),
        divergences=agent.aftermath.divergences,
        upgrade=_upgrade(agent),
        lacking_since=_lacking_since(agent),
        **_standing(agent),
    )


def _lacking_since(agent: Agent) -> str:
    """Return since which time of day what one side has is lacking on the other, "" when nothing is."""
    if agent.view is None or agent.decision is None:
        return ""
    exposed = exposure(Situation(agent.view, agent.decision.memory, agent.decision.presence))
    return "" if exposed is None else assessment(time.time() - exposed.behind.age)


def _standing(agent: Agent) -> dict[str, Stands | None]:
    keeper, wall = agent.standing, time.time()

    def told(left: float, who: str, reason: str, to: str = "") -> Stands:
        return Stands(assessment(wall + left), left, who, reason, to, keeper.saved)

    pause, plan, forgotten = keeper.now.pause, keeper.now.plan, keeper.now.forgotten
    return {
        "pause": told(keeper.left, pause.who, pause.reason) if pause else None,
        "plan": told(plan.at - wall, plan.who, plan.reason, plan.to) if plan else None,
        "forgotten": told(-keeper.forgotten_for, forgotten.who, forgotten.reason) if forgotten else None,
    }


def _written(agent: Agent) -> dict[str, str]:
    kept = {
        "upgrade": agent.upgrading.trouble, "standing": agent.standing.trouble, "peer-token": agent.peer_token.trouble,
    }  # fmt: skip
    return {what: trouble for what, trouble in kept.items() if trouble}


def _upgrade(agent: Agent) -> Upgrade | None:
    keeper = agent.upgrading
    now, age, limit = keeper.now, keeper.age, keeper.limit
    if now is None or age is None:
        return None
    return Upgrade(assessment(now.began), age, limit, age >= limit, now.who, now.reason, now.save, keeper.saved)


def assessment(at: float) -> str:
    """Return a time of day, seconds since 1970, in the local zone, as ISO 8601 writes it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _identities(agent: Agent, now: float) -> Identities:
    conversation = agent.switch.conversation
    stranger = conversation.peer.stranger(now, agent.config.heartbeat.dead_interval)
    known = Identities(conversation.identity, conversation.peer.identity)
    if stranger is None:
        return known
    return replace(known, stranger=stranger.identity, stranger_age=now - stranger.heard_at)


def _paths(agent: Agent, now: float) -> dict[str, PathReport]:
    conversation, dead_interval = agent.switch.conversation, agent.config.heartbeat.dead_interval
    return {
        name: PathReport(conversation.path_state(name, now, dead_interval), trouble)
        for name, trouble in agent.switch.peer.trouble.items()
    }
