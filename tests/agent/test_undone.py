"""What somebody undoes again and again is done again ever more seldom, and at once after it was left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.agent.steps import MADE_ACTIVE, QUIET, WORDS, Undone
from ovsha.core.transition import Step

PUT_BACK = [Step.PROMOTE, Step.ADD_VIP, Step.OPEN_LISTENER, Step.OPEN_MANAGERS]
TAKEN_AWAY = [Step.DROP_VIP, Step.CLOSE_LISTENER, Step.CLOSE_MANAGERS]


class Fight:
    """Somebody undoes a step `after` so many seconds, each time; we do it again as soon as we may."""

    def __init__(self) -> None:
        self.undone, self.now = Undone(), 100.0

    def did(self, step: Step) -> None:
        self.undone.did(step, self.now)

    def blow(self, step: Step, after: float = 0.0, pid: int = 7) -> float:
        """Have it undone, and done again; return for how many seconds that was waited for."""
        self.now += after
        self.undone.due(step, pid, self.now)
        waited = max(0.0, (self.undone.not_before(step) or self.now) - self.now)
        self.now += waited
        self.did(step)
        return waited


@pytest.fixture
def fight() -> Fight:
    return Fight()


def begin(fight: Fight, step: Step) -> None:
    """Do it for the first time."""
    assert fight.blow(step) == 0.0
    fight.undone.incidents.clear()


@pytest.mark.parametrize("step", PUT_BACK)
def test_what_serves_is_put_back_at_once_and_then_ever_more_seldom_up_to_a_minute(fight: Fight, step: Step) -> None:
    begin(fight, step)
    waits = [fight.blow(step) for _ in range(12)]
    assert waits[0] == 0.0
    assert all(before < after or after == 60.0 for before, after in pairwise(waits))
    assert waits[-1] == 60.0
    (told,) = fight.undone.listed(fight.now)
    assert (told.words, told.count) == (WORDS[step], 12)


@pytest.mark.parametrize("step", TAKEN_AWAY)
def test_what_is_not_to_be_there_is_taken_away_within_a_second_however_often_it_comes(fight: Fight, step: Step) -> None:
    begin(fight, step)
    waits = [fight.blow(step) for _ in range(50)]
    assert waits[0] == 0.0
    assert max(waits) <= 1.0
    assert sum(waits) > 40.0, "and yet not as fast as somebody can put it there"


@pytest.mark.parametrize("step", PUT_BACK + TAKEN_AWAY)
def test_what_was_left_alone_for_a_minute_is_put_right_at_once_again(fight: Fight, step: Step) -> None:
    begin(fight, step)
    for _ in range(5):
        fight.blow(step)
    assert fight.blow(step, after=QUIET - 1) > 0
    assert fight.blow(step, after=QUIET) == 0.0
    assert fight.undone.listed(fight.now) == (), "once is no problem"


def test_what_we_undo_ourselves_is_nobody_elses_doing(fight: Fight) -> None:
    for _ in range(5):
        for step in (Step.ADD_VIP, Step.OPEN_LISTENER, Step.OPEN_MANAGERS, Step.PROMOTE):
            assert fight.blow(step) == 0.0
        for step in (Step.CLOSE_MANAGERS, Step.CLOSE_LISTENER, Step.DROP_VIP, Step.PARK_SERVER):
            assert fight.blow(step) == 0.0
    for _ in range(5):
        for step in (Step.PROMOTE, Step.OPEN_MANAGERS, Step.OPEN_LISTENER, Step.FENCE_SERVER):
            assert fight.blow(step) == 0.0
    assert (fight.undone.listed(fight.now), fight.undone.incidents) == ((), [])


def test_another_server_has_forgotten_its_remotes_and_its_role_and_nobody_has_removed_them(fight: Fight) -> None:
    for pid in range(5):
        for step in (Step.PROMOTE, Step.OPEN_MANAGERS, Step.OPEN_LISTENER):
            assert fight.blow(step, pid=pid) == 0.0
    assert (fight.undone.listed(fight.now), fight.undone.incidents) == ((), [])


def test_each_time_is_an_incident_but_for_roles_of_which_the_server_tells_itself(fight: Fight) -> None:
    for step in (Step.ADD_VIP, Step.PROMOTE):
        fight.blow(step)
        fight.blow(step)
    assert fight.undone.incidents == [WORDS[Step.ADD_VIP]]


def test_a_takeover_does_not_wait_for_a_fight_over_the_role_of_the_copy(fight: Fight) -> None:
    for _ in range(6):
        fight.undone.note(MADE_ACTIVE, fight.now)
        assert (fight.undone.not_before(Step.CONNECT) or 0.0) <= fight.now + 8.0
        assert fight.undone.not_before(Step.PROMOTE) is None
        assert fight.undone.not_before(Step.PARK_SERVER) is None


@given(st.lists(st.tuples(st.sampled_from(list(Step)), st.floats(0.0, 100.0)), max_size=80))
def test_nothing_waits_longer_than_a_minute_and_nothing_is_kept_for_ever(blows: list[tuple[Step, float]]) -> None:
    fight = Fight()
    for step, after in blows:
        assert fight.blow(step, after) <= 60.0
        assert all(each.count > 1 for each in fight.undone.listed(fight.now))
    assert fight.undone.listed(fight.now + QUIET) == ()
