#!/usr/bin/python3
"""Switch over again and again under load, and look for every acknowledged write after each move.

Two loads, each with its own series: 200 rows a second, and as many as the servers take.  A series goes on with a new
pair every few moves, and between two moves at full speed the controller rests: the bigger a database, the longer the
dumps for which everybody waits who comes back, and this is to measure the move.  A move counts only with its proof: the
barrier token of the old term that the giving side committed when it had drained, and the new side's term, higher by
one.  The floor is the hand-written move of the bench under the same load, which waits for no barrier.

Exit status: 0 every move was made and proven, and nothing was lost; 1 otherwise; 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NoReturn

import bench_runs
import history
from bench import PROGRAMS, count, machine
from bench_moves import CASES
from growing import Growing
from lab import Lab
from story import in_sync, named
from switch import Switch
from topology import PEER

LIMIT = 60.0
ROWS = 1000
"""Rows of the database before the controller writes; the bench's."""
FLOOR_RUNS = 5
CONFIGURATION: Mapping[str, Any] = {**bench_runs.DEFAULT_CLAG, "restore": {"mode": "manual"}}


@dataclass(frozen=True)
class Load:
    """How fast the controller writes; the rows it writes before and after each move, and whether it then rests.

    A pair is moved `moves` times and then replaced by a new one.
    """

    name: str
    rate: float
    rows: int
    rests: bool
    moves: int


LOADS = (Load("200 rows/s", 200.0, 100, False, 10), Load("full speed", 20_000.0, 1000, True, 3))


@dataclass(frozen=True)
class Move:
    """One switchover: seconds without an acknowledgement, rows acknowledged around it a second, rows that are missing.

    `fault` says what was wrong with it, "" when it was made and proven.
    """

    outage: float
    speed: float
    acked: int
    lost: int
    fault: str


class Mover:
    """A pair under load, whose service is moved to and fro."""

    def __init__(self, lab: Lab, load: Load) -> None:
        self._lab = lab
        self._load = load
        self._record = Growing(lab.controller_events_file)
        lab.start_controller(rate=load.rate)
        lab.start(vtepds=True)
        self._serving = lab.sw1
        lab.wait_until(lambda: in_sync(lab) and self._acked_by(lab.sw1, 0.0) > 0, LIMIT, "the pair serves")

    def move(self) -> Move:
        """Move the service to the other side under load, and look for every row that was ever acknowledged."""
        lab, load, giving = self._lab, self._load, self._serving
        taking = named(lab, PEER[giving.node])
        lab.wait_until(lambda: in_sync(lab), LIMIT, "the pair is in sync")
        lab.tell_controller("resume")
        begun, before = time.monotonic(), len(self._acks())
        lab.wait_until(lambda: self._acked_by(giving, begun) >= load.rows, LIMIT, "the load is there")
        term = int(giving.global_config()["ovsha:term"])
        ordered = time.monotonic()
        done = giving.ovsha("switchover", "--yes", "--to", taking.node, "--json")
        if done.returncode != 0:
            return Move(0.0, 0.0, len(self._acks()) - before, 0, done.stderr.strip())
        lab.wait_until(lambda: self._acked_by(taking, ordered) >= load.rows, LIMIT, "writing goes on")
        self._serving = taking
        if load.rests:
            lab.tell_controller("pause")
        acks = tuple(self._acks())
        lost = history.missing(acks, taking.rows())
        around = [ack for ack in acks if ack.t >= begun]
        outage = history.controller_outage(self._record.events()[-4 * len(around) - 100 :], ordered).silence
        assert outage is not None, "writing went on"
        speed = len(around) / (around[-1].t - begun - outage)
        fault = unproven(json.loads(done.stdout), term, taking)
        return Move(outage, speed, len(acks) - before, len(lost), fault)

    def _acks(self) -> list[history.Ack]:
        return self._record.acks()

    def _acked_by(self, switch: Switch, since: float) -> int:
        return sum(ack.t >= since and ack.switch == switch.management_address for ack in self._acks()[-5000:])


