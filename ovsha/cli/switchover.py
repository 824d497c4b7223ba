"""`ovsha switchover`, `ovsha restore-primary`, `ovsha cancel`: move the service with both sides alive, and prove it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ovsha import SCHEMA, control_client, times
from ovsha.cli import common
from ovsha.cli.common import find, need_pair, question
from ovsha.control_client import order
from ovsha.errors import DriverError, UsageError
from ovsha.words import span

_MARGIN = 5.0
"""Seconds that the end of a move may be told after the agent's own time limit for it."""

_FOLLOW = 10.0
"""Seconds for which it is waited that the old side follows the new one and is in sync."""

_EVERY = 0.1


def add(commands: Any) -> None:
    """Put the commands on the command line."""
    move = question(commands, "switchover", _switchover, "move the service to the other side, losing nothing")
    move.add_argument("--to", metavar="NODE", default="", help="to this side; default: the one that does not serve")
    move.add_argument("--reason", metavar="TEXT", default="", help="why, for the record on both sides")
    move.add_argument("--at", metavar="TIME", help="not now but then, if all is well: +30m, 02:30, 2026-11-21T02:30")
    common.add_consent(move)
    back = question(commands, "restore-primary", _restore, "give the service back to the original primary now")
    back.add_argument("--reason", metavar="TEXT", default="", help="why, for the record on both sides")
    common.add_consent(back)
    stop = question(commands, "cancel", _cancel, "take back the planned switchover, or a move that has only begun")
    common.add_consent(stop)


def _switchover(options: argparse.Namespace) -> int:
    if options.at is not None:
        return _plan(options)
    return _move(options, "switchover", options.to)


def _restore(options: argparse.Namespace) -> int:
    return _move(options, "restore-primary", "")


def _move(options: argparse.Namespace, what: str, wanted: str) -> int:
    agent = find(options)
    before = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    need_pair(before)
    _of_this_pair(before, wanted)
    checked = order(agent, what, to=wanted, check=True)
    target = checked["to"]
    if checked["there"]:
        told = {"schema": SCHEMA, "moved": False, "from": target, "to": target}
        print(json.dumps(told, indent=2) if options.json else f"{target} is active already; nothing was moved")
        return 0
    common.ask(options, _intent(before, target, what))
    order(agent, what, to=target, reason=options.reason)
    result = _follow(options, agent, before["settings"]["handover_timeout"] + _MARGIN)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(_proof(result)))
    return 0


def _of_this_pair(before: dict[str, Any], wanted: str) -> None:
    """Raise UsageError for a node that is not of this pair; "" is whichever does not serve."""
    nodes = before["node"], before["peer"]
    if wanted and wanted not in nodes:
        raise UsageError(f"node {wanted} is not of this pair: it has {' and '.join(nodes)}")


def _intent(before: dict[str, Any], target: str, what: str) -> str:
    """Say what is going to be done."""
    source = before["peer"] if target == before["node"] else before["node"]
    side, limit = before["sides"][source], before["settings"]["handover_timeout"]
    lines = [
        f"the service moves from {source} to {target}: {source} shuts everybody out, {target} takes its last write"
        " and then serves",
        f"  sessions that are cut, and come back at {target}: {side['controllers']} of controllers, {side['vteps']} of"
        f" VTEP daemons; if {target} cannot serve within {span(limit)}, {source} goes on",
    ]
    configured = before["preferred"]["configured"]
    if what == "switchover" and configured not in (target, "clag"):
        lines.append(f"  it stays at {target} until it is moved again: `ovsha restore-primary` gives it back")
    lines += [f"  note: {problem['what']}" for problem in before["problems"]]
    return "\n".join(lines)


