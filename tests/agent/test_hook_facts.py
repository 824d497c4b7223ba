"""docs/monitoring.rst names every event and every fact that a hook gets, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ovsha import config
from ovsha.agent.publish import facts, timeless
from ovsha.core import turn
from ovsha.report import notifications
from ovsha.report.notifications import Notification
from tests.agent.small_agent import settings
from tests.support.made_up_pair import MEMORY, SERVING

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.rst").read_text()


def test_every_event_is_named() -> None:
    told = notifications
    events = {told.BEFORE, told.AFTER, told.DEGRADED, told.ALARM, told.CLEARED}
    named = re.findall(r"^``([a-z-]+)`` ", PAGE, re.MULTILINE)
    assert set(named) == events


def test_every_fact_that_a_hook_gets_is_named(tmp_path: Path) -> None:
    read: config.Config = settings(tmp_path)
    told = facts(read, SERVING, turn.turn(SERVING, MEMORY), Notification(notifications.ALARM, "why"))
    hooks = PAGE[PAGE.index("\nHooks\n") : PAGE.index("\nJournal\n")]
    assert set(re.findall(r"``OVSHA_(\w+)``", hooks)) == {name.upper() for name in told}


def test_the_defaults_are_the_defaults(tmp_path: Path) -> None:
    read = settings(tmp_path)
    assert f"port: {read.metrics.port}" in PAGE
    assert f"limit: {read.hooks.limit}, hold: {read.hooks.hold}" in PAGE
    assert f"directory: {read.hooks.directory}" in PAGE


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sw2 is silent on every path for 1.67 s", "sw2 is silent on every path"),
        ("sw2 is silent on every path for 1 h 6 min", "sw2 is silent on every path"),
        ("the agent on sw2 is silent for 12 s, but the switch is not dead",
         "the agent on sw2 is silent, but the switch is not dead"),
        ("start it; for 5 ports", "start it; for 5 ports"),
    ],
)  # fmt: skip
def test_hooks_are_not_told_for_how_long_it_was_wrong_when_they_were_told(said: str, told: str) -> None:
    assert timeless(said) == told
