"""`ovsha pause` and `ovsha resume`: have the agent of this switch watch, report, and change nothing for a while."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ovsha import SCHEMA, client
from ovsha.commands import consent, moments
from ovsha.commands.common import find, question
from ovsha.commands.operator import order
from ovsha.commands.switchover import saved, unsaved
from ovsha.core.words import span
from ovsha.errors import DriverError, UsageError


def add(commands: Any) -> None:
    """Put the commands on the command line."""
    command = question(commands, "pause", _pause, "watch and report, but change nothing on this switch for a while")
    command.add_argument("--for", metavar="SPAN", dest="span", help="30m, 1h; default: pause.limit, the longest")
    command.add_argument("--reason", metavar="TEXT", default="", help="why, for the record and for ovsha status")
    consent.add(command)
    consent.add(question(commands, "resume", _resume, "end the pause of this switch"))


def _pause(options: argparse.Namespace) -> int:
    agent = find(options)
    length = None if options.span is None else moments.seconds(options.span)
    checked = order(agent, "pause", check=True)
    node, limit = checked["node"], checked["for"]
    if length is not None and length > limit:
        raise UsageError(f"pause.limit of the configuration is {span(limit)}: pause for less, and again before it ends")
    before = client.ask_json(agent, "status", "json", schema=SCHEMA)
    consent.ask(options, _intent(before, node, length or limit))
    order(agent, "pause", **{"for": length}, reason=options.reason)
    stands = saved(agent, "pause")
    told = {"schema": SCHEMA, "paused": node, "until": stands["at"], "saved": stands["saved"]}
    was = f"; it was paused until {before['pause']['at']}" if before["pause"] else ""
    text = f"{node} is paused until {stands['at']}{was}; `ovsha resume` ends it{'' if stands['saved'] else unsaved()}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _intent(before: dict[str, Any], node: str, length: float) -> str:
    peer, serves = before["peer"], before["sides"][node]["serving"]
    lines = [f"the agent of {node} changes nothing for {span(length)}, whatever happens; it goes on watching"]
    if serves:
        lines.append(
            f"  {node} serves: if its ovsdb-server dies meanwhile, nobody serves until `ovsha resume`"
            + ("" if peer is None else f"; {peer} takes over only if all of {node} falls silent")
        )
    else:
        even = "" if peer is None else f", even if {peer} dies"
        lines.append(f"  {node} does not serve: it takes nothing over meanwhile{even}")
    return "\n".join(lines)


def _resume(options: argparse.Namespace) -> int:
    agent = find(options)
    checked = order(agent, "resume", check=True)
    node, would = checked["node"], checked["would"]
    undone = f" and at once would {', '.join(would)}" if would else ""
    consent.ask(options, f"{node} will act again{undone}")
    order(agent, "resume")
    document = client.ask_json(agent, "status", "json", schema=SCHEMA)
    if document["mode"] != "active":
        raise DriverError(f"{node} is still in mode {document['mode']}; see ovsha status")
    told = {"schema": SCHEMA, "resumed": node, "state": document["state"]}
    print(json.dumps(told, indent=2) if options.json else f"{node} acts again; {document['verdict']}")
    return 0
