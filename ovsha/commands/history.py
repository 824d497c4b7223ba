"""`ovsha history`: every move and alarm of this side, from its flight recorder's files; needs no running agent."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from ovsha import config as configuration
from ovsha.commands import moment
from ovsha.commands.common import add_config, command, show
from ovsha.config import Config
from ovsha.core import history, history_text
from ovsha.core.history import Witness
from ovsha.errors import ConfigError, DriverError

if TYPE_CHECKING:
    from ovsha.recording import Recording

_LAST = 20
_ASIDE_LIMIT, _PEER_LIMIT = 1.5, 10.0
"""Seconds for the peer to tell what only it knows, and for its whole history where that was asked for."""


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "history", _run, "tell every move and alarm: when, why, by whom, and what it cost")
    added.add_argument("--last", metavar="N", type=int, default=_LAST, help=f"the last N; default: {_LAST}, 0: all")
    added.add_argument("--since", metavar="TIME", help=f"those since then: {moment.FORMS}")
    added.add_argument("--all", action="store_true", help="also changes between init and backup")
    added.add_argument("--peer", action="store_true", help="what the other side has recorded")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _run(options: argparse.Namespace) -> int:
    if options.last < 0:
        raise ConfigError("--last: a number of moves and alarms is wanted, or 0 for all")
    config = configuration.load(options.config)
    since = None if options.since is None else moment.past(options.since, time.time())
    told = _Told(config, options.peer)
    events = [event for event in told.shown.events if since is None or event["at"] >= since]
    chosen = history.chosen(events, options.all)
    last = chosen[-options.last :] if options.last else chosen
    document = {
        "schema": history.SCHEMA,
        "node": told.shown.node,
        "since": since,
        "earlier": len(chosen) - len(last),
        "rows": [{**row, "when": moment.local(row["at"])} for row in history.rows(last, told.witness)],
        "troubles": [*told.shown.troubles, *told.notes],
    }
    show(options, document, lambda whole: history_text.text(whole, moment.local))
    return 0


class _Told:
    """What the side that is `shown` has recorded, and what the other one adds to it when it is asked for."""

    def __init__(self, config: Config, peer: bool) -> None:
        # Here, because what reads the recorder's files takes longer to import than a question takes to answer.
        from ovsha import recording

        self._read = recording
        self.notes: list[str] = []
        self.shown = recording.of_peer(config, _PEER_LIMIT) if peer else recording.local(config)
        self._config = config
        self._known: dict[str, Recording | None] = {self.shown.node: self.shown}

    def witness(self, node: str) -> Witness | None:
        """Return what a side knows of a service it has lost, None when it cannot be asked."""
        if node not in self._known:
            self._known[node] = self._other(node)
        found = self._known[node]
        return None if found is None else Witness(found.events, found.ledgers)

    def _other(self, node: str) -> Recording | None:
        try:
            if node == self._config.node:
                return self._read.local(self._config)
            return self._read.of_peer(self._config, _ASIDE_LIMIT) if node == self._config.peer else None
        except (DriverError, ConfigError) as error:
            self.notes.append(f"what {node} knows is not in this: {error}")
            return None
