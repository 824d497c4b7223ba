"""Do one run of the bench in a lab of its own, and say what the controller and the VTEP daemons saw of it.

A run is done either by ovsha or, for comparison, by the floor: the pair set up by hand, and the script of floor.py that
knows the moment of the fault.  Both have the same lab, TLS to the controller, 200 writes a second, and a VTEP daemon on
each switch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import bench_hand
import bench_phases
import history
import rpc
from bench_moves import MOVE_LIMIT, SILENT, Case, Fault, acked_since
from lab import Lab
from switch import Switch

By = Literal["floor", "ovsha"]

RATE = 200.0
RUN_LIMIT = 90.0
SETTLE_LIMIT = 40.0
VTEP_LIMIT = 10.0
KEEP_STILL = 0.8
"""Seconds after the fault in which the bench does nothing, because it would do it on the same cores."""

# ovsha's own interval; the lab's shorter one would start the stand-in, which is a Python program, twice a second.
DEFAULT_CLAG: Mapping[str, Any] = {"clag": {"interval": 5.0}}


class Hung(Exception):
    """A run took longer than a run may take."""


FAILURES = (AssertionError, OSError, RuntimeError, subprocess.SubprocessError, rpc.Refused, Hung)
"""What makes a run a failed one, and is not a mistake of the bench's own."""


@dataclass(frozen=True)
class Vtep:
    """What a VTEP daemon saw: how it was cut off, and in how many seconds after the new side served it was back.

    `how` is None when it noticed nothing; `back` when it was not back, or nothing said when the side served.
    """

    node: str
    how: str | None
    back: float | None


