"""Let a switch die in stages: first what runs on it, then, while its kernel still answers, its links.

    python3 integration/stages.py [--runs N] [--write]      as root; prints the table of docs/failures.rst, or writes it

Each cell is a pair of the lab of its own, with default timers and 1,000 rows, and a controller that writes 50 rows a
second.  What is measured is the time from the moment at which the links went until the other side had opened all that
it serves by; `-` stands for one that had not within LIMIT seconds, `before` for one that had when they went.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import bench_phases
import story
from lab import Lab
from standins.clag_rules import Timers
from switch import Switch

First = Literal["its agent", "all its programs, stopped", "all its programs, killed"]
Then = Literal["its links go down", "its packets vanish"]
Clagd = Literal["real timers", "says *alive*", "down"]

FIRST: tuple[First, ...] = get_args(First)
TOLD = FIRST[:2]
"""What the table tells of: programs that are killed end their sessions, and are replaced long before the links go."""
THEN: tuple[Then, ...] = get_args(Then)
CLAGD: tuple[Clagd, ...] = get_args(Clagd)
DELAYS = (0.0, 0.2, 0.5, 0.9, 1.5, 5.0)
LIMIT = 30.0
PROVEN = 60
"""Echoes that the peer's kernel must have answered since the agent's start, before its silence counts."""

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "failures.rst"
BEGIN, END = ".. deaths in stages, by integration/stages.py\n", ".. end of the deaths in stages\n"

WISHES: Mapping[str, Any] = {
    "rows": 1000,
    "clag_timers": Timers(),
    "overrides": {"clag": {"interval": 5.0}, "restore": {"mode": "manual"}},
}


def begin(lab: Lab, clagd: Clagd) -> None:
    """Start the pair, wait until each kernel is known to answer, and have the clagd of sw2 be as wished."""
    lab.start_controller()
    lab.start(vtepds=True)
    story.await_pair(lab, lab.sw1)
    lab.wait_until(lambda: story.in_sync(lab), story.LIMIT, "the pair is in sync")
    lab.wait_until(lambda: lab.sw2.clag()["backupActive"], story.LIMIT, "clagd is settled")
    # While an agent is silent its peer's kernel is asked ten times as often: nobody need wait for half a minute.
    lab.sw1.agent.freeze()
    await_proof(lab, lab.sw2)
    lab.sw1.agent.thaw()
    lab.wait_until(lambda: story.in_sync(lab), story.LIMIT, "the pair is in sync again")
    silence_clagd(lab.sw2, clagd)


def await_proof(lab: Lab, switch: Switch) -> None:
    """Wait until the peer's kernel has answered so often that its silence means something."""
    lab.wait_until(lambda: answered(switch) >= PROVEN, 60.0, f"{switch.node} knows that its peer's kernel answers")


def silence_clagd(switch: Switch, clagd: Clagd) -> None:
    """Have the clagd of that switch be as wished, from now on."""
    if clagd == "down":
        switch.clagd.kill()
    elif clagd == "says *alive*":
        switch.clagctl("lab-mode", "static")


def answered(switch: Switch) -> int:
    """Return how many echoes the peer's kernel has answered to this switch; what knows no echo needs none."""
    echo = story.status(switch).get("kernel")
    return PROVEN if echo is None else int(echo["answered"])


def die(switch: Switch, first: First, delay: float, then: Then = "its links go down") -> float:
    """Let the switch die in these stages, and return when its links went, by the monotonic clock."""
    services = (switch.agent,) if first == "its agent" else switch.services
    for service in services:
        if first == "all its programs, stopped":
            service.freeze()
        else:
            service.kill()
    time.sleep(delay)
    went = time.monotonic()
    if then == "its links go down":
        switch.power_off("cut")
    else:
        switch.fall_silent()
    return went


def takeover(first: First, delay: float, then: Then, clagd: Clagd) -> float | None:
    """Return the seconds from the moment the links went until sw2 served, by its agent's log.

    None: not within LIMIT seconds.  Less than nothing: before the links went.
    """
    with Lab(**WISHES) as lab:
        begin(lab, clagd)
        began = time.monotonic()
        went = die(lab.sw1, first, delay, then)
        try:
            lab.wait_until(lambda: served_at(lab.sw2, began) is not None, LIMIT, "sw2 serves")
        except AssertionError:
            return None
        served = served_at(lab.sw2, began)
        assert served is not None
        assert story.open_here(lab.sw2) == story.SERVICE
        return served - went


def served_at(switch: Switch, since: float) -> float | None:
    """Return when its agent had opened everything, None when it has not done so since."""
    return bench_phases.of_the_agents(bench_phases.agent_lines(switch.agent.log, since), ()).get("serving")


def rows(runs: int) -> Iterator[tuple[str, ...]]:
    """Measure, and yield a row of the table for each way and each clagd: the worst of the runs for each delay."""
    for first, clagd in product(TOLD, CLAGD):
        cells = []
        for delay in DELAYS:
            took = [takeover(first, delay, "its links go down", clagd) for _ in range(runs)]
            known = [each for each in took if each is not None]
            cells.append(("before" if max(known) < 0 else f"{max(known):.2f} s") if len(known) == runs else "-")
            print(f"{first}, {delay:g} s, clagd {clagd}: {took} load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        yield first, clagd, *cells


HEAD = """.. list-table::
   :header-rows: 1

   * - dies first
     - clagd
"""


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the table of docs/failures.rst."""
    head = HEAD + "".join(f"     - {delay:g} s\n" for delay in DELAYS)
    return head + "".join("   * - " + "\n     - ".join(row) + "\n" for row in rows)


def main() -> int:
    """Measure, and print the table or write it into the document."""
    parser = argparse.ArgumentParser(description="Measure how long a switch that dies in stages is not replaced.")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/failures.rst")
    options = parser.parse_args()
    made = table(rows(options.runs))
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")
    else:
        print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
