"""Wait for the agent of this switch: until it answers, until it serves, until its copy is in sync."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ovsha import SCHEMA, control_client
from ovsha.config import Config
from ovsha.control_client import NotRunning, order
from ovsha.errors import DriverError

EVERY = 0.1
_ANSWER_LIMIT = 30.0
_SERVE_LIMIT = 60.0
_LISTENS = ("server-unknown", "server-unread", "server-down", "listening")
"""Rules that hold for a moment after a start."""

Document = dict[str, Any]


def status(config: Config) -> Document | None:
    """Return what the agent tells, None when none runs here.  Raises DriverError when it does not answer."""
    try:
        agent = control_client.in_directory(config.run_directory)
        return control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    except NotRunning:
        return None


def until(config: Config, holds: Callable[[Document], bool], limit: float, what: str) -> Document:
    """Return the first status for which that holds.  Raises DriverError, with `what` was awaited, after `limit` s."""
    end, trouble = time.monotonic() + limit, "no agent answers"
    while time.monotonic() < end:
        try:
            found = status(config)
        except DriverError as error:
            # A server that copies keeps nobody waiting but its own sessions; an agent that starts may.
            found, trouble = None, str(error)
        if found is not None:
            if holds(found):
                return found
            trouble = str(found["why"])
        time.sleep(EVERY)
    raise DriverError(f"{what}, after {limit:g} s: {trouble}; see ovsha status and `journalctl -u ovsha`")


def serve_alone(config: Config, reason: str) -> Document:
    """Have the agent serve as the first of a new pair, and return its status when it does.  Raises DriverError."""
    node = config.node
    seen = until(config, lambda found: found["rule"] not in _LISTENS, _ANSWER_LIMIT, f"{node} is not ready")
    if seen["presence"] == "alive" and (seen["sides"][config.peer] or {}).get("serving"):
        raise DriverError(f"{config.peer} serves, and the bundle is made by the side that does: run it there")
    unmet = seen["identity"]["peer"] is None and seen["presence"] != "alive"
    # Who serves already, as one that stood alone does, is to do so after its next boot too.
    if unmet or not seen["sides"][node]["serving"]:
        order(control_client.in_directory(config.run_directory), "found", reason=reason)
    return until(config, _is_active, _SERVE_LIMIT, f"{node} does not serve")


def _is_active(found: Document) -> bool:
    return bool(found["sides"][found["node"]]["state"] == "active")
