"""A copy is in sync when every token shows up in it soon, and not because it says so."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ovsha.core.facts import Copy, Server, Source, Stamp, Token
from ovsha.core.lineage import CopyWatch

LAG, INTERVAL = 1.0, 2.0
STAMP = Stamp(3, "sw2")


def own(token: Token | None, stamp: Stamp | None = STAMP) -> Server:
    return Server(loaded=True, stamp=stamp, token=token)


def other(token: Token | None) -> Source:
    return Source(loaded=True, stamp=STAMP, token=token)


def watch() -> CopyWatch:
    return CopyWatch(LAG, INTERVAL)


def test_a_copy_is_in_sync_from_the_first_token_that_showed_up_in_it() -> None:
    copy = watch()
    assert copy.look(10.0, own((3, 0)), other((3, 1)), True) == Copy()
    assert copy.look(10.2, own((3, 1)), other((3, 1)), True) == Copy(0.0, 10.2 - 10.0)
    assert copy.look(11.2, own((3, 1)), other((3, 1)), True).in_sync_for == 11.2 - 10.2


def test_a_token_that_is_late_ends_it_and_the_next_one_in_time_begins_it_anew() -> None:
    copy = watch()
    copy.look(10.0, own((3, 1)), other((3, 1)), True)
    assert copy.look(10.5, own((3, 1)), other((3, 2)), True).in_sync_for == 0.5
    assert copy.look(11.5, own((3, 1)), other((3, 2)), True).in_sync_for == 1.5
    assert copy.look(11.6, own((3, 1)), other((3, 2)), True).in_sync_for is None
    assert copy.look(12.0, own((3, 2)), other((3, 2)), True) == Copy(0.0, 1.5)


def test_an_active_side_that_commits_no_tokens_any_more_proves_nothing() -> None:
    copy = watch()
    copy.look(10.0, own((3, 1)), other((3, 1)), True)
    assert copy.look(10.0 + 3 * INTERVAL + LAG, own((3, 1)), other((3, 1)), True).in_sync_for is not None
    assert copy.look(10.1 + 3 * INTERVAL + LAG, own((3, 1)), other((3, 1)), True).in_sync_for is None


def test_what_is_no_copy_of_this_lineage_is_not_in_sync() -> None:
    for changed in (
        (own((3, 1)), other((3, 1)), False),
        (own((3, 1), stamp=None), other((3, 1)), True),
        (own((3, 1), stamp=Stamp(2, "sw2")), other((3, 1)), True),
        (own((3, 1)), replace(other((3, 1)), loaded=False), True),
    ):
        copy = watch()
        copy.look(10.0, own((3, 1)), other((3, 1)), True)
        assert copy.look(11.0, *changed) == Copy()
        assert copy.look(12.0, own((3, 1)), other((3, 1)), True).in_sync_for == 0.0, "it begins anew"


def test_a_token_that_is_here_before_it_was_seen_there_has_no_lag() -> None:
    copy = watch()
    assert copy.look(10.0, own((3, 2)), other((3, 1)), True) == Copy(0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.booleans(), st.booleans()), max_size=40))
def test_a_copy_in_sync_holds_every_token_that_is_older_than_the_allowed_lag(
    steps: list[tuple[float, bool, bool]],
) -> None:
    copy, now, here, there = watch(), 0.0, 0, 0
    seen: dict[int, float] = {}
    for delay, committed, arrived in steps:
        now += delay
        if committed:
            there += 1
        seen.setdefault(there, now)
        here = there if arrived else here
        state = copy.look(now, own((3, here)), other((3, there)), True)
        if state.in_sync_for is not None:
            assert all(number <= here for number, at in seen.items() if now - at > LAG)
            assert now - seen[there] <= 3 * INTERVAL + LAG
