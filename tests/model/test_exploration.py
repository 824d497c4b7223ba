"""All states of a small model of the pair keep the laws; and where the core is broken on purpose, one does not.

What the model is stands in small_model.py, what the laws say in small_laws.py.  `make explore`
goes further than is done here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.model.actions import start
from tests.model.exploration import Exploration, explore, steady
from tests.model.state import ANY

ROOT = Path(__file__).resolve().parents[2]


def explored(ways: Exploration, limit: int = 10**6) -> Exploration:
    """Return the exploration at its end; when a law is broken, fail with the shortest way there."""
    report, held = explore(ways, 10**6, limit)
    print(report)
    assert held, report
    return ways


def test_laws_hold_in_all_states_with_one_fault_and_one_late_action() -> None:
    ways = explored(Exploration(steady(faults=1, late=1)))
    assert ways.exhausted
    assert len(ways) > 100_000


def test_laws_hold_in_all_orders_in_which_a_pair_can_boot() -> None:
    ways = explored(Exploration(start(faults=0, late=ANY)), 60_000)
    assert ways.depth >= 10


def test_laws_hold_with_one_fault_in_all_orders_of_what_follows_at_once() -> None:
    ways = explored(Exploration(steady(faults=1, late=ANY)), 60_000)
    assert ways.depth >= 10


def test_laws_hold_with_two_faults_in_quick_succession() -> None:
    ways = explored(Exploration(steady(faults=2, late=0)), 60_000)
    assert ways.depth >= 10


def test_pair_that_is_left_alone_serves_within_a_few_turns() -> None:
    ways = explored(Exploration(steady(faults=1, late=0)))
    assert ways.exhausted
    for end in ways.ends:
        assert 0 < end.turns <= 60


@dataclass(frozen=True)
class Broken:
    """In `module` of the core, `text` becomes `by`; then what is said of the shortest way there begins with `law`."""

    module: str
    text: str
    by: str
    law: str
    late: int = 0
    also: tuple[str, str, str] | None = None
    """Module, text and what it becomes, where two rules hold the law and each would do alone."""


BROKEN = {
    "two idle sides do not agree who shall serve": Broken(
        "election", "lambda c: c.alive, Goal.PARK", "lambda c: c.alive, Goal.SERVE", "law 1", late=1,
    ),
    "a silent agent is taken for a dead side": Broken(
        "liveness", "    if _server_or_host_answers(view):\n        return Presence.SILENT\n    if left",
        "    if False and left",
        "law 1", also=("election", "lambda c: c.peer_seen_active and _unasked(c)", "lambda c: False"),
    ),
    "both sides of a split go on": Broken(
        "election", '"split-lost", _split(won=False), Goal.PARK', '"split-lost", _split(won=False), Goal.SERVE',
        "law",
    ),
    "older data is copied over newer data": Broken(
        "lineage", "if source.stamp.term < own.stamp.term:", "if False:", "law 2", late=1,
    ),
    "a database is erased without a snapshot": Broken(
        "transition", "        Row(Step.SNAPSHOT, _kept_safe),\n", "", "law 2",
    ),
    "a planned move does not wait for the barrier": Broken(
        "situation", "return self.token_in_rows == grant.barrier or opened", "return True", "law 4",
    ),
    "nobody takes over from a dead side": Broken(
        "election", 'Rule("peer-dead", lambda c: c.presence is Presence.DEAD,', 'Rule("peer-dead", lambda c: False,',
        "law of progress",
    ),
    "the original primary never gets the service back": Broken(
        "handover", "Wish(Kind.RESTORE, _due_for_restore)", "Wish(Kind.RESTORE, lambda c: False)", "law of progress",
    ),
    "two sides that do not hear each other outbid each other's terms": Broken(
        "transition", "if _unsettled(c) and", "if False and", "law of progress", late=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_exploration_finds_what_is_broken(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    for folder in ("ovsha", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "scenarios"))
    for file, text, by in filter(None, ((broken.module, broken.text, broken.by), broken.also)):
        module = tmp_path / "ovsha" / "core" / f"{file}.py"
        assert module.read_text().count(text) == 1
        module.write_text(module.read_text().replace(text, by))
    ran = subprocess.run(
        [sys.executable, "tests/model/exploration.py", "--faults", "1", "--late", str(broken.late)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 1, f"the exploration does not find it:\n{ran.stdout}{ran.stderr}"
    assert ran.stdout.startswith(broken.law), ran.stdout + ran.stderr
