"""What happens is recorded in one line with its facts, and so are the decisions around it with theirs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsha.config.switch import Recorder as Limits
from ovsha.core import turn
from ovsha.core.facts import Role
from ovsha.core.view import View
from ovsha.history import recorder
from ovsha.history.recorder import Recorder
from ovsha.host.journal import files
from ovsha.report import trace
from ovsha.report.trace import EVERY, SPACING, SPAN, DecisionSample, Entry, Trace
from tests.support.views import NOW, a_copy, backup_case

MEMORY = backup_case().memory


def view(now: float, role: Role | None = Role.BACKUP) -> View:
    return replace(backup_case().view, now=now, server=replace(a_copy(), role=role))


class Turns:
    """An agent's turns, each `SPACING` / 5 seconds after the one before."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.now = NOW

    def next(self, role: Role | None = Role.BACKUP) -> Entry:
        self.now += SPACING / 5
        seen = view(self.now, role)
        return self.trace.note(1.6e9 + self.now, seen, MEMORY, turn.turn(seen, MEMORY))

    def run(self, around: DecisionSample, seconds: float) -> list[Entry]:
        """Take turns for so long; return what was chosen of them."""
        return [kept for _ in range(round(5 * seconds / SPACING)) for kept in around.note(self.next())]


def seconds(entries: list[Entry]) -> float:
    return entries[-1].view.now - entries[0].view.now


def test_nothing_happens_and_nearly_nothing_is_kept() -> None:
    turns, around = Turns(), DecisionSample()
    first = around.note(turns.next())
    assert len(first) == 1
    assert turns.run(around, EVERY - 1) == []
    assert len(turns.run(around, 2)) == 1


def test_a_decision_that_differs_is_kept_with_the_last_ones_before_it() -> None:
    turns, around = Turns(), DecisionSample()
    around.note(turns.next())
    turns.run(around, 10)
    kept = around.note(turns.next(None))
    assert [entry.number for entry in kept[-2:]] == [around.turn - 1, around.turn]
    assert SPAN - 2 * SPACING <= seconds(kept) <= SPAN + SPACING
    assert len(kept) <= SPAN / SPACING + 2


def test_the_seconds_before_and_after_an_event_are_kept() -> None:
    turns, around = Turns(), DecisionSample()
    around.note(turns.next())
    turns.run(around, 10)
    before = around.event()
    assert SPAN - 2 * SPACING <= seconds(before) <= SPAN
    after = turns.run(around, 10)
    assert SPAN - 2 * SPACING <= seconds(after) <= SPAN
    numbers = [entry.number for entry in before + after]
    assert numbers == sorted(set(numbers)), "each once"


def test_before_the_first_decision_an_event_has_none() -> None:
    assert DecisionSample().event() == []


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path, Limits(), "run1")
    yield made
    made.close()


def read(directory: Path, series: str) -> list[dict[str, Any]]:
    found = files(directory / recorder.DIRECTORY, series)
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


def test_an_event_is_one_line_in_the_file_and_one_in_the_log(
    tmp_path: Path, here: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ovsha"):
        here.note(Turns().next())
        here.event("incident", "incident: it made itself active", what="it made itself active")
        here.event("order", "an operator moves it", logging.WARNING, order="switchover", reason="100% = all")
    (first, second) = caplog.records
    assert (first.levelname, first.getMessage()) == ("WARNING", "incident: it made itself active")
    assert first.event == {"kind": "incident", "what": "it made itself active"}  # type: ignore[attr-defined]
    assert second.levelname == "WARNING"
    here.close()
    events = read(tmp_path, recorder.EVENTS)
    assert [(each["kind"], each["text"], each["run"], each["turn"]) for each in events] == [
        ("incident", "incident: it made itself active", "run1", 1), ("order", "an operator moves it", "run1", 1),
    ]  # fmt: skip
    assert events[1]["reason"] == "100% = all"


def test_the_decisions_on_the_disk_can_be_taken_again(tmp_path: Path, here: Recorder) -> None:
    turns = Turns()
    for role in (Role.BACKUP, None, Role.BACKUP):
        here.note(turns.next(role))
    here.close()
    kept = read(tmp_path, recorder.DECISIONS)
    assert [line["run"] for line in kept] == ["run1"] * 3
    assert all(trace.holds(trace.from_plain(line)) for line in kept)


def test_a_disk_that_takes_nothing_is_one_warning_and_shown_by_the_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("")
    made = Recorder(tmp_path / "state", Limits(), "run1")
    turns = Turns()
    made.event("start", "ovsha started")
    while not made.troubles:
        made.note(turns.next())
    for _ in range(10):
        made.note(turns.next())
    made.close()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [made.troubles["recorder"]]
    assert "cannot be written" in warnings[0]
