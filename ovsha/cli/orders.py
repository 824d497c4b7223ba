"""`ovsha failover`, `pause`, `resume`, `resolve` and `peer`: orders beyond what the pair does by itself."""

from __future__ import annotations

import argparse
import json
from typing import Any

import tenacity

from ovsha import SCHEMA, control_client, times
from ovsha.cli import common
from ovsha.cli.common import find, group, need_pair, question, show
from ovsha.cli.switchover import reason_of, saved, unsaved
from ovsha.control_client import order
from ovsha.errors import DriverError, UsageError
from ovsha.report.status_text import forget_text, peer_text
from ovsha.words import span

_FORCE_LIMIT, _FORCE_EVERY = 30.0, 0.1


def add_failover(commands: Any) -> None:
    """Put the command on the command line."""
    command = question(
        commands, "failover", _failover, "have this side serve although the other cannot be asked; this may lose data"
    )
    command.add_argument("--force", action="store_true", help="needed, since the other side may still serve")
    command.add_argument("--accept-data-loss", action="store_true", help="needed, since it may lose what is not copied")
    command.add_argument("--reason", metavar="TEXT", required=True, help="why, for the record")
    common.add_consent(command)


def _failover(options: argparse.Namespace) -> int:
    if not (options.force and options.accept_data_loss):
        raise UsageError("failover needs both --force and --accept-data-loss; `ovsha switchover` loses nothing")
    reason, agent = reason_of(options), find(options)
    need_pair(control_client.ask_json(agent, "status", "json", schema=SCHEMA))
    checked = order(agent, "failover", check=True)
    node = checked["to"]
    common.ask(options, "\n".join([f"{node} is made to serve:", *(f"  {line}" for line in checked["exposure"])]))
    order(agent, "failover", reason=reason)
    side = _await_forced(options, agent, node)
    told = {"schema": SCHEMA, "forced": node, "term": side["stamp"]["term"], "exposure": checked["exposure"]}
    later = "`ovsha ledger list` tells what only the other side has once it is back"
    text = f"{node} is active in term {told['term']}; {later}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _await_forced(options: argparse.Namespace, agent: control_client.Find, node: str) -> dict[str, Any]:
    """Print each step, and return the side once it serves.  Raises DriverError when it does not in time."""
    steps: list[str] = []

    def look() -> dict[str, Any]:
        document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
        if document["step"] and document["step"] not in steps:
            steps.append(document["step"])
            if not options.json:
                print(f"  {document['step']}", flush=True)
        return document

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda document: document["sides"][node]["state"] != "active"),
        stop=tenacity.stop_after_delay(_FORCE_LIMIT),
        wait=tenacity.wait_fixed(_FORCE_EVERY),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    document: dict[str, Any] = retrying(look)
    side: dict[str, Any] = document["sides"][node]
    if side["state"] != "active":
        raise DriverError(f"{node} does not serve after {_FORCE_LIMIT:g} s: {document['why']}; see ovsha status")
    return side


def add_pause(commands: Any) -> None:
    """Put the commands on the command line."""
    command = question(commands, "pause", _pause, "watch and report, but change nothing on this switch for a while")
    command.add_argument("--for", metavar="SPAN", dest="span", help="30m, 1h; default: pause.limit, the longest")
    command.add_argument("--reason", metavar="TEXT", default="", help="why, for the record and for ovsha status")
    common.add_consent(command)
    common.add_consent(question(commands, "resume", _resume, "end the pause of this switch"))


def _pause(options: argparse.Namespace) -> int:
    agent = find(options)
    length = None if options.span is None else times.seconds(options.span)
    checked = order(agent, "pause", check=True)
    node, limit = checked["node"], checked["for"]
    if length is not None and length > limit:
        raise UsageError(f"pause.limit of the configuration is {span(limit)}: pause for less, and again before it ends")
    before = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    common.ask(options, _pause_intent(before, node, length or limit))
    order(agent, "pause", **{"for": length}, reason=options.reason)
    stands = saved(agent, "pause")
    told = {"schema": SCHEMA, "paused": node, "until": stands["at"], "saved": stands["saved"]}
    was = f"; it was paused until {before['pause']['at']}" if before["pause"] else ""
    text = f"{node} is paused until {stands['at']}{was}; `ovsha resume` ends it{'' if stands['saved'] else unsaved()}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _pause_intent(before: dict[str, Any], node: str, length: float) -> str:
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
    common.ask(options, f"{node} will act again{undone}")
    order(agent, "resume")
    document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    if document["mode"] != "active":
        raise DriverError(f"{node} is still in mode {document['mode']}; see ovsha status")
    told = {"schema": SCHEMA, "resumed": node, "state": document["state"]}
    print(json.dumps(told, indent=2) if options.json else f"{node} acts again; {document['verdict']}")
    return 0