def _follow(options: argparse.Namespace, agent: control_client.Find, limit: float) -> dict[str, Any]:
    """Print each phase as it is over, and return the result.  Raises DriverError when the move has failed."""
    shown, end = 0, time.monotonic() + limit
    for told in _looks(agent, limit + _FOLLOW):
        for phase in told["phases"][shown:]:
            shown += 1
            _say(options, f"  {phase['at']:6.2f} s  {phase['text']}")
        if told["error"]:
            raise DriverError(told["error"])
        result: dict[str, Any] | None = told["result"]
        if result is None and time.monotonic() > end:
            break
        if result is not None:
            # Another agent may have answered, after a reload: it knows of no move, and of no result.
            if told["in_sync"] or time.monotonic() > end - limit + result["duration"] + _FOLLOW:
                return {**result, "in_sync": told["in_sync"], "phases": told["phases"]}
        elif not told["under_way"]:
            raise DriverError("the agent was started anew meanwhile and knows nothing of the move; see ovsha status")
    raise DriverError("the agent does not tell the end of the move; see ovsha status")


def _looks(agent: control_client.Find, limit: float) -> Iterator[dict[str, Any]]:
    """Yield how far the move is, again and again."""
    end = time.monotonic() + limit + _MARGIN
    while time.monotonic() < end:
        yield control_client.ask_json(agent, "moved", schema=SCHEMA)
        time.sleep(_EVERY)


def _say(options: argparse.Namespace, line: str) -> None:
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


def _proof(result: dict[str, Any]) -> Iterator[str]:
    """Yield what shows that the move is made and lost nothing."""
    source, target = result["from"], result["to"]
    yield f"{target} is active in term {result['term']} after {span(result['duration'])}"
    if result["missing"] is None:
        yield "acknowledged rows missing: not shown, no barrier was seen; see ovsha verify"
    else:
        yield (
            f"acknowledged rows missing: {result['missing']}, {target} holds all that {source} had committed"
            f" up to token {result['barrier']}"
        )
    outage = result["outage"]
    yield "outage: " + ("not measured" if outage is None else f"{span(outage)} as the agents saw it")
    if result["in_sync"]:
        yield f"{source} follows {target} and is in sync"
    else:
        yield f"{source} is not in sync yet; ovsha sync-status tells when"


def _plan(options: argparse.Namespace) -> int:
    agent = find(options)
    at = times.future_moment(options.at, datetime.now().astimezone())
    _of_this_pair(control_client.ask_json(agent, "status", "json", schema=SCHEMA), options.to)
    checked = order(agent, "plan", to=options.to, at=at.timestamp(), check=True)
    target, when = checked["to"], at.isoformat(timespec="seconds")
    left = span(at.timestamp() - time.time())
    objection = f"\n  note: it would be refused now: {checked['objection']}" if checked["objection"] else ""
    common.ask(
        options,
        f"the service moves to {target} at {when}, in {left}, if both sides are healthy then; if not, it stays"
        f" where it is and an alarm is raised{objection}",
    )
    order(agent, "plan", to=target, at=at.timestamp(), reason=options.reason)
    stands = saved(agent, "planned_switchover")
    told = {"schema": SCHEMA, "planned": True, "to": target, "at": when, "saved": stands["saved"]}
    text = f"planned; `ovsha cancel` takes it back{'' if stands['saved'] else unsaved()}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def saved(agent: control_client.Find, what: str) -> dict[str, Any]:
    """Return what stands, once it has reached the disk or should have.  Raises DriverError when it does not stand."""
    end = time.monotonic() + 3.0
    while True:
        stands: dict[str, Any] | None = control_client.ask_json(agent, "status", "json", schema=SCHEMA)[what]
        if stands is None:
            raise DriverError("the agent has dropped the order at once; see ovsha status")
        if stands["saved"] or time.monotonic() > end:
            return stands
        time.sleep(_EVERY)


def unsaved() -> str:
    """Return the warning for an order that would not survive the agent."""
    return "; it is not on disk, so a restart of ovsha forgets it: see ovsha status"


def _cancel(options: argparse.Namespace) -> int:
    agent = find(options)
    what = order(agent, "cancel", check=True)["cancelled"]
    common.ask(options, f"{what} will be taken back")
    done = order(agent, "cancel")["cancelled"]
    told = {"schema": SCHEMA, "cancelled": done}
    print(json.dumps(told, indent=2) if options.json else f"{done} is taken back")
    return 0


def reason_of(options: argparse.Namespace) -> str:
    """Return the reason in one line.  Raises UsageError when it is empty."""
    reason = " ".join(options.reason.split())
    if not reason:
        raise UsageError("--reason is empty: say why, for those who read the record afterwards")
    return reason
