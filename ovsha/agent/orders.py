"""Answer the control commands by which operators act: `order JSON`, and `moved`, which tells how a move goes.

An order is an object with `order` (switchover, restore-primary, plan, cancel, failover, pause, resume, found,
upgrade-prepare, upgrade-finish), `who` gives it, the `reason`, what the order needs (`to`, `at`, `for`, `save`,
`lost`), and `check`: true where it is only to be said whether it can be taken.  The answer is an object too, at once;
a move is then followed by `moved`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ovsha import SCHEMA, codec
from ovsha.agent import standing_orders, upgrade
from ovsha.agent.switchovers import Moves
from ovsha.core import operator_orders
from ovsha.errors import DriverError

Order = dict[str, Any]
Command = tuple[str, int, int, Callable[[Any, list[str], object], None]]


def order_commands(moves: Moves) -> dict[str, Command]:
    """Return the commands as ovs.unixctl.command_register takes them."""

    def order(conn: Any, argv: list[str], aux: object) -> None:
        try:
            wanted = _read(argv[0])
            answer = ORDERS[wanted["order"]](moves, wanted)
        except DriverError as error:
            conn.reply_error(str(error))
        else:
            conn.reply(json.dumps({"schema": SCHEMA, **answer}) + "\n")

    def moved(conn: Any, argv: list[str], aux: object) -> None:
        conn.reply(json.dumps(moves.told(), indent=2) + "\n")

    return {"order": ("JSON", 1, 1, order), "moved": ("", 0, 0, moved)}


def _read(text: str) -> Order:
    """Return the order with every key that may be there.  Raises DriverError for what is none."""
    try:
        given = codec.parse(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or given.get("order") not in ORDERS:
        raise DriverError(f"{text:.60} is no order; the orders are {', '.join(ORDERS)}")
    wanted = {"order": given["order"], "check": given.get("check") is True}
    wanted["lost"] = given.get("lost") is True
    for name in ("who", "reason", "to", "save"):
        value = given.get(name, "")
        if not isinstance(value, str):
            raise DriverError(f"{name} of an order is a text")
        wanted[name] = " ".join(value.split())
    for name in ("at", "for"):
        value = given.get(name)
        if value is not None and (type(value) not in (int, float) or value <= 0):
            raise DriverError(f"{name} of an order is a number of seconds")
        wanted[name] = value
    return wanted


def _switchover(moves: Moves, wanted: Order) -> Order:
    restore = wanted["order"] == "restore-primary"
    target = moves.target(wanted["to"], restore)
    if moves.there(target):
        return {"to": target, "there": True}
    if wanted["check"]:
        moves.check(target)
    else:
        moves.begin(target, wanted["reason"], wanted["who"], restore)
    return {"to": target, "there": False}


def _plan(moves: Moves, wanted: Order) -> Order:
    target, at = moves.target(wanted["to"], False), wanted["at"]
    if at is None:
        raise DriverError("a planned switchover needs the time at which it is to be made")
    if wanted["check"]:
        _refuse(standing_orders.plan_refusal(moves.agent, target, at))
    else:
        _refuse(standing_orders.plan(moves.agent, target, at, wanted["reason"], wanted["who"]))
    return {"to": target, "at": at, "objection": moves.objection(target)}


def _cancel(moves: Moves, wanted: Order) -> Order:
    done, refused = standing_orders.cancel(moves.agent, wanted["who"], wanted["check"])
    _refuse(refused)
    if moves.under_way and not wanted["check"]:
        moves.end("an operator has called it off")
    return {"cancelled": done}


def _failover(moves: Moves, wanted: Order) -> Order:
    now = standing_orders.situation(moves.agent)
    if now is None:
        raise DriverError(standing_orders.EARLY)
    answer = {"to": moves.agent.config.node, "exposure": list(operator_orders.force_exposure(now))}
    if wanted["check"]:
        _refuse(operator_orders.force_refusal(now))
    else:
        _refuse(standing_orders.failover(moves.agent, wanted["reason"], wanted["who"]))
        upgrade.over(moves.agent, wanted["who"], "this side was forced to serve")
    return answer


def _pause(moves: Moves, wanted: Order) -> Order:
    if wanted["check"]:
        _refuse(standing_orders.pause_refusal(moves.agent, wanted["for"]))
    else:
        _refuse(standing_orders.pause(moves.agent, wanted["for"], wanted["reason"], wanted["who"]))
    return {"for": wanted["for"] or moves.agent.config.pause.limit, "node": moves.agent.config.node}


def _resume(moves: Moves, wanted: Order) -> Order:
    if wanted["check"]:
        _refuse(standing_orders.resume_refusal(moves.agent))
    else:
        _refuse(standing_orders.resume(moves.agent, wanted["who"]))
    decision = moves.agent.decision
    return {"node": moves.agent.config.node, "would": [step.value for step in decision.would] if decision else []}


def _found(moves: Moves, wanted: Order) -> Order:
    agent = moves.agent
    if wanted["check"]:
        _refuse(standing_orders.found_refusal(agent))
    else:
        _refuse(standing_orders.found(agent, wanted["reason"], wanted["who"]))
    return {"node": agent.config.node}


def _upgrade_prepare(moves: Moves, wanted: Order) -> Order:
    agent, save = moves.agent, wanted["save"]
    if wanted["check"]:
        _refuse(upgrade.prepare_refusal(agent))
    else:
        _refuse(upgrade.prepare(agent, save, wanted["reason"], wanted["who"]))
    return {"node": agent.config.node, **_schemas(moves)}


def _upgrade_finish(moves: Moves, wanted: Order) -> Order:
    """End the upgrade; where it is only checked, `refused` says why it cannot be, and null that it can."""
    agent, lost = moves.agent, wanted["lost"]
    now = standing_orders.situation(agent)
    answer: Order = {"node": agent.config.node, **_schemas(moves)}
    if wanted["check"]:
        exposure = list(operator_orders.force_exposure(now)) if lost and now is not None else []
        passes = now is None or operator_orders.upgrade_passes(now)
        answer |= {"refused": upgrade.finish_refusal(agent, lost) or None, "passes": passes, "exposure": exposure}
        return answer
    _refuse(upgrade.finish(agent, lost, wanted["reason"], wanted["who"]))
    if lost:
        upgrade.over(agent, wanted["who"], "the peer is lost, and this side serves what it has")
    return answer


def _schemas(moves: Moves) -> Order:
    """Return the schemas of both databases, null for one that is not known, and what only the peer's has."""
    view = moves.agent.view
    own, theirs = (None, None) if view is None else (view.server.schema, view.source.schema)
    return {
        "versions": [None if each is None else each.version for each in (own, theirs)],
        "schema_gap": None if view is None else view.schema_gap or None,
    }


def _refuse(why: str) -> None:
    if why:
        raise DriverError(why)


ORDERS: dict[str, Callable[[Moves, Order], Order]] = {
    "switchover": _switchover,
    "restore-primary": _switchover,
    "plan": _plan,
    "cancel": _cancel,
    "failover": _failover,
    "pause": _pause,
    "resume": _resume,
    "found": _found,
    "upgrade-prepare": _upgrade_prepare,
    "upgrade-finish": _upgrade_finish,
}
