"""Turn what agents, controller and VTEP daemons record into the lines of the demo's timeline.

Nothing is told that was not recorded; what is left out repeats what another line says.  All times are seconds of
time.monotonic().
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import history
from topology import MANAGEMENT_ADDRESS

NODES = {address: node for node, address in MANAGEMENT_ADDRESS.items()}

TOGETHER = 0.1
"""Lines of one agent that follow each other sooner than this belong to one decision."""
SAME_TURN = 0.003
"""What an agent logs in one turn comes in less."""
LONGEST = 0.25
"""A decision that takes longer is told in parts."""

_LINE = re.compile(r"(?P<stamp>\S+) (?P<level>[A-Z]+) (?P<text>.*)")
_STATE = re.compile(r"(?P<before>\w+) -> (?P<after>\w+), because (?P<why>.*)")
_GOAL = re.compile(r"(?P<goal>serve|drain|follow|park|fence|keep), because (?P<why>.*)")
_STEP = "step: "
_PEER = "the peer is "
_UNDER_WAY = ("we have begun to take over", "we are the active side")


@dataclass(frozen=True)
class Told:
    """One entry of the timeline."""

    t: float
    who: str
    text: str


@dataclass(frozen=True)
class Line:
    """One line of an agent's log."""

    t: float
    level: str
    text: str


@dataclass(frozen=True)
class Heard:
    """From `t` on, the agent of `node` heard its peer, or did not."""

    t: float
    node: str
    alive: bool


def agent_lines(lines: Iterable[str]) -> list[Line]:
    """Return the lines of an agent's log.

    The log has wall clock time, cut off after the millisecond; both clocks are those of one machine, so that their
    difference brings it to the monotonic one.
    """
    behind = time.time() - time.monotonic()
    found = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue  # what a child has printed
        try:
            t = datetime.fromisoformat(match["stamp"]).timestamp() - behind + 0.0005
        except ValueError:
            continue
        found.append(Line(t, match["level"], match["text"]))
    return found


class Agent:
    """Tell what one agent decides: a decision, the steps it took, and what the side is afterwards."""

    def __init__(self, node: str) -> None:
        self.heard: list[Heard] = []
        self._node = node
        self._who = f"{node} agent"
        self._group: list[Line] = []
        self._state = "start"

    def feed(self, lines: Sequence[Line], now: float) -> list[Told]:
        """Return what there is to tell of the lines so far; a decision that goes on is told when it is over."""
        told = []
        for line in lines:
            if line.text.startswith(_PEER):
                self.heard.append(Heard(line.t, self._node, line.text == _PEER + "alive"))
            if self._begins(line):
                told += self._close()
            self._group.append(line)
        if self._group and (now - self._group[-1].t > TOGETHER or now - self._group[0].t > LONGEST):
            told += self._close()
        return told

    def _begins(self, line: Line) -> bool:
        """Say whether the line cannot belong to the decision before it."""
        pause = line.t - self._group[-1].t if self._group else TOGETHER
        if self._group and self._stands_alone(self._group[-1]):
            return True
        if line.text.startswith(_PEER):
            return pause >= SAME_TURN
        goal = _GOAL.match(line.text)
        if goal is not None and goal["why"] not in _UNDER_WAY:
            # What is known of the peer comes first, though the log has it last.
            return not all(each.text.startswith(_PEER) for each in self._group) or pause >= SAME_TURN
        return pause >= TOGETHER or self._stands_alone(line)

    def _stands_alone(self, line: Line) -> bool:
        """Say whether the line is no part of a decision: a warning, a word about the agent itself."""
        part = line.text.startswith((_STEP, _PEER)) or _GOAL.match(line.text) or _STATE.match(line.text)
        return not part

    def _close(self) -> list[Told]:
        group, self._group = self._group, []
        states = [(line, match) for line in group if (match := _STATE.match(line.text))]
        steps = [line.text.removeprefix(_STEP) for line in group if line.text.startswith(_STEP)]
        said = [self._said(line) for line in group]
        text = sorted((each for each in said if each), key=lambda each: not each.startswith(_PEER))
        told: list[Told] = []
        if states and states[-1][1]["after"] != self._state:
            line, match = states[-1]
            before, self._state = self._state, match["after"]
            change = f"{before} -> {self._state}"
            if text or match["why"] in _UNDER_WAY:
                told = [Told(line.t, self._who, change)]
            else:
                text = [f"{change}, because {match['why']}"]
        if steps:
            text.append("; ".join(steps))
        return [Told(group[0].t, self._who, "\n".join(text)), *told] if text else told

    def _said(self, line: Line) -> str:
        goal = _GOAL.match(line.text)
        if line.text.startswith(_STEP) or _STATE.match(line.text):
            return ""
        if goal is not None and (goal["goal"] == "keep" or goal["why"] in _UNDER_WAY):
            return ""
        return line.text if line.level == "INFO" else f"{line.level.lower()}: {line.text}"


