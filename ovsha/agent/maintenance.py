"""Keep the orders that stand for a while: a pause, and a switchover that is to be made at a set time.

They survive the agent: they are in `<state_directory>/standing.json`, written by a thread, since a slow disk must not
hold up the loop.  A switchover is meant for a time of day, so it is made by the wall clock.  A pause is meant for a
span, whatever is done to that clock: what has passed of it is in a file of its own, beside.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from ovsha import atomic_file, codec
from ovsha.core.facts import Mode
from ovsha.core.view import View
from ovsha.host import boot_clock
from ovsha.host.boot_clock import Began, Clocks
from ovsha.host.state_file import StateWriter

log = logging.getLogger("ovsha")

FILE = "standing.json"
PASSED = "pause-passed.json"
"""What has passed of the pause; an earlier release does not know it, and so it is no part of the other file."""

FORGOTTEN_FOR = 86400.0
"""Seconds for which it is told that a pause ended by itself, unless somebody says `ovsha resume`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause since `began` until `until`, as the wall clock was then; `who` ordered it, for `reason`."""

    began: float
    until: float
    who: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A switchover to node `to` at `at`, seconds since 1970."""

    to: str
    at: float
    who: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What stands now; `forgotten`: a pause that nobody ended."""

    pause: Pause | None = None
    plan: Plan | None = None
    forgotten: Pause | None = None


Saved = tuple[Maintenance, Began | None]


class MaintenanceFile:
    """The orders that stand on this switch; no pause lasts longer than `limit` seconds while the switch runs.

    A file that cannot be read counts as none, stays as it is, and is told of, until an operator gives another order.
    """

    def __init__(self, directory: Path, advise: bool, clock: Clocks, limit: float = float("inf")) -> None:
        self._path, self._advise, self._clock, self._limit = directory / FILE, advise, clock, limit
        self._passed_path = directory / PASSED
        self._now, self.unread = self._load()
        noted = boot_clock.load(self._passed_path)
        pause = self._now.pause
        # Where the file is lost, or an earlier release has run, the wall clock tells.
        self._began = None if pause is None else boot_clock.resumed(noted, pause.began, clock)
        self._forgotten_for, self._since = self._was_forgotten_for(), clock.since_boot()
        failing = f"{self._path}: cannot be written, so a pause does not survive a restart"
        kept = None if self.unread else (self._now, noted)
        self._saver: StateWriter[Saved | None] = StateWriter(kept, self._write, failing)

    @property
    def now(self) -> Maintenance:
        """What stands."""
        return self._now

    @now.setter
    def now(self, stands: Maintenance) -> None:
        if stands.pause != self._now.pause:
            self._began = None if stands.pause is None else boot_clock.resumed(None, stands.pause.began, self._clock)
        self._now = stands

    @property
    def trouble(self) -> str:
        """Why what stands is not known or cannot be kept, "" when it is."""
        return self.unread or self._saver.trouble

    @property
    def saved(self) -> bool:
        """What stands now has reached the disk."""
        return self._saver.kept is not None and self._now == self._saver.kept[0]

    @property
    def mode(self) -> Mode:
        """Whether the agent carries out what it decides."""
        if self._advise:
            return Mode.ADVISE
        return Mode.PAUSED if self._now.pause is not None else Mode.ACTIVE

    @property
    def passed(self) -> float:
        """How many seconds have passed of the pause, 0 when there is none."""
        return 0.0 if self._began is None else boot_clock.passed(self._began, self._clock)

    @property
    def left(self) -> float:
        """How many seconds are left of the pause, 0 when there is none."""
        pause = self._now.pause
        return 0.0 if pause is None else max(0.0, min(pause.until - pause.began, self._limit) - self.passed)

    @property
    def forgotten_for(self) -> float:
        """How many seconds ago a pause ended that nobody had ended."""
        return self._forgotten_for + self._clock.since_boot() - self._since

    def pause(self, length: float, who: str, reason: str) -> None:
        """Pause for so many seconds from now on."""
        wall = self._clock.wall()
        # Also where the same is ordered again in the same moment: what has passed does not count.
        self._began = boot_clock.begin(self._clock)
        self._now = replace(self._now, pause=Pause(self._began.wall, wall + length, who, reason), forgotten=None)

    def run(self) -> Pause | None:
        """Save what has changed; return a pause whose time has just ended."""
        if self._now != Maintenance():
            self.unread = ""
        if self._began is not None:
            self._began = boot_clock.noted(self._began, self._clock)
        if not self.unread:
            self._saver.run((self._now, self._began))
        stands = self._now
        if stands.forgotten is not None and self.forgotten_for > FORGOTTEN_FOR:
            self._now = replace(stands, forgotten=None)
        if stands.pause is None or self.left > 0:
            return None
        ended = replace(stands.pause, until=self._clock.wall())
        self._forgotten_for, self._since = 0.0, self._clock.since_boot()
        self.now = replace(stands, pause=None, forgotten=ended)
        return stands.pause

    def colour(self, view: View) -> View:
        """Return the view with the mode of this side, so that nothing is decided to be done while it is paused."""
        mode = self.mode
        if mode is Mode.ACTIVE:
            return view
        return replace(view, mode=mode, mode_left=self.left if mode is Mode.PAUSED else None)

    def close(self) -> None:
        """Bring the last change to the disk."""
        if self._began is not None:
            at, so_far = self._clock.since_boot(), self.passed
            self._began = replace(self._began, at=at, passed=so_far)
        self._saver.close(self._saver.kept if self.unread else (self._now, self._began))

    def _load(self) -> tuple[Maintenance, str]:
        """Return what stands, and why that is not known."""
        try:
            return codec.from_plain(Maintenance, codec.parse(atomic_file.read(self._path))), ""
        except FileNotFoundError:
            return Maintenance(), ""
        except (OSError, ValueError) as error:
            trouble = (
                f"{self._path}: cannot be read, so no pause and no planned switchover stands: {error};"
                " order them anew, or take note of it with `ovsha resume`"
            )
            log.error("%s", trouble)
            return Maintenance(), trouble

    def _was_forgotten_for(self) -> float:
        forgotten = self._now.forgotten
        return 0.0 if forgotten is None else max(0.0, self._clock.wall() - forgotten.until)

    def _write(self, saved: Saved | None) -> None:
        """Put what stands on disk for good, what has passed of a pause first.  Raises OSError."""
        stands, began = saved or (Maintenance(), None)
        if began is not None:
            atomic_file.write(self._passed_path, json.dumps(codec.to_plain(began)))
        atomic_file.write(self._path, json.dumps(codec.to_plain(stands)))
