"""Measure what the agents cost while nothing happens: processor time, memory, and how long `ovsha sync-status` takes.

Processor time is the run time of all threads of the agent, by /proc/PID/task/*/schedstat, in nanoseconds.  What its
children used, which are runs of clagctl, is taken from /proc/PID/stat when they are over; the lab's clagctl is a Python
program and not what a switch has, so it is named on its own.  Memory is VmRSS of /proc/PID/status.  See proc(5).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import bench_runs
from bench_moves import acked_since
from lab import Lab
from switch import Switch

WINDOWS = 6
ASKED = 10
_CUTIME = 13
"""Index among the fields of /proc/PID/stat after the name: the children's time in user mode, then in the kernel."""


@dataclass(frozen=True)
class Cost:
    """What one agent used: percent of a core in each window, its children's in all of them, and resident megabytes."""

    node: str
    role: str
    processor: tuple[float, ...]
    children: float
    memory: tuple[float, ...]


@dataclass(frozen=True)
class Steady:
    """What both agents used, and the seconds that each `ovsha sync-status` took; `failure` is "" when it went well."""

    rows: int
    failure: str = ""
    costs: tuple[Cost, ...] = ()
    asked: tuple[float, ...] = ()
    acked: float = 0.0


@dataclass(frozen=True)
class _Sample:
    t: float
    run: float
    children: float
    memory: float


def do(rows: int, seconds: float) -> Steady:
    """Watch a settled pair for so many seconds, then ask it."""
    try:
        with (
            Lab(rows=rows, tls=True, overrides=bench_runs.DEFAULT_CLAG) as lab,
            bench_runs.limit(bench_runs.RUN_LIMIT + seconds, lab),
        ):
            bench_runs.settle(lab, "ovsha")
            return _watch(lab, rows, seconds)
    except bench_runs.FAILURES as error:
        return Steady(rows, failure=f"{type(error).__name__}: {error}")


def _watch(lab: Lab, rows: int, seconds: float) -> Steady:
    began = time.monotonic()
    samples: dict[str, list[_Sample]] = {switch.node: [_sample(switch)] for switch in lab.switches}
    for window in range(1, WINDOWS + 1):
        time.sleep(max(0.0, began + seconds * window / WINDOWS - time.monotonic()))
        for switch in lab.switches:
            samples[switch.node].append(_sample(switch))
    acked = acked_since(lab, began) / (time.monotonic() - began)
    costs = tuple(_cost(switch, samples[switch.node]) for switch in lab.switches)
    asked = tuple(_ask(lab.switches[number % 2]) for number in range(ASKED))
    return Steady(rows, costs=costs, asked=asked, acked=acked)


def _sample(switch: Switch) -> _Sample:
    pid = switch.agent.pid
    assert pid is not None, f"the agent of {switch.node} has ended:\n{switch.agent.tail()}"
    directory = Path(f"/proc/{pid}")
    run = sum(int(each.read_text().split()[0]) for each in directory.glob("task/*/schedstat")) / 1e9
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    children = sum(map(int, fields[_CUTIME : _CUTIME + 2])) / os.sysconf("SC_CLK_TCK")
    status = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines())
    return _Sample(time.monotonic(), run, children, int(status["VmRSS"].split()[0]) * 1024 / 1e6)


def _cost(switch: Switch, samples: list[_Sample]) -> Cost:
    first, last = samples[0], samples[-1]
    return Cost(
        switch.node,
        switch.role() or "unknown",
        processor=tuple(100 * (b.run - a.run) / (b.t - a.t) for a, b in pairwise(samples)),
        children=100 * (last.children - first.children) / (last.t - first.t),
        memory=tuple(sample.memory for sample in samples),
    )


def _ask(switch: Switch) -> float:
    began = time.monotonic()
    done = switch.ovsha("sync-status")
    took = time.monotonic() - began
    assert done.returncode == 0, f"ovsha sync-status on {switch.node}: {(done.stdout + done.stderr).strip()}"
    return took
