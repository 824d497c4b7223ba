#!/usr/bin/python3
"""Soak a pair on real servers: faults drawn from a seed, round by round, under a writer and two readers.

After each round, when all faults have ended, the pair must come to order by itself, and these laws must hold:

* every acknowledged write is in the database that serves, or in a ledger; after a planned round it is in the database;
* what a reader at the VIP has read is there at its next read, or in a ledger; in a planned round it is there;
* two sides that hear each other are never both in session with the controller;
* no program but those that were killed has ended, and no agent has logged a traceback.

The same seed gives the same schedule; times are real.  Exit status: 0 all laws held; 1 one did not, and the schedule
is printed; 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NoReturn

from bench import PROGRAMS, count, machine
from soak_faults import Round, rounds
from soak_pair import RATE, Outcome, Pair

PAIR_LIFE = 600.0
"""Seconds after which a soak goes on with a new pair: its database has grown to more rows than it is meant for."""


def main() -> int:
    """Soak as asked, print what happened, and return the exit status."""
    args = arguments()
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        why = f"not found: {', '.join(lacking)}; see make deps" if lacking else "it must be run as root"
        print(f"soak: {why}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    schedule = islice(rounds(args.seed, args.first), args.rounds)
    if args.dry_run:
        for drawn in schedule if args.rounds else islice(schedule, 20):
            print(f"{drawn.number:>4} {'planned' if drawn.planned else '':8} {drawn}")
        return 0
    print(f"{machine()}; seed {args.seed}, {args.rate:g} rows a second", flush=True)
    outcomes: list[Outcome] = []
    begun = time.monotonic()
    for outcome in soak(schedule, begun + 60 * args.minutes, args.rate):
        outcomes.append(outcome)
        print(line(outcome), flush=True)
    print(summary(outcomes, args.seed, time.monotonic() - begun))
    if outcomes[-1].broken:
        print(f"\nBROKEN in round {outcomes[-1].round.number} of seed {args.seed}: {outcomes[-1].round}")
        print("\n".join(f"* {each}" for each in outcomes[-1].broken))
        print(f"Again: integration/soak.py --seed {args.seed} --first {outcomes[-1].round.number} --rounds 1")
    return int(any(outcome.broken for outcome in outcomes))


def soak(schedule: Iterator[Round], until: float, rate: float) -> Iterator[Outcome]:
    """Do the rounds until the time is over or a law is broken; the lab in which one was broken keeps its files."""
    while time.monotonic() < until:
        with Pair(rate) as pair:
            renewed = min(until, time.monotonic() + PAIR_LIFE)
            while time.monotonic() < renewed:
                drawn = next(schedule, None)
                if drawn is None:
                    return
                outcome = pair.do(drawn)
                if outcome.broken:
                    os.environ["OVSHA_KEEP_LAB"] = "1"
                yield outcome
                if outcome.broken:
                    return


def line(outcome: Outcome) -> str:
    """Return the line of a round."""
    kind = "planned" if outcome.round.planned else ""
    acked = f"{outcome.acked:>5} acked" + (f", {outcome.kept} only in a ledger" if outcome.kept else "")
    return (
        f"{outcome.clock} {outcome.round.number:>4} {kind:8} order after {outcome.order:4.1f} s, "
        f"{outcome.serves} serves, {outcome.moves} moves, outage {outcome.outage:6.3f} s, {acked}"
        f" | {outcome.round}{' | BROKEN' if outcome.broken else ''}"
    )


def summary(outcomes: Sequence[Outcome], seed: int, seconds: float) -> str:
    """Return what the whole soak came to."""
    faults = Counter(blow.kind.name for outcome in outcomes for blow in outcome.round.blows)
    worst = max(outcomes, key=lambda outcome: outcome.outage)
    unsettled = sum(bool(outcome.broken) for outcome in outcomes)
    kinds = "\n".join(f"  {number:>4}  {name}" for name, number in faults.most_common())
    return (
        f"\nseed {seed}, {seconds / 60:.1f} minutes, {len(outcomes)} rounds "
        f"({sum(outcome.round.planned for outcome in outcomes)} planned), {faults.total()} faults:\n{kinds}\n"
        f"moves {sum(outcome.moves for outcome in outcomes)}, "
        f"worst outage {worst.outage:.3f} s (round {worst.round.number}), "
        f"slowest order {max(outcome.order for outcome in outcomes):.1f} s, "
        f"acknowledged writes {sum(outcome.acked for outcome in outcomes):,}, "
        f"lost {sum(outcome.lost for outcome in outcomes)}, "
        f"only in ledgers {sum(outcome.kept for outcome in outcomes)}, rounds that broke a law {unsettled}"
    )


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that the lab is taken down


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Soak a pair: random faults under load, and a check of every write.")
    parser.add_argument("--minutes", type=float, default=2.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="default: a new one")
    parser.add_argument("--first", type=count, default=1, metavar="N", help="begin with round N")
    parser.add_argument("--rounds", type=count, metavar="N", help="so many rounds at most")
    parser.add_argument("--rate", type=float, default=RATE, help="rows a second (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the schedule only")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        sys.exit(2)
