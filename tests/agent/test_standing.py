"""What an operator ordered for a while stands over a restart, ends in time, and holds nothing up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.agent.maintenance import FILE, FORGOTTEN_FOR, PASSED, Maintenance, MaintenanceFile, Pause, Plan
from ovsha.core.facts import Mode
from ovsha.host.boot_clock import Clocks
from tests.support.views import BACKUP_VIEW


class Wall:
    """The clocks of a switch: `now` is set, and the clock since boot goes on."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.up = 500.0
        self.boot = "first"

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now, self.up = self.now + seconds, self.up + seconds

    def reboot(self, at: float) -> None:
        """Begin another boot, with the wall clock at that."""
        self.boot, self.up, self.now = f"after {self.boot}", 5.0, at

    @property
    def clocks(self) -> Clocks:
        """Those of this boot."""
        return Clocks(self.boot, lambda: self.now, lambda: self.up)


@pytest.fixture
def wall() -> Wall:
    return Wall()


def kept(directory: Path, wall: Wall, stands: Maintenance) -> MaintenanceFile:
    """Return the keeper of an agent that was started after another one had been told `stands`."""
    first = MaintenanceFile(directory, False, wall.clocks)
    first.now = stands
    first.run()
    first.close()
    return MaintenanceFile(directory, False, wall.clocks)


def test_a_pause_and_a_plan_survive_the_agent(tmp_path: Path, wall: Wall) -> None:
    pause = Pause(wall.now, wall.now + 60, "alice", "cabling")
    stands = Maintenance(pause, Plan("sw2", wall.now + 90, "bob", "window"))
    again = kept(tmp_path, wall, stands)
    assert (again.now, again.mode, again.saved) == (stands, Mode.PAUSED, True)
    again.close()


def test_a_pause_ends_once_by_itself_and_is_told_as_forgotten_for_a_day(tmp_path: Path, wall: Wall) -> None:
    pause = Pause(wall.now, wall.now + 60)
    keeper = kept(tmp_path, wall, Maintenance(pause))
    assert keeper.run() is None
    assert keeper.colour(BACKUP_VIEW) == replace(BACKUP_VIEW, mode=Mode.PAUSED, mode_left=60.0)
    wall.pass_by(60)
    assert (keeper.run(), keeper.run()) == (pause, None)
    assert keeper.mode is Mode.ACTIVE
    assert keeper.colour(BACKUP_VIEW) is BACKUP_VIEW
    assert keeper.now.forgotten == pause
    wall.pass_by(FORGOTTEN_FOR + 1)
    keeper.run()
    assert keeper.now.forgotten is None
    keeper.close()


# -- what the clocks do ------------------------------------------------------------------------------------------------


STEPS = [-86400.0 * 2000, -7200.0, -1.0, 0.0, 1.0, 7200.0, 86400.0 * 2000]


def paused(directory: Path, wall: Wall, length: float = 600.0, limit: float = 3600.0) -> MaintenanceFile:
    """Return a keeper that was told a pause."""
    keeper = MaintenanceFile(directory, False, wall.clocks, limit)
    keeper.pause(length, "alice", "cabling")
    return keeper


def saved(keeper: MaintenanceFile) -> MaintenanceFile:
    """Have what stands reach the disk, as it does a moment later, and the agent be killed."""
    keeper.run()
    while not keeper.saved:
        keeper.run()
    return keeper


@pytest.mark.parametrize("step", STEPS)
def test_a_pause_lasts_as_long_as_was_said_although_the_clock_is_set(tmp_path: Path, wall: Wall, step: float) -> None:
    keeper = paused(tmp_path, wall)
    wall.pass_by(100)
    wall.now += step
    assert (keeper.run(), keeper.left) == (None, 500.0)
    wall.pass_by(499)
    assert (keeper.run(), keeper.mode) == (None, Mode.PAUSED)
    wall.pass_by(1)
    assert keeper.run() is not None
    assert keeper.forgotten_for == 0.0
    wall.now += step
    wall.pass_by(FORGOTTEN_FOR - 1)
    keeper.run()
    assert (keeper.now.forgotten is None, keeper.forgotten_for) == (False, FORGOTTEN_FOR - 1)
    keeper.close()


@pytest.mark.parametrize("step", STEPS)
def test_an_agent_that_is_killed_and_started_in_the_same_boot_goes_on_counting(
    tmp_path: Path, wall: Wall, step: float
) -> None:
    killed = saved(paused(tmp_path, wall))
    wall.pass_by(200)
    wall.now += step
    again = MaintenanceFile(tmp_path, False, wall.clocks)
    assert again.left == 400.0
    for keeper in (killed, again):
        keeper.close()


