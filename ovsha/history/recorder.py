"""The flight recorder: what happened to this side, and the decisions around it, in a few files on the disk.

Two series of lines of JSON in `<state_directory>/journal`:

`events`
    What `Recorder.event` was told: `schema`, `at` (seconds since 1970), `kind`, `text` (a sentence), `run` (which
    start of the agent), `turn` (of its decisions), and the facts.
`decisions`
    Entries of ovsha.report.trace, with their `run`: every decision that differed from the one before, the last before
    it, some of those in the seconds around an event, and one now and then.

Their writing never holds the agent up, and a disk that does not take them is shown and changes nothing else.
`ovsha.history.recordings` reads them.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

from ovsha.config.switch import Recorder as Limits
from ovsha.host.journal import Journal
from ovsha.report import trace
from ovsha.report.trace import DecisionSample, Entry

log = logging.getLogger("ovsha")

SCHEMA = 1
DIRECTORY, EVENTS, DECISIONS = "journal", "events", "decisions"
KINDS = (
    "start", "stop", "move", "service", "alarm", "incident", "collision", "order", "pause", "backup",
)  # fmt: skip
WARNINGS = ("alarm", "incident", "collision")
"""Kinds that are logged as warnings unless it is said otherwise."""

_MEGABYTE, _DAY = 1 << 20, 86400.0


class Recorder:
    """The recorder of one run of the agent, named by `run`; `state_directory` is where its directory is made."""

    def __init__(self, state_directory: Path, limits: Limits, run: str) -> None:
        size = limits.size * _MEGABYTE
        sizes = {EVENTS: size // 4, DECISIONS: size - size // 4}
        self.trouble = ""
        self.run = run
        self._journal = Journal(state_directory / DIRECTORY, sizes, limits.days * _DAY)
        self._around = DecisionSample()

    def event(self, kind: str, text: str, level: int | None = None, /, **facts: Any) -> None:
        """Record that something happened, and log it in one line; `facts` are JSON values.

        The line has `event`, a mapping of kind and facts, for a handler that knows structured fields.
        """
        usual = logging.WARNING if kind in WARNINGS else logging.INFO
        log.log(usual if level is None else level, "%s", text, extra={"event": {**facts, "kind": kind}})
        self.silently(kind, text, **facts)

    def silently(self, kind: str, text: str, /, **facts: Any) -> None:
        """Record what needs no line in the log, or has one."""
        assert kind in KINDS, kind
        event = {"schema": SCHEMA, "at": time.time(), "kind": kind, "text": text, "run": self.run}
        event = {**event, "turn": self._around.turn, **{key: facts[key] for key in facts if key not in event}}
        self._journal.append(EVENTS, lambda: event)
        self._write(self._around.event())

    def note(self, entry: Entry) -> None:
        """Keep the decision of a turn if it is one of those that are kept."""
        self._write(self._around.note(entry))
        trouble = self._journal.trouble
        if trouble and not self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble

    @property
    def troubles(self) -> dict[str, str]:
        """What hinders the recorder, for the status."""
        return {"recorder": self.trouble} if self.trouble else {}

    @property
    def counters(self) -> dict[str, int]:
        """How many lines were lost to a disk that took none."""
        return {"unrecorded": self._journal.dropped}

    def close(self) -> None:
        """Bring what was recorded to the disk, unless that takes long."""
        self._journal.close()

    def _write(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._journal.append(DECISIONS, partial(_line, self.run, entry))


def _line(run: str, entry: Entry) -> dict[str, Any]:
    return {"run": run, **trace.to_plain(entry)}