def unproven(answer: dict[str, Any], term: int, taking: Switch) -> str:
    """Return what the answer to a switchover lacks for a proof, "" when it has it; `term` was the old side's."""
    barrier = answer["barrier"] or ""
    if not answer["moved"] or answer["to"] != taking.node:
        return f"not moved: {answer}"
    if barrier.partition(".")[0] != str(term):
        return f"the barrier {barrier!r} is not of term {term}"
    if answer["term"] != term + 1 or int(taking.global_config()["ovsha:term"]) != term + 1:
        return f"term {answer['term']} follows {term}"
    return ""


def series(load: Load, moves: int) -> Iterator[Move]:
    """Do so many moves under a load."""
    while moves > 0:
        with Lab(rows=ROWS, tls=True, overrides=CONFIGURATION) as lab:
            mover = Mover(lab, load)
            for _ in range(min(moves, load.moves)):
                moves -= 1
                yield mover.move()


def floor(load: Load, runs: int) -> list[bench_runs.Run]:
    """Do so many moves by hand under a load."""
    (case,) = (case for case in CASES if case.name == "switchover")
    done = [bench_runs.do(case, ROWS, "floor", load.rate) for _ in range(runs)]
    for run in done:
        if run.failure:
            print(f"floor: FAILED: {run.failure.splitlines()[0]}", file=sys.stderr)
    return [run for run in done if not run.failure]


def report(load: Load, moves: Sequence[Move], by_hand: Sequence[bench_runs.Run]) -> str:
    """Return the lines of a series."""
    made = [move for move in moves if not move.fault]
    lines = [
        f"{load.name}: {len(moves)} switchovers, {len(made)} made and proven by barrier and term, "
        f"{sum(move.lost for move in moves)} of {sum(move.acked for move in moves):,} acknowledged writes lost"
    ]
    if made:
        speed = median(move.speed for move in made)
        lines.append(f"  written around a move: {speed:,.0f} rows/s (median)")
        lines.append(f"  outage: {spread([move.outage for move in made])}")
    outages = [run.outage for run in by_hand if run.outage is not None]
    if outages:
        lost = sum(run.missing or 0 for run in by_hand)
        lines.append(f"  floor: {spread(outages)}; {lost} acknowledged writes lost in {len(outages)} moves")
    lines += [f"  NOT PROVEN: {move.fault}" for move in moves if move.fault]
    return "\n".join(lines)


def spread(seconds: Sequence[float]) -> str:
    """Return median, least and most of some times, in milliseconds."""
    middle, least, most = (1000 * value for value in (median(seconds), min(seconds), max(seconds)))
    return f"median {middle:.1f} ms ({least:.1f}-{most:.1f})"


def main() -> int:
    """Do both series, print them, and return the exit status."""
    args = arguments()
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        why = f"not found: {', '.join(lacking)}; see make deps" if lacking else "it must be run as root"
        print(f"switchovers: {why}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    print(machine(), flush=True)
    good = True
    for load in args.load or LOADS:
        moves = []
        for move in series(load, args.count):
            moves.append(move)
            word = move.fault or f"outage {1000 * move.outage:.1f} ms, {move.speed:,.0f} rows/s, {move.lost} lost"
            print(f"{load.name} {len(moves)}/{args.count}: {word}", file=sys.stderr, flush=True)
        print(report(load, moves, floor(load, args.floor)), flush=True)
        good = good and all(not move.fault and not move.lost for move in moves)
    return 0 if good else 1


def named_load(name: str) -> Load:
    """Return the load of that name; raises ValueError."""
    for load in LOADS:
        if load.name == name:
            return load
    raise ValueError(name)


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the lab is taken down


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Switch over again and again under load, and look for every write.")
    parser.add_argument("--count", type=count, default=100, help="under each load (default: %(default)s)")
    parser.add_argument("--load", type=named_load, action="append", help="only this one; may be repeated")
    parser.add_argument("--floor", type=int, default=FLOOR_RUNS, help="moves by hand (default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("switchovers: interrupted", file=sys.stderr)
        sys.exit(2)
