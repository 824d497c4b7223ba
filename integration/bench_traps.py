"""Measure how long a backup that made itself active stays so, and how soon a blank database on the active side alarms.

    python3 bench_traps.py [RUNS]

Prints for each trap the median and the worst of RUNS (5) in seconds.  Needs root.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import disk
import seed
from lab import Lab
from story import LIMIT, QUICK, await_pair, await_rows, counter, is_copy, log
from switch import Switch
from traps import TRAPS
from watch import Watch

Trap = Callable[[Lab, Switch], AbstractContextManager[None]]
HEAD = ("active for", "noticed after", "a copy again")


def caught(pair: Lab, trap: Trap) -> tuple[float, float, float]:
    """Set the trap on sw2; return for how long it was active, and after how long it was noticed and a copy again."""
    before = counter(pair.sw2, "incidents")
    with Watch(pair.sw2) as seen, trap(pair, pair.sw2):
        began = time.monotonic()
        pair.wait_until(lambda: counter(pair.sw2, "incidents") > before, LIMIT, "it is noticed")
        noticed = time.monotonic() - began
        pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "it is a copy again")
    again = time.monotonic() - began
    await_pair(pair, pair.sw1)
    await_rows(pair, 100)
    return sum(seen.active), noticed, again


def full_disk(database: disk.Disk) -> Trap:
    """Return the trap of a disk that is full for a second."""

    @contextmanager
    def trap(pair: Lab, switch: Switch) -> Iterator[None]:
        before = counter(switch, "incidents")
        database.fill()
        pair.wait_until(lambda: counter(switch, "incidents") > before, LIMIT, "it is noticed")
        database.free()
        yield

    return trap


def alarm() -> tuple[float]:
    """Put a blank database in place of the active one behind a dead agent; return when the backup's agent alarms."""
    with Lab(overrides=QUICK) as pair:
        pair.start()
        await_pair(pair, pair.sw1)
        pair.sw1.agent.kill()
        pair.sw1.server.kill()
        pair.sw1.database.unlink()
        seed.blank(pair.sw1.database)
        pair.sw1.server_plain = True
        said = len(log(pair.sw2))
        pair.sw1.server.start(wait=False)
        return (pair.wait_until(lambda: "needs-decision" in log(pair.sw2)[said:], LIMIT, "it alarms"),)


def show(what: str, head: Sequence[str], runs: Sequence[Sequence[float]]) -> None:
    """Print one line: each column's median and worst."""
    columns = zip(head, zip(*runs, strict=True), strict=True)
    cells = (f"{name} {statistics.median(each):.3f} (worst {max(each):.3f})" for name, each in columns)
    print(f"{what}: {', '.join(cells)}", flush=True)


def main() -> None:
    """Go through all traps on one lab."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Lab(overrides={**QUICK, "restore": {"mode": "manual"}}) as pair, ExitStack() as stack:
        database = disk.for_database(stack, pair.sw2, megabytes=256)
        pair.start_controller(rate=200.0)
        pair.start(vtepds=True)
        await_pair(pair, pair.sw1)
        for what, trap in {**TRAPS, "the disk of the backup is full": full_disk(database)}.items():
            show(what, HEAD, [caught(pair, trap) for _ in range(runs)])
    show("a blank database on the active side", ("alarm after",), [alarm() for _ in range(runs)])


if __name__ == "__main__":
    main()
