"""`ovsha failover`: have this side serve although the other cannot be asked."""

from __future__ import annotations

import argparse
import json
from typing import Any

import tenacity

from ovsha import SCHEMA, client
from ovsha.commands import consent
from ovsha.commands.common import find, need_pair, question
from ovsha.commands.operator import order
from ovsha.commands.switchover import reason_of
from ovsha.errors import DriverError, UsageError

_LIMIT, _EVERY = 30.0, 0.1


def add(commands: Any) -> None:
    """Put the command on the command line."""
    command = question(
        commands, "failover", _run, "have this side serve although the other cannot be asked; this may lose data"
    )
    command.add_argument("--force", action="store_true", help="needed, since the other side may still serve")
    command.add_argument("--accept-data-loss", action="store_true", help="needed, since it may lose what is not copied")
    command.add_argument("--reason", metavar="TEXT", required=True, help="why, for the record")
    consent.add(command)


def _run(options: argparse.Namespace) -> int:
    if not (options.force and options.accept_data_loss):
        raise UsageError("failover needs both --force and --accept-data-loss; `ovsha switchover` loses nothing")
    reason, agent = reason_of(options), find(options)
    need_pair(client.ask_json(agent, "status", "json", schema=SCHEMA))
    checked = order(agent, "failover", check=True)
    node = checked["to"]
    consent.ask(options, "\n".join([f"{node} is made to serve:", *(f"  {line}" for line in checked["exposure"])]))
    order(agent, "failover", reason=reason)
    side = _await(options, agent, node)
    told = {"schema": SCHEMA, "forced": node, "term": side["stamp"]["term"], "exposure": checked["exposure"]}
    later = "`ovsha ledger list` tells what only the other side has once it is back"
    text = f"{node} is active in term {told['term']}; {later}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _await(options: argparse.Namespace, agent: client.Find, node: str) -> dict[str, Any]:
    """Print each step, and return the side once it serves.  Raises DriverError when it does not in time."""
    steps: list[str] = []

    def look() -> dict[str, Any]:
        document = client.ask_json(agent, "status", "json", schema=SCHEMA)
        if document["step"] and document["step"] not in steps:
            steps.append(document["step"])
            if not options.json:
                print(f"  {document['step']}", flush=True)
        return document

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda document: document["sides"][node]["state"] != "active"),
        stop=tenacity.stop_after_delay(_LIMIT),
        wait=tenacity.wait_fixed(_EVERY),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    document: dict[str, Any] = retrying(look)
    side: dict[str, Any] = document["sides"][node]
    if side["state"] != "active":
        raise DriverError(f"{node} does not serve after {_LIMIT:g} s: {document['why']}; see ovsha status")
    return side
