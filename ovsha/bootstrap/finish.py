"""See, when all steps are done, what came of them: the agent answers, the first side serves, the preflight passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ovsha import SCHEMA, client
from ovsha.bootstrap.options import ACTIVE, Options
from ovsha.checks.look import Look
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.preflight import table
from ovsha.preflight.ground import Ground

_AGENT_LIMIT = 30.0
_SERVES_LIMIT = 20.0
_LOOK_EVERY = 0.2


def agent(config: Config) -> dict[str, Any]:
    """Return what the agent tells once it does; raise DriverError when it does not within half a minute."""
    deadline = time.monotonic() + _AGENT_LIMIT
    while True:
        try:
            document = status(config)
            if document["uptime"] >= 1:
                return document
        except DriverError as error:
            if time.monotonic() > deadline:
                raise DriverError(f"the agent does not answer: {error}; see journalctl -u ovsha") from None
        time.sleep(_LOOK_EVERY)


def status(config: Config) -> dict[str, Any]:
    """Return what the agent tells.  Raises DriverError."""
    return client.ask_json(client.in_directory(config.run_directory), "status", "json", schema=SCHEMA)


def serves(config: Config, options: Options, document: dict[str, Any], order: Any) -> str:
    """Have the first side of a new pair serve; return why it does not, "" when it does, or need not.

    `order` gives an order to the agent.
    """
    if options.side != ACTIVE or _other_is_there(document):
        return ""
    deadline = time.monotonic() + _SERVES_LIMIT
    refused = ""
    where, reason = client.in_directory(config.run_directory), "vtep-bootstrap --db_ha active"
    while not status(config)["sides"][config.node]["serving"]:
        try:
            order(where, "found", check=False, reason=reason)
        except DriverError as error:
            refused = str(error)
        if time.monotonic() > deadline:
            return refused or status(config)["why"]
        time.sleep(_LOOK_EVERY)
    return ""


def findings(config: Config, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Run the quick items of the preflight and yield what is not well: the grade, and the sentence with its fix."""
    found = table.run(Ground(Look(config, document), quick=True), lambda doing: None)
    for each in found["items"]:
        if each["grade"] in ("FAIL", "WARN"):
            fix = f"; fix: {each['fix']}" if each["fix"] else ""
            yield each["grade"], f"{each['name']}: {each['text']}{fix}"


def _other_is_there(document: dict[str, Any]) -> bool:
    other = document["sides"].get(document["peer"])
    return other is not None and bool(other["current"])
