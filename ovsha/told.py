"""Tell others how the pair is: metrics and status URLs over HTTP, and the operator's hooks.

The daemon calls `run` after each turn of the agent.  That leaves the facts where the
serving threads find them, and has the hooks told of what has changed; nothing here waits
for a reader or for a hook, and nothing here ends the agent.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from ovsha import report
from ovsha.agent import Agent
from ovsha.config import Config
from ovsha.core.case import Case
from ovsha.core.diagnosis import find
from ovsha.core.moment import Moment
from ovsha.core.occasions import CLEARED, Occasion, Occasions
from ovsha.core.side import Decision
from ovsha.core.view import View
from ovsha.drivers.answer import Answer
from ovsha.drivers.hooks import Event, Hooks
from ovsha.drivers.web import Web
from ovsha.urls import Board, Published, Urls

log = logging.getLogger("ovsha")

SCHEMA = 1
"""Of the JSON object that hooks get; it changes when a key gets another meaning."""

_PUBLISH_EVERY = 0.5
_GIVE_WAY = 0.001
_FOR_SO_LONG = re.compile(r" for [0-9.]+ (s|min|h|d)( [0-9]+ (s|min|h))?(?=$|[,;])")
"""As `ovsha.core.words.span` writes it."""


class Told:
    """What is told of the agent that `run` is given; that may be another one after a reload."""

    def __init__(self) -> None:
        self.board = Board()
        self._agent: Agent | None = None
        self._web: Web | None = None
        self._hooks: Hooks | None = None
        self._occasions = Occasions(0.0)
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
        outside = report.outside(agent, view.now)
        self.board.published = Published(time.time(), view.now, view, decision, outside)
        found = find(Moment(Case(view, decision.memory, decision.presence), decision, outside))
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

    def _tell(self, agent: Agent, view: View, decision: Decision, occasion: Occasion) -> None:
        assert self._hooks is not None
        if occasion.problem is not None:
            _record(agent, occasion)
        self._hooks.tell(Event(occasion.event, facts(agent.config, view, decision, occasion)))


def _record(agent: Agent, occasion: Occasion) -> None:
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
        from ovsha.page import events, render

        if self._events is None:
            self._events = events.Events(self._directory)
        text = render.page(document, self._events.since(at - events.DAY), at, stuck_for)
        headers = {"Content-Security-Policy": render.POLICY}
        return Answer(text.encode(), kind="text/html; charset=utf-8", headers=headers)


def timeless(text: str) -> str:
    """Return what is wrong without for how long: that is out of date when it is read."""
    return _FOR_SO_LONG.sub("", text)


def facts(config: Config, view: View, decision: Decision, occasion: Occasion) -> dict[str, Any]:
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
