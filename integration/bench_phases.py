"""Read from the agents' logs and the controller's events when each step of a move came: where the time goes.

The agents log wall clock time, cut off after the millisecond; it is brought to time.monotonic() by the difference of
the two clocks, which are those of one machine.  A line says that a step *begins*; it is over when the next one does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from history import Event

# What the log of the side that takes over says, in the order in which it says it.
TAKING = (
    ("silent", " the peer is silent"),
    ("dead", " the peer is dead"),
    ("decide", " serve, because "),
    ("promote", " step: make ovsdb-server active"),
    ("stamp", " step: stamp the term"),
    ("managers", " step: open the remote of the managers"),
    ("VIP", " step: add the VIP"),
    ("listener", " step: open the listener"),
    ("serving", " -> active, because "),
)
# And that of the side that hands over.
GIVING = (
    ("drain", " drain, because "),
    ("close managers", " step: close the remote of the managers"),
    ("close listener", " step: close the listener"),
    ("drop VIP", " step: drop the VIP"),
    ("barrier", " step: commit the barrier token"),
)
CONTROLLER = ("accepted", "connected", "dumped")


@dataclass(frozen=True)
class Line:
    """One line of an agent's log; `t` is time.monotonic()."""

    t: float
    text: str


def agent_lines(log: Path, since: float) -> list[Line]:
    """Return what the agent logged from `since` on, by the monotonic clock, in order."""
    if not log.exists():
        return []
    behind = time.time() - time.monotonic()
    lines = []
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines():
        stamp, _, rest = text.partition(" ")
        try:
            t = datetime.fromisoformat(stamp).timestamp() - behind
        except ValueError:
            continue  # what python or a child printed
        if t >= since - 0.001:  # the log leaves out what is less than a millisecond
            lines.append(Line(t, " " + rest))
    return lines


def of_the_agents(taking: Sequence[Line], giving: Sequence[Line]) -> dict[str, float]:
    """Return when each step first began; a step that was not logged is left out.

    `detect` is the first thing that the side which takes over had to say at all.
    """
    moments = {"detect": taking[0].t} if taking else {}
    for lines, phases in ((taking, TAKING), (giving, GIVING)):
        for name, words in phases:
            first = next((line.t for line in lines if words in line.text), None)
            if first is not None:
                moments[name] = first
    return moments


def of_the_controller(events: Sequence[Event], session: int) -> dict[str, float]:
    """Return when the controller's session came to be: TCP, TLS, dump, first acknowledgement."""
    moments: dict[str, float] = {}
    for event in events:
        if event.fields.get("session") == session and event.kind in (*CONTROLLER, "acked"):
            moments.setdefault("first ack" if event.kind == "acked" else event.kind, event.t)
    return moments


def after(zero: float, *moments: Mapping[str, float]) -> dict[str, float]:
    """Return all moments in seconds after `zero`, earliest first."""
    merged = {name: t - zero for each in moments for name, t in each.items()}
    return dict(sorted(merged.items(), key=lambda item: item[1]))
