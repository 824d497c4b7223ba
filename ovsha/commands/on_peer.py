"""Have the peer do a task and wait for what comes of it."""

from __future__ import annotations

import time
from typing import Any

from ovsha import config as configuration
from ovsha import exchange
from ovsha.config import Config
from ovsha.errors import DriverError

_ASK_LIMIT = 10.0
_EVERY = 0.3


def where(config: Config) -> tuple[str, int, bytes]:
    """Return address, port and key by which the peer's agent is asked.  Raises ConfigError for a bad key."""
    address = str(config.other.peer_link)
    return address, config.exchange.port, configuration.read_key(config.pair.key_file)


def run(config: Config, what: str, limit: float, **params: Any) -> dict[str, Any]:
    """Return the result of a task of the peer's, which may take `limit` seconds.

    Raises DriverError when nobody answers there, when it fails, or is not over in time.
    """
    place, deadline = where(config), time.monotonic() + limit
    started = exchange.ask(*place, "task-start", {"what": what, **params}, _ASK_LIMIT)
    while time.monotonic() < deadline:
        time.sleep(_EVERY)
        found = exchange.ask(*place, "task-look", started, _ASK_LIMIT)
        if not isinstance(found, dict):
            break
        if found.get("done"):
            result: dict[str, Any] = found["result"]
            return result
    raise DriverError(f"{config.peer} has not ended its part within {limit:g} s")
