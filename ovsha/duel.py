"""Do what a split brain calls for beyond the verdict: announce again, and keep the evidence.

The core settles a split brain by itself.  Whoever goes on announces the VIP once more when
the other side has stopped, for the switches and hosts on its part of the network have learned
the other's address.  Whoever gives way has a forensic bundle made of what it gives up, as
soon as the snapshot is there that has to be taken before anything is erased; an agent that
ends before that leaves the snapshot only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ovs.poller import Poller

from ovsha import __version__, bundles
from ovsha.config import Config
from ovsha.core import record, trace, verdict
from ovsha.core.election import Goal
from ovsha.core.facts import Presence, Record
from ovsha.core.side import Decision
from ovsha.core.trace import Trace
from ovsha.core.view import View
from ovsha.drivers.bundler import Bundler
from ovsha.drivers.exchange import Method
from ovsha.drivers.files import text, whole
from ovsha.logtail import TAIL
from ovsha.switch import Switch

log = logging.getLogger("ovsha")

_WHAT = "forensics"
_PER_ANSWER = 24
"""Decisions in one answer: some 30 KB, and 2 ms of the loop."""


@dataclass(frozen=True)
class Lost:
    """A split brain that this side has lost: when, in seconds since 1970, and both records then."""

    at: float
    own: Record
    peer: Record


class Duel:
    """What of a split brain is under way on this side."""

    def __init__(self, config: Config, key: bytes, switch: Switch, decisions: Trace) -> None:
        self._config, self._key, self._switch, self._decisions = config, key, switch, decisions
        self._directory = config.state_directory / bundles.DIRECTORY
        self._bundler = Bundler()
        self._lost: Lost | None = None
        self._to_announce = False
        self._heard = False
        switch.exchange.methods["trace"] = partial(answer_trace, config.node, decisions)
        switch.exchange.files.update(forensics_methods(self._directory))

    def look(self, view: View, decision: Decision, at: float) -> None:
        """Take note of what was decided; `at` is seconds since 1970."""
        self._announce(view, decision)
        if decision.rule.name == "split-lost" and self._lost is None and view.record is not None:
            self._lost = Lost(at, decision.record, view.record)
        lost = self._lost
        if lost is None or self._bundler.busy:
            return
        if decision.rule.goal is Goal.FOLLOW and view.server.saved:
            self._bundle(lost, str(self._switch.snapshots.last_taken), view.now)
        elif decision.rule.goal is Goal.SERVE:
            self._bundle(lost, None, view.now, "this side went on to serve again, and gave up nothing")

    def run(self, now: float) -> None:
        """Look after the bundle that is being made."""
        self._bundler.run(now)
        trouble, known = self._bundler.trouble, self._switch.troubles
        if trouble and known.get(_WHAT) != trouble:
            log.warning("%s", trouble)
            known[_WHAT] = trouble
        elif not trouble:
            known.pop(_WHAT, None)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the bundle is made."""
        self._bundler.wait(poller, now)

    def close(self) -> None:
        """Leave a bundle that is being made to its child."""
        self._bundler.close()

    def _announce(self, view: View, decision: Decision) -> None:
        """Announce the VIP again when the peer is heard again, or stops serving, while we serve throughout."""
        heard = decision.presence is Presence.ALIVE
        holding = decision.record.serving and view.vip.present
        self._to_announce = holding and (
            self._to_announce or (heard and not self._heard) or decision.rule.name == "split-won"
        )
        self._heard = heard
        if self._to_announce and heard and view.record is not None and not view.record.serving:
            self._to_announce = False
            log.info("the VIP is announced again: the peer is heard and does not serve")
            self._switch.announce(view.now)

    def _bundle(self, lost: Lost, database: str | None, now: float, why: str = "") -> None:
        self._lost = None
        fixed = partial(self._task, lost, database, why, self._decisions.entries(), TAIL.lines())
        self._bundler.start(fixed, now)

    def _task(
        self, lost: Lost, database: str | None, why: str, entries: list[trace.Entry], lines: list[str]
    ) -> dict[str, Any]:
        """Return what the child is to do; a thread calls this, for it takes a while."""
        config = self._config
        began = datetime.fromtimestamp(lost.at, UTC)
        winner, reason = verdict.winner(lost.own, lost.peer)
        term = lost.own.stamp.term if lost.own.stamp else 0
        return {
            "directory": str(self._directory),
            "keep": config.forensics.keep,
            "id": f"{began:%Y%m%dT%H%M%SZ}-term{term}",
            "node": config.node,
            "key": self._key.hex(),
            "peer": {
                "node": config.peer,
                "address": str(config.other.peer_link),
                "port": config.exchange.port,
            },
            "database": database,
            "no_database": why,
            "trace": [trace.to_plain(entry) for entry in entries],
            "log": lines,
            "manifest": {
                "what": "split brain, lost by this side",
                "at": began.isoformat(timespec="milliseconds"),
                "node": config.node,
                "peer": config.peer,
                "version": __version__,
                "term": term,
                "winner": winner,
                "why": reason,
                "records": {
                    config.node: record.to_plain(lost.own),
                    config.peer: record.to_plain(lost.peer),
                },
            },
        }


def answer_trace(node: str, decisions: Trace, params: Any) -> dict[str, Any]:
    """Answer the exchange: the first decisions after the turn `after`, and whether there are more."""
    entries = decisions.entries(whole(params, "after"))
    told = [trace.to_plain(entry) for entry in entries[:_PER_ANSWER]]
    return {"node": node, "entries": told, "more": len(entries) > _PER_ANSWER}


def forensics_methods(directory: Path) -> dict[str, Method]:
    """Return the methods of the exchange by which the peer sees and removes the bundles in `directory`."""

    def clear(params: Any) -> list[str]:
        return bundles.clear(directory, None if params == {} else text(params, "id"))

    return {
        "forensics-list": lambda params: bundles.find(directory),
        "forensics-show": lambda params: bundles.show(directory, text(params, "id")),
        "forensics-clear": clear,
    }
