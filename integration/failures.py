"""Let each thing fail that may fail, and measure for how long nobody acknowledged a write.

    python3 integration/failures.py [--runs N] [NAME ...]       as root; prints the figures of docs/failures.rst

A pair of the lab with 1,000 rows, a controller that writes 200 rows a second over TCP, and default timers.
What is measured is the longest time between two acknowledgements from the fault on, until WATCHED seconds after it,
or longer while nobody serves; when nothing happens that is a few hundredths of a second.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import story
from lab import Lab
from topology import SW1, SW2

LIMIT = 60.0
WATCHED = 8.0
_OWN_TIMERS: Mapping[str, Any] = {"clag": {"interval": 5.0}, "restore": {"mode": "manual"}}


@dataclass(frozen=True)
class Failure:
    """Something that fails: what is done to a settled pair, and on which side the service is to be afterwards."""

    title: str
    do: Callable[[Lab], object]
    serves: str = SW1
    priorities: Mapping[str, int] = field(default_factory=dict)


def _both_servers(lab: Lab) -> None:
    for switch in lab.switches:
        switch.server.kill()
    for switch in lab.switches:
        switch.server.start(wait=False)


def _agent_then_switch(lab: Lab) -> None:
    lab.sw1.agent.kill()
    story.await_word(lab, lab.sw2, "the peer is silent")
    lab.sw1.power_off("cut")


def _freeze_all(lab: Lab) -> None:
    for service in lab.sw1.services:
        service.freeze()


def _agents(lab: Lab) -> None:
    for switch in lab.switches:
        switch.agent.kill()


SECONDARY = {SW1: 32768, SW2: 1000}
"""Priorities by which the service is on clagd's secondary."""

FAILURES: Mapping[str, Failure] = {
    "kill": Failure("active ovsdb-server crashes", lambda lab: lab.sw1.server.kill(), SW2),
    "freeze": Failure("active ovsdb-server hangs", lambda lab: lab.sw1.server.freeze(), SW2),
    "power": Failure("active switch falls silent", lambda lab: lab.sw1.power_off("cut"), SW2),
    "agent+switch": Failure("active switch falls silent, its agent died before", _agent_then_switch, SW2),
    "hang": Failure("active switch hangs with its links up", _freeze_all, SW2),
    "both servers": Failure("both ovsdb-servers crash, and are started again", _both_servers),
    "backup server": Failure("backup's ovsdb-server crashes", lambda lab: lab.sw2.server.kill()),
    "backup switch": Failure("backup switch falls silent", lambda lab: lab.sw2.power_off("cut")),
    "agents": Failure("both agents die", _agents),
    "clagd": Failure("clagd dies on the active side", lambda lab: lab.sw1.clagd.kill()),
    "peer link": Failure(
        "peer link is cut, service on clagd's primary", lambda lab: lab.network.link_down("peer link")
    ),
    "peer link, secondary": Failure(
        "peer link is cut, service on clagd's secondary", lambda lab: lab.network.link_down("peer link"), SW2, SECONDARY
    ),
    "backup path": Failure("backup path is cut", lambda lab: lab.network.link_down("backup path", SW2)),
}


def silence(failure: Failure) -> float:
    """Let it fail once, and return the longest time without an acknowledgement, in seconds."""
    with Lab(rows=1000, overrides=_OWN_TIMERS, clag_priorities=failure.priorities) as lab:
        lab.start_controller(rate=200)
        lab.start(vtepds=True)
        story.await_pair(lab, lab.sw1, LIMIT)
        lab.wait_until(lambda: story.in_sync(lab), LIMIT, "the pair is in sync")
        lab.wait_until(lambda: all(switch.clag()["backupActive"] for switch in lab.switches), LIMIT, "clagd is settled")
        story.await_rows(lab, 100)
        began = time.monotonic()
        failure.do(lab)
        address = story.named(lab, failure.serves).management_address

        def is_over() -> bool:
            written = [ack for ack in story.acks(lab) if ack.t > began]
            served = bool(written) and written[-1].switch == address and written[-1].t > time.monotonic() - 0.5
            return served and time.monotonic() > began + WATCHED

        lab.wait_until(is_over, LIMIT, f"{failure.serves} serves after: {failure.title}")
        times = [ack.t for ack in story.acks(lab) if ack.t > began - 1.0]
        return max(after - before for before, after in pairwise(times) if after > began)


def main() -> int:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description="Measure how long nobody serves when something fails.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(FAILURES)}")
    options = parser.parse_args()
    for name in options.names or FAILURES:
        took = [silence(FAILURES[name]) for _ in range(options.runs)]
        figures = f"{median(took):6.3f} s  worst {max(took):6.3f} s  load {os.getloadavg()[0]:.1f}"
        print(f"{FAILURES[name].title:50}  {figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
