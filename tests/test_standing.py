"""What an operator ordered for a while stands over a restart, ends by the wall clock, and holds nothing up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.core.facts import Mode
from ovsha.standing import FILE, FORGOTTEN_FOR, Keeper, Pause, Plan, Standing
from views import BACKUP_VIEW


class Wall:
    """A wall clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


def kept(directory: Path, wall: Wall, stands: Standing) -> Keeper:
    """Return the keeper of an agent that was started after another one had been told `stands`."""
    first = Keeper(directory, False, wall)
    first.now = stands
    first.run()
    first.close()
    return Keeper(directory, False, wall)


def test_a_pause_and_a_plan_survive_the_agent(tmp_path: Path, wall: Wall) -> None:
    stands = Standing(Pause(wall.now, wall.now + 60, "alice", "cabling"), Plan("sw2", wall.now + 90, "bob", "window"))
    again = kept(tmp_path, wall, stands)
    assert (again.now, again.mode, again.saved) == (stands, Mode.PAUSED, True)
    again.close()


def test_a_pause_ends_once_by_itself_and_is_told_as_forgotten_for_a_day(tmp_path: Path, wall: Wall) -> None:
    pause = Pause(wall.now, wall.now + 60)
    keeper = kept(tmp_path, wall, Standing(pause))
    assert keeper.run() is None
    assert keeper.colour(BACKUP_VIEW) == replace(BACKUP_VIEW, mode=Mode.PAUSED, mode_left=60.0)
    wall.now += 60
    assert (keeper.run(), keeper.run()) == (pause, None)
    assert keeper.mode is Mode.ACTIVE
    assert keeper.colour(BACKUP_VIEW) is BACKUP_VIEW
    assert keeper.now.forgotten == pause
    wall.now += FORGOTTEN_FOR + 1
    keeper.run()
    assert keeper.now.forgotten is None
    keeper.close()


def test_a_clock_that_was_set_back_does_not_make_a_pause_longer(tmp_path: Path, wall: Wall) -> None:
    keeper = kept(tmp_path, wall, Standing(Pause(wall.now, wall.now + 60)))
    keeper.close()
    wall.now -= 86400
    again = Keeper(tmp_path, False, wall)
    assert again.now.pause is not None
    assert again.now.pause.until == wall.now + 60
    again.close()


@pytest.mark.parametrize("text", ["", "[]", '{"pause": {"began": "now"}}', json.dumps({"plan": {"to": "sw2"}})])
def test_a_damaged_file_counts_as_no_order_and_is_told(tmp_path: Path, wall: Wall, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    keeper = Keeper(tmp_path, False, wall)
    assert keeper.now == Standing()
    assert "cannot be read, so no pause and no planned switchover stands" in keeper.trouble
    keeper.run()
    keeper.close()
    assert (tmp_path / FILE).read_text() == text, "nothing is lost before somebody has seen it"


@pytest.mark.parametrize("order", [Pause(1_000_000.0, 1_000_060.0), None], ids=["another order", "ovsha resume"])
def test_a_damaged_file_is_told_until_an_operator_gives_another_order(
    tmp_path: Path, wall: Wall, order: Pause | None
) -> None:
    (tmp_path / FILE).write_text("{")
    keeper = Keeper(tmp_path, False, wall)
    keeper.now = Standing(order)
    if order is None:
        keeper.unread = ""
    keeper.run()
    assert keeper.trouble == ""
    keeper.close()
    again = Keeper(tmp_path, False, wall)
    assert (again.now.pause, again.trouble) == (order, "")
    again.close()


def test_a_disk_that_takes_nothing_is_told_and_the_pause_holds_all_the_same(tmp_path: Path, wall: Wall) -> None:
    keeper = Keeper(tmp_path / "missing", False, wall)
    keeper.now = Standing(Pause(wall.now, wall.now + 60))
    while not keeper.trouble:
        keeper.run()
    assert "a pause does not survive a restart" in keeper.trouble
    assert (keeper.mode, keeper.saved) == (Mode.PAUSED, False)
    keeper.close()


def test_mode_advise_of_the_configuration_goes_before_a_pause(tmp_path: Path, wall: Wall) -> None:
    keeper = Keeper(tmp_path, True, wall)
    assert (keeper.mode, keeper.colour(BACKUP_VIEW).mode) == (Mode.ADVISE, Mode.ADVISE)
    keeper.close()
