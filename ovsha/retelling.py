"""Put together what a side has recorded, and what only the other one knows of it."""

from __future__ import annotations

from typing import Any

from ovsha import recording
from ovsha.commands import moment
from ovsha.config import Config
from ovsha.core import history
from ovsha.core.history import Witness
from ovsha.errors import ConfigError, DriverError
from ovsha.recording import Recording

_ASIDE_LIMIT, _PEER_LIMIT = 1.5, 10.0
"""Seconds for the peer to tell what only it knows, and for its whole history where that was asked for."""


def retell(config: Config, since: float | None, last: int, everything: bool, of_peer: bool) -> dict[str, Any]:
    """Return the history of this side, or of the peer, as JSON values.

    `since`: seconds since 1970, None for all.  `last`: how many rows, 0 for all.  Raises DriverError when what was
    recorded cannot be read.
    """
    told = _Told(config, of_peer)
    events = [event for event in told.shown.events if since is None or event["at"] >= since]
    chosen = history.chosen(events, everything)
    shown = chosen[-last:] if last else chosen
    rows = [{**row, "when": moment.local(row["at"])} for row in history.rows(shown, told.witness)]
    return {
        "schema": history.SCHEMA,
        "node": told.shown.node,
        "since": since,
        "earlier": len(chosen) - len(shown),
        "rows": rows,
        "troubles": [*told.shown.troubles, *told.notes],
    }


class _Told:
    """What the side that is `shown` has recorded, and what the other one adds to it when it is asked for."""

    def __init__(self, config: Config, of_peer: bool) -> None:
        self.notes: list[str] = []
        self.shown = recording.of_peer(config, _PEER_LIMIT) if of_peer else recording.local(config)
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
                return recording.local(self._config)
            return recording.of_peer(self._config, _ASIDE_LIMIT) if node == self._config.peer else None
        except (DriverError, ConfigError) as error:
            self.notes.append(f"what {node} knows is not in this: {error}")
            return None
