"""Count how long ago something began, whatever is done to the wall clock meanwhile.

A switch may boot with a clock that is years behind and is set once the network is there.  So what began in this boot
is counted by the clock since boot (CLOCK_BOOTTIME of clock_gettime(2), which goes on while the machine sleeps).  Over a
reboot there is only the wall clock, which is believed if it is not before the beginning, and never against what is
known to have passed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ovsha import atomic_file, codec

log = logging.getLogger("ovsha")

NOTED_EVERY = 60.0
"""Seconds after which it is noted anew how much has passed: so much less is known of a boot that ended."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what names this boot of the switch (random(4))."""
    return _BOOT_ID.read_text().strip()


def since_boot() -> float:
    """Return the seconds since this boot, those of a suspended machine as well."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of this switch: `wall`, seconds since 1970, and `since_boot`, in the boot that `boot` names."""

    boot: str
    wall: Callable[[], float] = time.time
    since_boot: Callable[[], float] = since_boot


@dataclass(frozen=True, slots=True)
class Began:
    """What began when the wall clock said `wall`: `passed` seconds ago when the clock of boot `boot` said `at`."""

    wall: float
    boot: str
    at: float
    passed: float = 0.0


def load(path: Path) -> Began | None:
    """Return what is kept in a file, None where there is none, or none that can be read, which is logged."""
    try:
        return codec.from_plain(Began, codec.parse(atomic_file.read(path)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: cannot be read, and is passed over: %s", path, error)
        return None


def begin(clocks: Clocks) -> Began:
    """Return what begins now."""
    return Began(clocks.wall(), clocks.boot, clocks.since_boot())


def passed(began: Began, clocks: Clocks) -> float:
    """Return the seconds since it began."""
    return began.passed + max(0.0, clocks.since_boot() - began.at)


def noted(began: Began, clocks: Clocks) -> Began:
    """Return it as it is to be kept on disk, which is another one each minute."""
    since = clocks.since_boot()
    return began if since - began.at < NOTED_EVERY else replace(began, at=since, passed=passed(began, clocks))


def resumed(kept: Began | None, wall: float, clocks: Clocks) -> Began:
    """Return what began when the wall clock said `wall`, as `kept` was on disk; None when nothing was."""
    known = kept if kept is not None and kept.wall == wall and kept.passed >= 0 else None
    if known is not None and known.boot == clocks.boot:
        return known
    least = 0.0 if known is None else known.passed + NOTED_EVERY
    return Began(wall, clocks.boot, clocks.since_boot(), max(least, clocks.wall() - wall))