@dataclass(frozen=True)
class Run:
    """One run; times are in seconds.

    `accepted` counts from the fault, and in a planned move from the last acknowledgement on the old side; so do the
    `phases`.  `outage` is from the last acknowledgement on the old side to the first on the new one.  `missing` counts
    acknowledged rows that the new active side does not have, but not those that died before with another, `both` the
    seconds in which the controller had live sessions with both.  `failure` is "" when the run went well; else the other
    fields say nothing.
    """

    case: str
    rows: int
    by: By
    failure: str = ""
    accepted: float | None = None
    outage: float | None = None
    missing: int | None = None
    both: float | None = None
    vteps: tuple[Vtep, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    connections: int | None = None
    load: float = 0.0


def do(case: Case, rows: int, by: By, rate: float = RATE) -> Run:
    """Do one run, with `rate` writes a second; one that fails, or hangs, is returned as such."""
    try:
        with Lab(rows=rows, tls=True, overrides={**DEFAULT_CLAG, **case.overrides}) as lab, limit(RUN_LIMIT, lab):
            settle(lab, by, rate)
            act = case.ovsha if by == "ovsha" else case.floor
            assert act is not None, "asked only where there is one"
            return observe(lab, case, rows, by, act(lab))
    except FAILURES as error:
        return Run(case.name, rows, by, failure=f"{type(error).__name__}: {error}", load=os.getloadavg()[0])


@contextmanager
def limit(seconds: float, lab: Lab) -> Iterator[None]:
    """Raise Hung in the block when it takes longer, with where it was and the ends of the agents' logs."""

    def over(number: int, frame: FrameType | None) -> None:
        calls = " > ".join(each.name for each in traceback.extract_stack(frame))
        logs = "".join(f"\n--- {switch.node}\n{switch.agent.tail()}" for switch in lab.switches)
        raise Hung(f"the run has not ended within {seconds:g} s; it was in {calls}{logs}")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def settle(lab: Lab, by: By, rate: float = RATE) -> None:
    """Start everything and wait until sw1 serves, sw2 is in sync, and writing goes on for a second."""
    lab.start_controller(rate=rate)
    lab.start(agents=by == "ovsha", vtepds=True)
    if by == "floor":
        bench_hand.set_up(lab)
    lab.wait_until(lambda: lab.sw2.replicates_from(), SETTLE_LIMIT, "sw2 replicates")
    lab.wait_until(lambda: served(lab), SETTLE_LIMIT, "the controller and both VTEP daemons have their dumps")
    if by == "ovsha":
        lab.wait_until(lambda: in_sync(lab.sw1) and in_sync(lab.sw2), SETTLE_LIMIT, "both agents say in sync")
    begun = time.monotonic()
    lab.wait_until(lambda: acked_since(lab, begun) >= RATE / 2, SETTLE_LIMIT, "writing goes on")


def served(lab: Lab) -> bool:
    """Tell whether the controller and both VTEP daemons are in session, their dumps complete."""
    everyone = (lab.controller_events(), *(switch.vtepd_events() for switch in lab.switches))
    return all(any(event["event"] == "dumped" for event in events) for events in everyone)


def in_sync(switch: Switch) -> bool:
    """Ask the agent, over its control socket, whether the pair is in sync."""
    path = switch.run_directory / f"ovsha.{switch.agent.pid}.ctl"
    return bool(json.loads(rpc.appctl(path, "sync-status", "json", limit=2.0))["in_sync"])


def observe(lab: Lab, case: Case, rows: int, by: By, fault: Fault) -> Run:
    """Wait until the controller writes to the new side and the VTEP daemons are back; return what they saw."""
    time.sleep(KEEP_STILL)
    lab.wait_until(lambda: _moved(lab, fault), MOVE_LIMIT, f"the controller writes to {fault.taking.node}")
    serving = _served_at(by, fault)
    dead = fault.giving if case.ovsha in SILENT else None  # its VTEP daemon too
    watched = [switch for switch in lab.switches if switch is not dead]
    if by == "ovsha":
        with suppress(AssertionError):  # which of them is not back is part of what was measured
            lab.wait_until(lambda: all(_back(each, fault) for each in watched), VTEP_LIMIT, "VTEP daemons are back")
    events = history.read(lab.controller_events_file)
    outage = history.controller_outage(events, fault.t)
    assert outage.last_ack is not None, "nothing was acknowledged before the fault"
    assert outage.first_ack is not None, "nothing was acknowledged after the fault"
    assert outage.accepted is not None, "no connection was accepted after the fault"
    zero = outage.last_ack.t if case.planned else fault.t
    acknowledged = [ack for ack in history.acks(events) if ack.mac not in fault.gone]
    agents = bench_phases.of_the_agents(*(_lines(each, by, fault) for each in (fault.taking, fault.giving)))
    if case.planned:
        agents.pop("detect", None)
    return Run(
        case.name,
        rows,
        by,
        accepted=outage.accepted - zero,
        outage=outage.silence,
        missing=len(history.missing(acknowledged, fault.taking.rows())),
        both=history.seconds_with_two(events, fault.t),
        vteps=tuple(_vtep(each, fault, serving) for each in watched),
        phases=bench_phases.after(
            zero,
            fault.steps,
            agents,
            bench_phases.of_the_controller(events, outage.first_ack.session),
        ),
        connections=sum(event.kind == "accepted" and event.t > fault.t for event in events),
        load=os.getloadavg()[0],
    )


def _moved(lab: Lab, fault: Fault) -> bool:
    outage = history.controller_outage(history.read(lab.controller_events_file), fault.t)
    return outage.first_ack is not None and outage.first_ack.switch == fault.taking.management_address


def _lines(switch: Switch, by: By, fault: Fault) -> Sequence[bench_phases.Line]:
    return bench_phases.agent_lines(switch.agent.log, fault.t) if by == "ovsha" else ()


def _served_at(by: By, fault: Fault) -> float | None:
    """Return when the new side had opened all that it serves by."""
    if by == "floor":
        return fault.steps.get("listener")
    return bench_phases.of_the_agents(_lines(fault.taking, by, fault), ()).get("serving")


def _outage(switch: Switch, fault: Fault) -> history.VtepOutage | None:
    return history.vtep_outage(history.read(switch.vtepd_events_file), fault.t)


def _back(switch: Switch, fault: Fault) -> bool:
    outage = _outage(switch, fault)
    return outage is not None and outage.dumped is not None


def _vtep(switch: Switch, fault: Fault, serving: float | None) -> Vtep:
    outage = _outage(switch, fault)
    if outage is None:
        return Vtep(switch.node, None, None)
    back = None if outage.dumped is None or serving is None else outage.dumped - serving
    return Vtep(switch.node, outage.how, back)
