"""Who was cut off from its clients for most of the time in which its peer was silent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ovsha.core.split_brain import Reach


def after(*looks: tuple[bool, float]) -> Reach:
    reach = Reach()
    for answered, seconds in looks:
        reach.look(answered, seconds)
    return reach


def test_nobody_is_cut_off_before_anything_was_seen() -> None:
    assert not Reach().cut_off


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), min_size=1))
def test_who_is_not_answered_for_more_than_half_of_the_time_was_cut_off(looks: list[tuple[bool, int]]) -> None:
    times = {answer: sum(seconds for answered, seconds in looks if answered is answer) for answer in (True, False)}
    assert after(*looks).cut_off is (times[False] > times[True])


def test_sessions_that_revive_just_before_the_two_meet_do_not_hide_that_it_was_cut_off() -> None:
    assert after((False, 0.1), (False, 0.1), (True, 0.1)).cut_off


def test_clients_that_take_a_moment_to_find_a_new_active_side_do_not_count_against_it() -> None:
    assert not after((False, 0.1), (False, 0.1), *[(True, 0.1)] * 5).cut_off


def test_another_silence_begins_anew() -> None:
    reach = after((False, 2.0))
    reach.forget()
    assert not reach.cut_off
    reach.look(True, 0.1)
    assert not reach.cut_off
