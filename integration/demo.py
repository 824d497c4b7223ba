#!/usr/bin/python3
"""Show a pair of switches fail over and restore itself, on real ovsdb-servers, in about half a minute.

The timeline says what agents, controller and VTEP daemons recorded, while it happens; the table at the end, what each
fault and each move cost.  Needs root and the programs that scripts/install-deps.sh installs; cleans up after itself.

Exit status: 0 all laws held; 1 one was broken (then the lab's directory, with all logs, is kept); 2 there can be no lab
here; 130 or 143 it was interrupted.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import demo_table
import rpc
import settings
from demo_story import RATE, RESTORE_DELAY, Story
from demo_table import WIDTH, Record
from lab import Lab

ROWS = 1000
PROGRAMS = ("ip", "ss", "nft", "ovsdb-server", "ovsdb-tool", "ovs-pki")
# The lab's own clagd interval is shorter than ovsha's default; the demo has ovsha as it is installed, but for one wait.
OVERRIDES = {"restore": {"delay": RESTORE_DELAY}, "clag": {"interval": 5.0}}

INTRODUCTION = (
    "sw1 and sw2 are the two switches of an MLAG pair, each with a real ovsdb-server (database hardware_vtep) and an"
    f" ovsha agent.  One server is active and holds the VIP {settings.VIP}; the other is its backup, a read-only copy."
    f"  The controller, a stand-in for NSX, writes {RATE} rows a second over TLS to the switch that connected to it"
    f" last, into a table that has {ROWS:,} rows at first.  On each switch vtepd, a stand-in for ovs-vtepd, reads the"
    " active database over the VIP.  sw1 is the original primary.  ovsha runs with its defaults, but restores the"
    f" original primary after {RESTORE_DELAY:g} s in sync instead of 30 s.  Times are seconds since the start."
)


def summary(record: Record) -> Iterator[str]:
    """Give the closing table, what was lost, and the laws."""
    yield demo_table.table(record)
    yield ""
    yield demo_table.legend()
    yield ""
    for loss in demo_table.losses(record):
        yield textwrap.fill(loss, WIDTH)
    yield ""
    for law in demo_table.laws(record):
        verdict = f"BROKEN  {law.text}: {law.broken}" if law.broken else f"held    {law.text}"
        yield textwrap.fill(verdict, WIDTH, subsequent_indent=" " * 8)


def interrupted(number: int, frame: object) -> NoReturn:
    """Leave by way of every clean-up, which nothing interrupts a second time."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    print(f"\ndemo: {signal.Signals(number).name}; cleaning up", flush=True)
    raise SystemExit(128 + number)


def show() -> int:
    """Build the lab, tell the story, sum it up; return the exit status."""
    print(textwrap.fill(INTRODUCTION, WIDTH))
    print("\nbuilding the lab: certificates (a few seconds, the first time), namespaces, databases ...\n", flush=True)
    with ThreadPoolExecutor(1) as operator, Lab(rows=ROWS, tls=True, overrides=OVERRIDES) as lab:
        broken = ""
        try:
            record = Story(lab, operator).tell()
            print()
            print("\n".join(summary(record)), flush=True)
            broken = "; ".join(law.text for law in demo_table.laws(record) if law.broken)
        except (AssertionError, OSError, RuntimeError, rpc.Refused, subprocess.SubprocessError) as error:
            print(f"\nBROKEN  the pair has not come to where it should be: {error}", flush=True)
            broken = "the pair has not come to where it should be"
        if not broken:
            return 0
        os.environ["OVSHA_KEEP_LAB"] = "1"
        print(f"\ndemo: broken: {broken}\ndemo: the logs are in {lab.directory}", flush=True)
        return 1


def main() -> int:
    """Check that there can be a lab here, and show the demo."""
    if os.geteuid() != 0:
        print("demo: it makes network namespaces, which needs root", file=sys.stderr)
        return 2
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        print(f"demo: {', '.join(missing)} not found; run scripts/install-deps.sh apt", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        return show()
    except (RuntimeError, subprocess.SubprocessError) as error:
        print(f"demo: there can be no lab here: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
