"""Keep the orders that stand for a while: a pause, and a switchover that is to be made at a set time.

They are meant for a time of day, so they end by the wall clock, and they survive the agent: they are in
`<state_directory>/standing.json`, written by a thread, since a slow disk must not hold up the loop.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ovsha import durable
from ovsha.core import plain
from ovsha.core.facts import Mode
from ovsha.core.view import View
from ovsha.saving import Saver

log = logging.getLogger("ovsha")

FILE = "standing.json"
FORGOTTEN_FOR = 86400.0
"""Seconds for which it is told that a pause ended by itself, unless somebody says `ovsha resume`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause since `began` until `until`, seconds since 1970; `who` ordered it, for `reason`."""

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
class Standing:
    """What stands now; `forgotten`: a pause that nobody ended."""

    pause: Pause | None = None
    plan: Plan | None = None
    forgotten: Pause | None = None


class Keeper:
    """The orders that stand on this switch; `wall` is its wall clock.

    A file that cannot be read counts as none, stays as it is, and is told of, until an operator gives another order.
    """

    def __init__(self, directory: Path, advise: bool, wall: Callable[[], float]) -> None:
        self._path, self._advise, self._wall = directory / FILE, advise, wall
        self.now, self.unread = self._load()
        failing = f"{self._path}: cannot be written, so a pause does not survive a restart"
        kept = None if self.unread else self.now
        self._saver: Saver[Standing | None] = Saver(kept, self._write, wall, failing)

    @property
    def trouble(self) -> str:
        """Why what stands is not known or cannot be kept, "" when it is."""
        return self.unread or self._saver.trouble

    @property
    def saved(self) -> bool:
        """What stands now has reached the disk."""
        return self.now == self._saver.kept

    @property
    def mode(self) -> Mode:
        """Whether the agent carries out what it decides."""
        if self._advise:
            return Mode.ADVISE
        return Mode.PAUSED if self.now.pause is not None else Mode.ACTIVE

    def run(self) -> Pause | None:
        """Save what has changed; return a pause whose time has just ended."""
        if self.now != Standing():
            self.unread = ""
        if not self.unread:
            self._saver.run(self.now)
        wall, stands = self._wall(), self.now
        if stands.forgotten is not None and wall - stands.forgotten.until > FORGOTTEN_FOR:
            self.now = replace(stands, forgotten=None)
        if stands.pause is None or wall < stands.pause.until:
            return None
        self.now = replace(stands, pause=None, forgotten=stands.pause)
        return stands.pause

    def colour(self, view: View) -> View:
        """Return the view with the mode of this side, so that nothing is decided to be done while it is paused."""
        mode = self.mode
        if mode is Mode.ACTIVE:
            return view
        pause = self.now.pause
        left = max(0.0, pause.until - self._wall()) if mode is Mode.PAUSED and pause else None
        return replace(view, mode=mode, mode_left=left)

    def close(self) -> None:
        """Bring the last change to the disk."""
        self._saver.close(self._saver.kept if self.unread else self.now)

    def _load(self) -> tuple[Standing, str]:
        """Return what stands, and why that is not known."""
        try:
            stands = plain.from_plain(Standing, json.loads(self._path.read_text()))
        except FileNotFoundError:
            return Standing(), ""
        except (OSError, ValueError) as error:
            trouble = (
                f"{self._path}: cannot be read, so no pause and no planned switchover stands: {error};"
                " order them anew, or take note of it with `ovsha resume`"
            )
            log.error("%s", trouble)
            return Standing(), trouble
        if stands.pause is not None and self._wall() < stands.pause.began:
            # The clock was set back since: what is left of the pause cannot be longer than it was meant to be.
            length = stands.pause.until - stands.pause.began
            stands = replace(stands, pause=replace(stands.pause, until=min(stands.pause.until, self._wall() + length)))
        return stands, ""

    def _write(self, stands: Standing | None) -> None:
        """Put what stands on disk for good.  Raises OSError."""
        durable.write(self._path, json.dumps(plain.to_plain(stands or Standing())))