@pytest.mark.parametrize(
    ("step", "left"),
    [(300.0, 300.0), (30.0, 540.0), (900.0, 0.0), (-1.0, 540.0), (-86400.0 * 2000, 540.0)],
    ids=["later", "soon", "too late", "before it began", "years before"],
)
def test_over_a_reboot_the_wall_clock_counts_unless_it_is_before_the_beginning(
    tmp_path: Path, wall: Wall, step: float, left: float
) -> None:
    """Of a boot that ended up to a minute is not known, and counts as passed."""
    killed = saved(paused(tmp_path, wall))
    wall.reboot(at=wall.now + step)
    again = MaintenanceFile(tmp_path, False, wall.clocks)
    assert again.left == left
    again.run()
    wall.now += 86400.0 * 2000
    assert again.left == left, "what is set after the boot counts for nothing"
    for keeper in (killed, again):
        keeper.close()


def test_a_switch_that_boots_again_and_again_with_its_clock_reset_is_not_paused_for_ever(
    tmp_path: Path, wall: Wall
) -> None:
    keeper, boots = saved(paused(tmp_path, wall)), 0
    while keeper.mode is Mode.PAUSED:
        keeper.close()
        boots += 1
        assert boots <= 10
        wall.reboot(at=0.0)
        keeper = MaintenanceFile(tmp_path, False, wall.clocks)
        keeper.run()
    keeper.close()


def test_what_has_passed_is_noted_each_minute(tmp_path: Path, wall: Wall) -> None:
    keeper = paused(tmp_path, wall)
    for _ in range(5):
        saved(keeper)
        wall.pass_by(61)
    keeper.close()
    wall.reboot(at=0.0)
    again = MaintenanceFile(tmp_path, False, wall.clocks)
    assert again.left == 600.0 - 5 * 61 - 60.0
    again.close()


def test_a_limit_that_is_lower_than_a_pause_was_meant_to_be_ends_it(tmp_path: Path, wall: Wall) -> None:
    saved(paused(tmp_path, wall)).close()
    wall.pass_by(100)
    again = MaintenanceFile(tmp_path, False, wall.clocks, limit=100.0)
    assert again.run() is not None
    again.close()


OTHER_PAUSE = '{"wall": 1, "boot": "first", "at": 1, "passed": 9}'


@pytest.mark.parametrize("text", [None, "", "{}", OTHER_PAUSE, '{"passed": NaN}'])
def test_where_it_is_not_known_what_has_passed_the_wall_clock_tells(
    tmp_path: Path, wall: Wall, text: str | None
) -> None:
    """An earlier release has no such file, and may have left an old one."""
    saved(paused(tmp_path, wall)).close()
    if text is None:
        (tmp_path / PASSED).unlink()
    else:
        (tmp_path / PASSED).write_text(text)
    wall.pass_by(100)
    again = MaintenanceFile(tmp_path, False, wall.clocks)
    assert again.left == 500.0
    again.close()


@pytest.mark.parametrize("text", ["", "[]", '{"pause": {"began": "now"}}', json.dumps({"plan": {"to": "sw2"}})])
def test_a_damaged_file_counts_as_no_order_and_is_told(tmp_path: Path, wall: Wall, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    keeper = MaintenanceFile(tmp_path, False, wall.clocks)
    assert keeper.now == Maintenance()
    assert "cannot be read, so no pause and no planned switchover stands" in keeper.trouble
    keeper.run()
    keeper.close()
    assert (tmp_path / FILE).read_text() == text, "nothing is lost before somebody has seen it"


@pytest.mark.parametrize("order", [Pause(1_000_000.0, 1_000_060.0), None], ids=["another order", "ovsha resume"])
def test_a_damaged_file_is_told_until_an_operator_gives_another_order(
    tmp_path: Path, wall: Wall, order: Pause | None
) -> None:
    (tmp_path / FILE).write_text("{")
    keeper = MaintenanceFile(tmp_path, False, wall.clocks)
    keeper.now = Maintenance(order)
    if order is None:
        keeper.unread = ""
    keeper.run()
    assert keeper.trouble == ""
    keeper.close()
    again = MaintenanceFile(tmp_path, False, wall.clocks)
    assert (again.now.pause, again.trouble) == (order, "")
    again.close()


def test_a_disk_that_takes_nothing_is_told_and_the_pause_holds_all_the_same(tmp_path: Path, wall: Wall) -> None:
    keeper = MaintenanceFile(tmp_path / "missing", False, wall.clocks)
    keeper.now = Maintenance(Pause(wall.now, wall.now + 60))
    while not keeper.trouble:
        keeper.run()
    assert "a pause does not survive a restart" in keeper.trouble
    assert (keeper.mode, keeper.saved) == (Mode.PAUSED, False)
    keeper.close()


def test_mode_advise_of_the_configuration_goes_before_a_pause(tmp_path: Path, wall: Wall) -> None:
    keeper = MaintenanceFile(tmp_path, True, wall.clocks)
    assert (keeper.mode, keeper.colour(BACKUP_VIEW).mode) == (Mode.ADVISE, Mode.ADVISE)
    keeper.close()