_RESOLVE_LIMIT, _RESOLVE_EVERY = 60.0, 0.2


def add_resolve(commands: Any) -> None:
    """Put the command on the command line."""
    command = question(commands, "resolve", _resolve, "say whose data is kept when the pair needs a decision")
    command.add_argument(
        "--keep", choices=("self", "peer"), required=True,
        help="the data of this switch or of the other one; the other side's is erased, a snapshot of it is kept",
    )  # fmt: skip
    command.add_argument("--reason", metavar="TEXT", required=True, help="why, for the log")
    common.add_consent(command)


def _resolve(options: argparse.Namespace) -> int:
    agent = find(options)
    before = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    if options.keep == "peer":
        need_pair(before)
    keep = before["node"] if options.keep == "self" else before["peer"]
    reason = " ".join(options.reason.split())
    if not reason:
        raise DriverError("--reason is empty: say why, for those who read the log afterwards")
    common.ask(options, _resolve_intent(before, keep))
    control_client.ask(agent, "resolve", keep, reason, control_client.who())
    if not options.json:
        print(f"the data of {keep} is kept; waiting until it is served", flush=True)
    after = _await_resolved(agent, keep)
    side = after["sides"][keep]
    told = {"schema": SCHEMA, "kept": keep, "term": side["stamp"]["term"], "in_sync": after["in_sync"]}
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        still = "; ".join(word for word in (after["verdict"], after["do"]) if word)
        print(f"{keep} is active in term {told['term']}; {still}")
    return 0


def _resolve_intent(document: dict[str, Any], keep: str) -> str:
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


def _await_resolved(agent: control_client.Find, keep: str) -> dict[str, Any]:
    """Return the status in which `keep` serves and, if the other side can, that follows."""

    def serves(document: dict[str, Any]) -> bool:
        side = document["sides"][keep]
        return side is not None and side["state"] == "active"

    def done(document: dict[str, Any]) -> bool:
        return serves(document) and (bool(document["in_sync"]) or not _can_follow(document, keep))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda document: not done(document)),
        stop=tenacity.stop_after_delay(_RESOLVE_LIMIT),
        wait=tenacity.wait_fixed(_RESOLVE_EVERY),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    document: dict[str, Any] = retrying(lambda: control_client.ask_json(agent, "status", "json", schema=SCHEMA))
    if not done(document):
        lacks = "serves, but the other side is not its copy" if serves(document) else "does not serve"
        raise DriverError(f"{keep} {lacks} after {_RESOLVE_LIMIT:g} s: {document['verdict']}; see ovsha status")
    return document


def _can_follow(document: dict[str, Any], keep: str) -> bool:
    """Tell whether the side whose data is given up is heard, and has a server that works."""
    others = (side for node, side in document["sides"].items() if node != keep and side is not None)
    return any(side["current"] and side["life"] in ("up", "busy") for side in others)


def add_peer(commands: Any) -> None:
    """Add `peer show` and `peer forget`."""
    actions = group(commands, "peer", "look at the switch that was learned as the peer")
    question(actions, "show", _show, "show by which identities the two know each other; exit status 1 if they do not")
    common.add_consent(
        question(actions, "forget", _forget, "learn the peer anew, when it was replaced or lost its state directory")
    )


def _show(options: argparse.Namespace) -> int:
    document = control_client.ask_json(find(options), "status", "json", schema=SCHEMA)
    show(options, _part(document), peer_text)
    identity = document["identity"]
    return 1 if identity["stranger"] or identity["estranged"] else 0


def _forget(options: argparse.Namespace) -> int:
    agent = find(options)
    document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    need_pair(document)
    what = f"the identity of {document['peer']} will be forgotten; the next switch of that name with our key is learned"
    common.ask(options, what)
    document = control_client.ask_json(agent, "peer-forget", "json", schema=SCHEMA)
    show(options, document, forget_text)
    return 0


def _part(document: dict[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("schema", "node", "peer", "presence", "identity")}
