"""The moves that the bench measures: what is done with a settled pair, under ovsha and, for comparison, by hand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bench_hand
import history
from lab import Lab
from stages import PROVEN, answered, silence_clagd
from switch import Switch

MOVE_LIMIT = 20.0
FAST: Mapping[str, Any] = {"heartbeat": {"interval": 0.05, "dead_interval": 0.2}}
"""The fast profile of the documentation."""


@dataclass(frozen=True)
class Fault:
    """When it began, from which switch the service moves to which, and when the floor's steps were over.

    `gone`: the rows that the giving side never had, because another one died with them; this move does not lose them.
    """

    t: float
    giving: Switch
    taking: Switch
    steps: Mapping[str, float] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """A kind of move: what is done with a settled pair, by ovsha and, where it has a floor of its own, by hand."""

    name: str
    title: str
    planned: bool
    ovsha: Callable[[Lab], Fault]
    floor: Callable[[Lab], Fault] | None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def acked_since(lab: Lab, t: float) -> int:
    """Return how many rows were acknowledged since `t`."""
    return sum(ack.t >= t for ack in history.acks(history.read(lab.controller_events_file)))


def kill(lab: Lab) -> Fault:
    """End the active ovsdb-server with SIGKILL."""
    began = _kill_server(lab.sw1)
    return Fault(began, lab.sw1, lab.sw2)


def kill_floor(lab: Lab) -> Fault:
    """End it, and let the floor know in the same moment."""
    with bench_hand.floor_on(lab, lab.sw2) as floor:
        began = _kill_server(lab.sw1, floor.go)
        return Fault(began, lab.sw1, lab.sw2, floor.times())


def _kill_server(switch: Switch, tell: Callable[[], None] = lambda: None) -> float:
    pid, began = switch.server.pid, time.monotonic()
    assert pid is not None, "it served until now"
    os.kill(pid, signal.SIGKILL)
    tell()
    switch.server.kill()
    return began


def cut(lab: Lab) -> Fault:
    """Let the active switch fall silent."""
    began = time.monotonic()
    lab.sw1.power_off("cut")
    return Fault(began, lab.sw1, lab.sw2)


def stages(lab: Lab) -> Fault:
    """Let its agent die, and seconds later the switch, whose kernel had answered; clagd says that it lives."""
    lab.sw1.agent.kill()
    lab.wait_until(lambda: answered(lab.sw2) >= PROVEN, MOVE_LIMIT, "the kernel of sw1 is known to answer")
    silence_clagd(lab.sw2, "says *alive*")
    return cut(lab)


def cut_floor(lab: Lab) -> Fault:
    """Let it fall silent, and let the floor know as soon as it has."""
    with bench_hand.floor_on(lab, lab.sw2) as floor:
        began = time.monotonic()
        lab.sw1.power_off("cut")
        floor.go()
        return Fault(began, lab.sw1, lab.sw2, floor.times())


def switchover(lab: Lab) -> Fault:
    """Move the service to sw2 as an operator does."""
    began = time.monotonic()
    done = lab.sw1.ovsha("switchover", "--yes", "--to", lab.sw2.node)
    assert done.returncode == 0, f"ovsha switchover: {done.stderr.strip()}"
    return Fault(began, lab.sw1, lab.sw2)


def move_floor(lab: Lab) -> Fault:
    """Move it by hand."""
    with bench_hand.floor_on(lab, lab.sw2) as floor:
        control, began = bench_hand.control_of(lab.sw1), time.monotonic()
        bench_hand.move(lab.sw1, control, floor)
        return Fault(began, lab.sw1, lab.sw2, floor.times())


def restore(lab: Lab) -> Fault:
    """Let the original primary's server crash and return; the fault is its return."""
    crashed = _kill_server(lab.sw1)
    lab.wait_until(lambda: acked_since(lab, crashed + 0.5), MOVE_LIMIT, "sw2 serves after the crash")
    acknowledged = history.acks(history.read(lab.controller_events_file))  # before the rows: later ones are there
    gone = frozenset(ack.mac for ack in history.missing(acknowledged, lab.sw2.rows()))
    returned = time.monotonic()
    lab.sw1.server.start()
    return Fault(returned, lab.sw2, lab.sw1, gone=gone)


CASES = (
    Case("kill", "kill -9 of the active ovsdb-server", False, kill, kill_floor),
    Case("cut", "silent death of the active switch", False, cut, cut_floor),
    Case("cut-fast", "silent death of the active switch, fast profile", False, cut, None, FAST),
    Case("stages", "death of the active switch after its agent's", False, stages, None),
    Case("switchover", "planned switchover", True, switchover, move_floor),
    Case("restore", "restore of the original primary", True, restore, None),
)
SILENT = (cut, stages)
"""After these nothing of the old side is heard any more, its VTEP daemon neither."""

FLOOR_OF = {"cut-fast": "cut", "stages": "cut", "restore": "switchover"}
"""The case whose floor is held against one that has none of its own."""
