"""`ovsha resolve`: say whose data is kept where the pair cannot tell, and see it done."""

from __future__ import annotations

import argparse
import json
from typing import Any

import tenacity

from ovsha import SCHEMA, client
from ovsha.commands import consent, operator
from ovsha.commands.common import find, need_pair, question
from ovsha.errors import DriverError

_LIMIT, _EVERY = 60.0, 0.2


def add(commands: Any) -> None:
    """Put the command on the command line."""
    command = question(commands, "resolve", _run, "say whose data is kept when the pair needs a decision")
    command.add_argument(
        "--keep", choices=("self", "peer"), required=True,
        help="the data of this switch or of the other one; the other side's is erased, a snapshot of it is kept",
    )  # fmt: skip
    command.add_argument("--reason", metavar="TEXT", required=True, help="why, for the log")
    consent.add(command)


def _run(options: argparse.Namespace) -> int:
    agent = find(options)
    before = client.ask_json(agent, "status", "json", schema=SCHEMA)
    if options.keep == "peer":
        need_pair(before)
    keep = before["node"] if options.keep == "self" else before["peer"]
    reason = " ".join(options.reason.split())
    if not reason:
        raise DriverError("--reason is empty: say why, for those who read the log afterwards")
    consent.ask(options, _intent(before, keep))
    client.ask(agent, "resolve", keep, reason, operator.who())
    if not options.json:
        print(f"the data of {keep} is kept; waiting until it is served", flush=True)
    after = _await(agent, keep)
    side = after["sides"][keep]
    told = {"schema": SCHEMA, "kept": keep, "term": side["stamp"]["term"], "in_sync": after["in_sync"]}
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        still = "; ".join(word for word in (after["verdict"], after["do"]) if word)
        print(f"{keep} is active in term {told['term']}; {still}")
    return 0


def _intent(document: dict[str, Any], keep: str) -> str:
    """Return what will become of both sides' data."""
    given_up = document["peer"] if keep == document["node"] else document["node"]
    kept = f"the data of {keep} is kept{_size(document, keep)}: {keep} serves it in a new term"
    if document["peer"] is None:
        return kept
    return (
        f"{kept}\n"
        f"the data of {given_up} is overwritten{_size(document, given_up)}, once a snapshot of it is on its disk;"
        f" `ovsha ledger list` there names what it alone had acknowledged"
    )


def _size(document: dict[str, Any], node: str) -> str:
    side = document["sides"][node]
    if side is None or side["cells"] is None:
        return ""
    return f" (term {side['stamp']['term'] if side['stamp'] else 'unknown'}, {side['cells']} cells, rows times columns)"


def _await(agent: client.Find, keep: str) -> dict[str, Any]:
    """Return the status in which `keep` serves and, if the other side can, that follows."""

    def serves(document: dict[str, Any]) -> bool:
        side = document["sides"][keep]
        return side is not None and side["state"] == "active"

    def done(document: dict[str, Any]) -> bool:
        return serves(document) and (bool(document["in_sync"]) or not _can_follow(document, keep))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda document: not done(document)),
        stop=tenacity.stop_after_delay(_LIMIT),
        wait=tenacity.wait_fixed(_EVERY),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    document: dict[str, Any] = retrying(lambda: client.ask_json(agent, "status", "json", schema=SCHEMA))
    if not done(document):
        lacks = "serves, but the other side is not its copy" if serves(document) else "does not serve"
        raise DriverError(f"{keep} {lacks} after {_LIMIT:g} s: {document['verdict']}; see ovsha status")
    return document


def _can_follow(document: dict[str, Any], keep: str) -> bool:
    """Tell whether the side whose data is given up is heard, and has a server that works."""
    others = (side for node, side in document["sides"].items() if node != keep and side is not None)
    return any(side["current"] and side["life"] in ("up", "busy") for side in others)

