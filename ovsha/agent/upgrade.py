"""Keep in mind that this switch is in an upgrade, and take the orders that begin and end that.

The mark is a file below the state directory, written by a thread, since a slow disk must not hold up the loop.  It
outlives the agent and a reboot; one that cannot be read counts as standing, for the side is then only more careful.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ovsha import atomic_file, codec
from ovsha.agent import standing_orders
from ovsha.core import operator_orders
from ovsha.core.view import View
from ovsha.host import boot_clock
from ovsha.host.boot_clock import Began, Clocks
from ovsha.host.state_file import UPGRADE_MARK, UPGRADES, StateWriter
from ovsha.words import span

log = logging.getLogger("ovsha")

FINISHED, PASSED = "finished.json", "passed.json"
RECENT = 7 * 86400.0
"""Seconds for which it is told that an upgrade was finished here."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade that began at `began`, seconds since 1970, by an order of `who`.

    `save`: the name of the directory with what was saved before.  `late`: the alarm was raised that it takes too long.
    """

    began: float
    who: str = ""
    reason: str = ""
    save: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """When the last upgrade was finished here, seconds since 1970, None for never; what was saved before it."""

    at: float | None = None
    save: str = ""


Saved = tuple[Upgrade | None, Finished, Began | None]


class Upgrading:
    """The upgrade that stands on this switch, `now`; `limit` seconds after its beginning there is an alarm."""

    def __init__(self, directory: Path, limit: float, clock: Clocks) -> None:
        self.limit = limit
        self._clock = clock
        self._directory = directory / UPGRADES
        self.now, self.finished = self._load()
        noted = boot_clock.load(self._directory / PASSED)
        self._began = None if self.now is None else boot_clock.resumed(noted, self.now.began, clock)
        failing = f"{self._directory}: cannot be written, so a restart does not know of the upgrade"
        self._saver: StateWriter[Saved] = StateWriter((self.now, self.finished, noted), self._write, failing)

    @property
    def trouble(self) -> str:
        """Why what stands cannot be kept, "" when it can."""
        return self._saver.trouble

    @property
    def saved(self) -> bool:
        """What stands now has reached the disk."""
        return (self.now, self.finished) == self._saver.kept[:2]

    @property
    def age(self) -> float | None:
        """For how many seconds this side has been in an upgrade, None when it is in none."""
        return None if self._began is None else boot_clock.passed(self._began, self._clock)

    @property
    def since(self) -> float | None:
        """How many seconds ago the last one was finished, None when that is long ago."""
        age = None if self.finished.at is None else max(0.0, self._clock.wall() - self.finished.at)
        return age if age is not None and age < RECENT else None

    def begin(self, who: str, reason: str, save: str) -> None:
        """Be in an upgrade from now on."""
        self._began = boot_clock.begin(self._clock)
        self.now = Upgrade(self._began.wall, who, reason, save)

    def end(self) -> float:
        """Be in none any more; return how many seconds it took."""
        lasted = self.age or 0.0
        if self.now is not None:
            self.finished = Finished(self._clock.wall(), self.now.save)
        self.now = self._began = None
        return lasted

    def run(self) -> Upgrade | None:
        """Save what has changed; return an upgrade that has just come to take too long."""
        if self._began is not None:
            self._began = boot_clock.noted(self._began, self._clock)
        self._saver.run((self.now, self.finished, self._began))
        age = self.age
        if self.now is None or self.now.late or age is None or age < self.limit:
            return None
        self.now = replace(self.now, late=True)
        return self.now

    def colour(self, view: View) -> View:
        """Return the view with what this side knows of its upgrades."""
        age, since = self.age, self.since
        return view if age is None and since is None else replace(view, upgrade=age, upgraded=since)

    def close(self) -> None:
        """Bring the last change to the disk."""
        self._saver.close((self.now, self.finished, self._began))

    def _load(self) -> tuple[Upgrade | None, Finished]:
        mark = _read_mark(self._directory / UPGRADE_MARK, self._clock.wall())
        return mark, _read_finished(self._directory / FINISHED)

    def _write(self, saved: Saved) -> None:
        """Put all of it on disk for good, the mark last.  Raises OSError."""
        now, finished, began = saved
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if began is not None:
            atomic_file.write(self._directory / PASSED, json.dumps(codec.to_plain(began)))
        atomic_file.write(self._directory / FINISHED, json.dumps(codec.to_plain(finished)))
        mark = self._directory / UPGRADE_MARK
        if now is not None:
            atomic_file.write(mark, json.dumps(codec.to_plain(now)))
        elif mark.exists():
            mark.unlink()
            atomic_file.sync(self._directory)


def _read_mark(path: Path, wall: float) -> Upgrade | None:
    try:
        return codec.from_plain(Upgrade, codec.parse(atomic_file.read(path)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.error("%s: cannot be read, so this side takes itself to be in an upgrade: %s", path, error)
        return Upgrade(wall, reason=f"{path} cannot be read")


def _read_finished(path: Path) -> Finished:
    try:
        return codec.from_plain(Finished, codec.parse(atomic_file.read(path)))
    except (FileNotFoundError, NotADirectoryError):
        return Finished()
    except (OSError, ValueError) as error:
        log.warning("%s: cannot be read, so when an upgrade was finished here is not told: %s", path, error)
        return Finished()


# -- orders ------------------------------------------------------------------------------------------------------------


class Ordered(standing_orders.Ordered, Protocol):
    """What this needs of an agent."""

    @property
    def upgrading(self) -> Upgrading:
        """The upgrade that stands."""


def look(agent: Ordered) -> None:
    """Save what stands, and raise the alarm over an upgrade that nobody finishes."""
    late = agent.upgrading.run()
    if late is not None:
        node, length = agent.config.node, span(agent.upgrading.limit)
        text = f"{node} has been in an upgrade for more than {length}, and takes nothing over: finish it"
        agent.recorder.event("alarm", text, what="upgrade-long", who=late.who, reason=late.reason)


def prepare_refusal(agent: Ordered) -> str:
    """Say why this switch must not be upgraded now, "" when it may be."""
    case = standing_orders.situation(agent)
    if case is None:
        return standing_orders.EARLY
    plan = agent.standing.now.plan
    if plan is not None:
        return f"a switchover to {plan.to} is planned; `ovsha cancel` takes it back"
    return operator_orders.upgrade_prepare_refusal(case)


def prepare(agent: Ordered, save: str, reason: str, who: str) -> str:
    """Be in an upgrade; return why that is refused, "" when it is not."""
    refused = prepare_refusal(agent)
    if not refused:
        agent.upgrading.begin(who, reason, save)
        text = f"{who or 'an operator'} begins the upgrade of {agent.config.node}: {reason or 'no reason given'}"
        agent.recorder.event("order", text, order="upgrade-prepare", who=who, reason=reason, save=save)
    return refused


def finish_refusal(agent: Ordered, lost: bool) -> str:
    """Say why the upgrade cannot be called finished now, "" when it can; `lost`: the peer will not come back."""
    case = standing_orders.situation(agent)
    if case is None:
        return standing_orders.EARLY
    if not lost:
        return operator_orders.upgrade_finish_refusal(case)
    return operator_orders.peer_lost_refusal(case) or operator_orders.force_refusal(case)


def finish(agent: Ordered, lost: bool, reason: str, who: str) -> str:
    """Be in no upgrade any more; with `lost` serve what there is.  Return why that is refused, "" when it is not."""
    refused = finish_refusal(agent, lost)
    if refused:
        return refused
    if lost:
        return standing_orders.failover(agent, reason, who)
    over(agent, who, "the upgrade is finished")
    return ""


def over(agent: Ordered, who: str, why: str) -> None:
    """End the upgrade that stands, if there is one, since an operator says so."""
    if agent.upgrading.now is not None:
        lasted = span(agent.upgrading.end())
        text = f"the upgrade of {agent.config.node} is over after {lasted}, by {who or 'an operator'}: {why}"
        agent.recorder.event("order", text, order="upgrade-finish", who=who, why=why)
