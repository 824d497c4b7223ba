#!/usr/bin/python3
"""Measure how long ovsha takes for what it is there for, side by side with the fastest takeover there can be.

That *floor* is the script of floor.py: it knows the moment of the fault and does nothing but the takeover itself, in
the same lab with no agent running.  Runs of the floor and of ovsha alternate, each in a lab of its own, so that both
meet the same load of the machine.

Exit status: 0 it could measure, whether goals were met or not; 2 it could not, or was asked in a wrong way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import bench_runs
import bench_steady
import bench_table
from bench_moves import CASES, FLOOR_OF, Case
from bench_runs import By, Run
from bench_steady import Steady

STEADY = "steady"
NAMES = (*(case.name for case in CASES), STEADY)
PROGRAMS = ("ovsdb-server", "ovsdb-tool", "ip", "ss", "nft")


def main() -> int:
    """Measure what was asked for, print it, and return the exit status."""
    args = arguments()
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        why = f"not found: {', '.join(lacking)}; see make deps" if lacking else "it must be run as root"
        print(f"bench: {why}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    if args.json is not None:
        try:
            args.json.touch()  # rather now than after minutes
        except OSError as error:
            print(f"bench: {args.json}: {error.strerror}", file=sys.stderr)
            return 2
    # `python -m ovsha` looks in the directory it is started in first, and another tree may be there.
    os.chdir(Path(__file__).resolve().parent.parent)
    before = machine()
    print(before, flush=True)
    runs = [_told(run, number, args.runs) for number, case, rows, by in plan(args) for run in (do(case, rows, by),)]
    steady = [bench_steady.do(args.rows[0], args.seconds)] if STEADY in args.only else []
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    print(f"\n{before}; at the end {load}")
    print(f'{args.runs} runs each: median (least-most); a goal is for the median, one with "each" for every run\n')
    print(bench_table.table(bench_table.figures(runs, steady)))
    if runs:
        print(f"\n{bench_table.phases(runs)}")
    for text in failures(runs, steady):
        print(f"\n{text}")
    if args.json is not None:
        save(args.json, before, runs, steady)
    return 0 if all_measured(runs, steady) else 2


def plan(args: argparse.Namespace) -> Iterator[tuple[int, Case, int, By]]:
    """Give number, case, rows and by whom, of each run in turn.

    All row counts are for the kill; everything else is done with the first.  Cases that share a floor are done in turns
    with it, even when the case that it is named after was not asked for.
    """
    for floor in (case for case in CASES if case.floor is not None):
        family = [case for case in CASES if case.name in args.only and FLOOR_OF.get(case.name, case.name) == floor.name]
        for rows in args.rows if floor.name == "kill" else args.rows[:1]:
            for number in range(1, args.runs + 1) if family else ():
                yield number, floor, rows, "floor"
                for case in family:
                    yield number, case, rows, "ovsha"


def do(case: Case, rows: int, by: By) -> Run:
    """Do one run."""
    return bench_runs.do(case, rows, by)


def _told(run: Run, number: int, runs: int) -> Run:
    """Say on standard error how a run went."""
    if run.failure:
        how = f"FAILED: {run.failure.splitlines()[0]}"
    else:
        assert run.accepted is not None
        assert run.outage is not None
        how = f"accepted {1000 * run.accepted:.1f} ms, outage {1000 * run.outage:.1f} ms, load {run.load:.2f}"
    print(f"{run.case}, {run.rows:,} rows, {run.by} {number}/{runs}: {how}", file=sys.stderr, flush=True)
    return run


def failures(runs: Sequence[Run], steady: Sequence[Steady]) -> Iterator[str]:
    """Give a paragraph on each run that failed."""
    for run in runs:
        if run.failure:
            yield f"FAILED: {run.case}, {run.rows:,} rows, {run.by}\n{run.failure}"
    for each in steady:
        if each.failure:
            yield f"FAILED: {STEADY}\n{each.failure}"


def all_measured(runs: Sequence[Run], steady: Sequence[Steady]) -> bool:
    """Tell whether each thing that was tried succeeded at least once."""
    tried = {(run.case, run.rows, run.by) for run in runs}
    done = {(run.case, run.rows, run.by) for run in runs if not run.failure}
    return tried == done and not any(each.failure for each in steady)


def machine() -> str:
    """Return what it was measured on, in one line."""
    shown = subprocess.run(["ovsdb-server", "--version"], capture_output=True, text=True, check=True).stdout
    server = shown.split("\n")[0].rpartition(" ")[2]
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    kernel, python = platform.release(), platform.python_version()
    return f"{cores} cores, Linux {kernel}, ovsdb-server {server}, Python {python}, load average {load}"


def save(path: Path, before: str, runs: Sequence[Run], steady: Sequence[Steady]) -> None:
    """Write the raw runs as JSON."""
    document: dict[str, Any] = {
        "machine": before,
        "runs": [asdict(run) for run in runs],
        "steady": [asdict(each) for each in steady],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the lab is taken down


def count(text: str) -> int:
    """Read a number of at least one; raises ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def counts(text: str) -> tuple[int, ...]:
    """Read such numbers with commas between them; raises ValueError."""
    return tuple(count(each) for each in text.split(","))


def absolute(text: str) -> Path:
    """Read a path, from the directory that the bench was started in."""
    return Path(text).absolute()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure ovsha side by side with the fastest takeover there can be.")
    parser.add_argument("--runs", type=count, default=5, help="of each kind (default: %(default)s)")
    parser.add_argument("--rows", type=counts, default=(1000, 10000), metavar="N,...", help="default: 1000,10000")
    parser.add_argument("--only", action="append", choices=NAMES, help="one thing; may be repeated")
    parser.add_argument("--seconds", type=count, default=30, help="in steady state (default: %(default)s)")
    parser.add_argument("--json", type=absolute, metavar="FILE", help="write the raw runs")
    args = parser.parse_args(argv)
    args.only = tuple(args.only or NAMES)
    return args


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        sys.exit(2)
