"""docs/monitoring.rst names every event and every fact that a hook gets, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

from made_up_pair import MEMORY, SERVING
from ovsha import config
from ovsha.core import occasions, side
from ovsha.core.occasions import Occasion
from ovsha.told import facts
from small_agent import settings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "monitoring.rst").read_text()


def test_every_event_is_named() -> None:
    events = {occasions.BEFORE, occasions.AFTER, occasions.DEGRADED, occasions.ALARM, occasions.CLEARED}
    named = re.findall(r"^``([a-z-]+)`` ", PAGE, re.MULTILINE)
    assert set(named) == events


def test_every_fact_that_a_hook_gets_is_named(tmp_path: Path) -> None:
    read: config.Config = settings(tmp_path)
    told = facts(read, SERVING, side.turn(SERVING, MEMORY), Occasion(occasions.ALARM, "why"))
    hooks = PAGE[PAGE.index("\nHooks\n") : PAGE.index("\nJournal\n")]
    assert set(re.findall(r"``OVSHA_(\w+)``", hooks)) == {name.upper() for name in told}


def test_the_defaults_are_the_defaults(tmp_path: Path) -> None:
    read = settings(tmp_path)
    assert f"port: {read.metrics.port}" in PAGE
    assert f"limit: {read.hooks.limit}, hold: {read.hooks.hold}" in PAGE
    assert f"directory: {read.hooks.directory}" in PAGE
