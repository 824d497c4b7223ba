"""Say what the present timers mean at worst: how long an outage lasts, how many seconds of writes may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsha.core.words import span

_BURST = 0.05
"""Seconds that five echoes take, one after the other (ovsha.core.echo)."""


@dataclass(frozen=True, slots=True)
class Timers:
    """The settings that matter, in seconds, by their names in the configuration file."""

    heartbeat_interval: float
    dead_interval: float
    stall_interval: float
    hang_interval: float
    stall_limit: float
    token_interval: float
    max_lag: float
    handover_timeout: float
    link_cut_hold: float


@dataclass(frozen=True, slots=True)
class Case:
    """Until a fault is acted on, at worst `seconds` pass, by `formula`; None: as long as a packet takes."""

    fault: str
    seconds: float | None
    formula: str


def cases(t: Timers) -> tuple[Case, ...]:
    """Return the faults of an active side, and after how many seconds at worst the other one begins to take over."""
    return (
        Case("its ovsdb-server dies", None, "its session closes at once"),
        Case("its switch dies or falls silent", t.dead_interval, "heartbeat.dead_interval"),
        Case("its agent or all its programs stop, later its switch falls silent", 1.5 * t.dead_interval + _BURST,
             "1.5 x dead_interval + five echoes, once its kernel has answered 60"),
        Case("all its programs are stopped, its kernel answers", t.stall_interval + 3 * t.heartbeat_interval,
             "stall_interval + 3 x interval"),
        Case("its ovsdb-server is stopped", t.dead_interval + t.heartbeat_interval, "dead_interval + interval"),
        Case("its ovsdb-server hangs", t.dead_interval + t.hang_interval, "dead_interval + server.hang_interval"),
        Case("its ovsdb-server is busy without end", t.stall_limit, "server.stall_limit"),
        Case("the peer link is cut, and clagd's primary is the other", t.link_cut_hold + t.dead_interval,
             "link_cut.hold + dead_interval"),
        Case("its agent dies, then its ovsdb-server stops serving", t.stall_interval, "heartbeat.stall_interval"),
    )  # fmt: skip


def document(t: Timers, move: float | None, controller: float | None, lag: float | None) -> dict[str, Any]:
    """Return it as JSON values.

    `move`: seconds that the last move took from the decision until clients were accepted, `controller`: until the first
    controller was connected, None when none was recorded.  `lag`: that of the last token.
    """
    return {
        "faults": [
            {"fault": each.fault, "detected_after": each.seconds, "formula": each.formula} for each in cases(t)
        ],
        "move": move,
        "controller": controller,
        "planned_at_most": 2 * t.handover_timeout,
        "exposure": t.token_interval + t.max_lag,
        "lag": lag,
    }


def text(told: dict[str, Any]) -> list[str]:
    """Return the lines that an operator reads."""
    move = "not measured yet" if told["move"] is None else span(told["move"])
    first = "" if told["controller"] is None else f", to the first controller {span(told['controller'])}"
    faults = told["faults"]
    width = max(len(each["fault"]) for each in faults)
    lines = [f"  {each['fault']:<{width}}  {_after(each)}" for each in faults]
    lag = "" if told["lag"] is None else f"; the last token took {span(told['lag'])}"
    return [
        "worst case with the present timers, if the active side fails: outage = detection + move",
        f"  {'the move, as last measured':<{width}}  {move}{first}",
        *lines,
        f"  {'a planned move is called off':<{width}}  {span(told['planned_at_most'])} at most (2 x handover.timeout)",
        f"writes at risk in a failover: the last {span(told['exposure'])} at most while the pair says in sync"
        f" (replication.token_interval + max_lag){lag}",
    ]


def _after(each: dict[str, Any]) -> str:
    seconds = each["detected_after"]
    return each["formula"] if seconds is None else f"{span(seconds)} ({each['formula']})"
