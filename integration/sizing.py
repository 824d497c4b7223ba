"""Measure what a database of so many rows costs two real ovsdb-servers and two agents: seconds, bytes, memory.

    python3 integration/sizing.py [--rows N ...] [--runs N]       as root; prints the table of docs/sizing.rst

The servers are private ones on unix sockets.  A *copy* is what happens at each connection of a backup to its source: it
erases what it has and copies everything, though both hold the same.  *Silent* is the longest that a server was asked
without answering meanwhile.  The agents are those of a pair of the lab.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import rpc
import seed
import story
from lab import Lab
from service import Service

ROWS = (1_000, 10_000, 50_000, 100_000)
PATIENT = 300.0
_UNANSWERABLE = "tcp:192.0.2.254:9999"
_PAUSE = 0.002


@dataclass(frozen=True)
class Servers:
    """One run: seconds and megabytes (a million bytes)."""

    start: float
    copy: float
    backup_silent: float
    active_silent: float
    dump: float
    file: float
    growth: float
    memory: float


@dataclass(frozen=True)
class Agents:
    """The agents of a pair: their memory, and the seconds until a backup whose server was killed is in sync again."""

    again: float
    active: float
    backup: float


def servers(rows: int) -> Servers:
    """Have one private server copy another one that holds the same, and measure."""
    with tempfile.TemporaryDirectory(prefix="oh-sizing-") as name, ExitStack() as stack:
        place = Path(name)
        seed.blank(place / "active.db")
        seed.fill(place / "active.db", rows, None)
        subprocess.run(["ovsdb-tool", "compact", str(place / "active.db")], check=True)
        shutil.copyfile(place / "active.db", place / "backup.db")
        began = time.monotonic()
        active = stack.enter_context(_server(place, "active"))
        start = time.monotonic() - began
        backup = stack.enter_context(_server(place, "backup", f"--sync-from={_UNANSWERABLE}"))
        size = (place / "backup.db").stat().st_size
        watches = [_Watch(place / f"{each}.ctl") for each in ("backup", "active")]
        for watch in watches:
            watch.start()
        took = _copied(place)
        backup_silent, active_silent = (watch.ended() for watch in watches)
        growth = (place / "backup.db").stat().st_size - size
        began = time.monotonic()
        command = ["ovsdb-client", "dump", f"unix:{place / 'active.sock'}", "hardware_vtep"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        dump = time.monotonic() - began
        memory = max(_resident(each) for each in (active, backup))
        return Servers(start, took, backup_silent, active_silent, dump, size / 1e6, growth / 1e6, memory)


def agents(rows: int) -> Agents:
    """Have a pair of the lab with so many rows come up, lose the backup's server, and be in sync again."""
    with Lab(rows=rows, overrides=story.QUICK) as lab:
        lab.start()
        lab.wait_until(lambda: story.is_copy(lab, lab.sw2) and story.in_sync(lab), PATIENT, "the pair is in sync")
        lab.sw2.server.kill()
        began = time.monotonic()
        lab.sw2.server.start(wait=False)
        lab.wait_until(lambda: story.is_copy(lab, lab.sw2), PATIENT, "sw2 is in sync again")
        return Agents(time.monotonic() - began, _resident(lab.sw1.agent), _resident(lab.sw2.agent))


def _copied(place: Path) -> float:
    """Connect the backup to the active server, and return the seconds until it holds what that one holds."""
    control = place / "backup.ctl"
    rpc.appctl(control, "ovsdb-server/set-active-ovsdb-server", f"unix:{place / 'active.sock'}", limit=PATIENT)
    began = time.monotonic()
    rpc.appctl(control, "ovsdb-server/connect-active-ovsdb-server", limit=PATIENT)
    while "replicating:" not in (said := rpc.appctl(control, "ovsdb-server/sync-status", limit=PATIENT)):
        if "state: active" in said or time.monotonic() - began > PATIENT:
            raise RuntimeError(f"the backup does not replicate: {said}")
        time.sleep(_PAUSE)
    return time.monotonic() - began


class _Watch(threading.Thread):
    """Ask a server all the time, and remember its longest silence."""

    def __init__(self, control: Path) -> None:
        super().__init__(daemon=True)
        self._control, self._longest, self._over = control, 0.0, threading.Event()

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._over.wait(_PAUSE):
            began = time.monotonic()
            rpc.appctl(self._control, "version", limit=PATIENT)
            self._longest = max(self._longest, time.monotonic() - began)

    def ended(self) -> float:
        """Stop, and return the longest silence in seconds."""
        self._over.set()
        self.join()
        return self._longest


@contextmanager
def _server(place: Path, name: str, *options: str) -> Iterator[Service]:
    """Run a private server until the block ends."""
    command = ["ovsdb-server", "--no-chdir", f"--remote=punix:{place / name}.sock", f"--unixctl={place / name}.ctl"]
    command += ["-vconsole:off", *options, str(place / f"{name}.db")]

    def answers() -> bool:
        return rpc.DATABASE in rpc.call(place / f"{name}.sock", "list_dbs", [], PATIENT)

    environment = {"OVS_RUNDIR": str(place), "PATH": os.environ["PATH"]}
    server = Service(name, lambda: command, place / f"{name}.log", environment, ready=answers)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _resident(service: Service) -> float:
    """Return the resident memory of a process, in megabytes (VmRSS; proc(5))."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{service.pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024 / 1e6


HEAD = (
    *("rows", "start", "copy", "backup silent", "active silent", "dump", "file", "grows by", "server"),
    *("in sync again", "agents"),
)


def line(rows: int, runs: list[Servers], pair: Agents) -> tuple[str, ...]:
    """Return one row of the table: medians, and the agents' one run."""
    columns = zip(*map(astuple, runs), strict=True)
    start, copy, backup, active, dump, file, growth, memory = map(median, columns)
    seconds = [f"{each:.2f} s" for each in (start, copy, backup, active, dump)]
    bytes_ = [f"{each:.1f} MB" for each in (file, growth)]
    agents = f"{max(pair.active, pair.backup):.0f} MB"
    return f"{rows:,}", *seconds, *bytes_, f"{memory:.0f} MB", f"{pair.again:.1f} s", agents


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Measure what rows cost.")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    version = subprocess.run(["ovsdb-server", "--version"], check=True, capture_output=True, text=True).stdout
    print(f"{version.splitlines()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.runs} runs")
    lines: list[tuple[str, ...]] = [HEAD]
    for rows in options.rows:
        lines.append(line(rows, [servers(rows) for _ in range(options.runs)], agents(rows)))
        print(f"{rows}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    head, *body = ("  ".join(map(str.ljust, each, widths)).rstrip() for each in lines)
    print("\n".join([rule, head, rule, *body, rule]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