class Controller:
    """Tell whose session the controller has, and which side writes its rows; `acks` are those that were not late."""

    def __init__(self) -> None:
        self.events: list[history.Event] = []
        self.acks: list[history.Ack] = []

    def feed(self, events: Sequence[history.Event]) -> list[Told]:
        """Return what there is to tell of these events."""
        told = []
        for event in events:
            text = self._ack(event) if event.kind == "acked" else _controller_says(event)
            if text:
                told.append(Told(event.t, "controller", text))
        self.events += events
        return told

    def _ack(self, event: history.Event) -> str:
        last = self.acks[-1] if self.acks else None
        (ack,) = history.acks([event])
        node = NODES[ack.switch]
        if ack.late:
            return f"row {ack.row} is acknowledged by {node} late, in a session that had been replaced"
        self.acks.append(ack)
        if last is None:
            return f"the first row is acknowledged, by {node}"
        if last.switch == ack.switch:
            return ""
        gap = f"{ack.t - last.t:.3f} s after the last one by {NODES[last.switch]}"
        return f"rows are acknowledged by {node}, the first {gap}"


def _controller_says(event: history.Event) -> str:
    fields = event.fields
    node = NODES.get(fields.get("switch", ""), "")
    if event.kind == "accepted":
        return f"accepts a connection from {node}"
    if event.kind == "dumped":
        return f"has read the database of {node}: {fields['rows']:,} rows of Ucast_Macs_Remote"
    if event.kind == "closed":
        return f"the session with {node} is over ({fields['how']})"
    if event.kind == "overlap":
        return f"sw1 and sw2 were both in session for {fields['until'] - fields['from']:.3f} s"
    return ""


class Vtepd:
    """Tell when a VTEP daemon loses the service and when it has it again."""

    def __init__(self, node: str) -> None:
        self.events: list[history.Event] = []
        self._who = f"{node} vtepd"
        self._lost = True
        self._heard: float | None = None

    def feed(self, events: Sequence[history.Event]) -> list[Told]:
        """Return what there is to tell of these events; attempts that came to nothing are not told."""
        told = []
        for event in events:
            if event.kind == "lost" and not self._lost:
                self._lost, self._heard = True, event.fields["heard"]
                told.append(Told(event.t, self._who, f"has lost its session ({event.fields['how']})"))
            elif event.kind == "dumped":
                self._lost = False
                since = "" if self._heard is None else f", {event.t - self._heard:.3f} s after the last word"
                told.append(Told(event.t, self._who, f"has read {event.fields['rows']:,} rows over the VIP{since}"))
        self.events += events
        return told

    @property
    def attached_since(self) -> float | None:
        """When the session it has now was complete, None without one."""
        if self._lost:
            return None
        return next((event.t for event in reversed(self.events) if event.kind == "dumped"), None)
