"""A pause lasts as long as was said, although the clock of the switch is set and the agent or the switch begins anew.

The clock of this machine is left alone: what the agents have kept on disk is changed to what it would be, had the
clock been set since.
"""

from __future__ import annotations

import json

import pytest

from lab import Lab
from story import LIMIT, MakeLab, await_pair, begin, status
from switch import Switch
from test_acting import MANUAL, done

YEARS = 6 * 365 * 86400.0


def clock_is_set(switch: Switch, seconds: float) -> None:
    """Leave what is on disk as if the clock had been set forward by so many seconds since it was written."""
    for name in ("standing.json", "pause-passed.json"):
        path = switch.directory / "state" / name
        if path.exists():
            document = json.loads(path.read_text())
            for values in (document, document.get("pause", {})):
                for key in ("began", "until", "wall"):
                    if key in values:
                        values[key] -= seconds
            path.write_text(json.dumps(document))


def left(switch: Switch) -> float | None:
    """Return how many seconds are left of the pause, None when there is none."""
    seconds: float | None = status(switch)["sides"][switch.node]["mode_left"]
    return seconds


@pytest.fixture
def paused(lab: MakeLab) -> Lab:
    """Give a pair whose backup is paused for half an hour."""
    pair = begin(lab, overrides=MANUAL)
    done(pair.sw2, "pause", "--yes", "--for", "30m")
    pair.wait_until(lambda: "not yet" not in pair.sw2.ovsha("status").stdout, LIMIT, "it is on disk")
    return pair


@pytest.mark.parametrize(
    "seconds", [YEARS, pytest.param(-YEARS, marks=pytest.mark.long), pytest.param(3600.0, marks=pytest.mark.long)]
)
def test_a_pause_stands_although_the_clock_is_set_while_the_agent_is_started_anew(paused: Lab, seconds: float) -> None:
    before = left(paused.sw2)
    paused.sw2.agent.kill()
    clock_is_set(paused.sw2, seconds)
    paused.sw2.agent.start()
    paused.wait_until(lambda: status(paused.sw2)["mode"] == "paused", LIMIT, "it is paused still")
    after = left(paused.sw2)
    assert before is not None
    assert after is not None
    assert 0 < after < before
    done(paused.sw2, "resume", "--yes")
    await_pair(paused, paused.sw1)


@pytest.mark.long
@pytest.mark.parametrize(("seconds", "stands"), [(-YEARS, True), (60.0, True), (YEARS, False)])
def test_over_a_reboot_a_pause_ends_by_the_clock_unless_that_is_before_its_beginning(
    paused: Lab, seconds: float, stands: bool
) -> None:
    before = left(paused.sw2)
    paused.sw2.power_off("kill")
    clock_is_set(paused.sw2, seconds)
    paused.sw2.power_on()
    mode = "paused" if stands else "active"
    paused.wait_until(lambda: status(paused.sw2)["mode"] == mode, LIMIT, f"its mode is {mode}")
    after = left(paused.sw2)
    assert before is not None
    assert (after is not None and after < before) if stands else after is None
