"""An operator's times are read as they are meant, and anything else is refused before anything is done."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ovsha import times
from ovsha.errors import UsageError

NOW = datetime(2026, 11, 21, 14, 30, 15).astimezone()


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("90s", 90), ("1h30m", 5400), ("2 h", 7200), ("1d", 86400), ("5min", 300)]
)
def test_spans(text: str, seconds: float) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0s", "half an hour", "30m!", "-5m", "m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no span of time"):
        times.seconds(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("+30m", NOW + timedelta(minutes=30)),
        ("14:31", NOW.replace(minute=31, second=0)),
        ("02:30", (NOW.replace(tzinfo=None, hour=2, second=0) + timedelta(days=1)).astimezone()),
        ("2026-11-22T02:30", datetime(2026, 11, 22, 2, 30).astimezone()),
    ],
)
def test_moments_are_local_and_a_time_of_day_is_the_next_one(text: str, wanted: datetime) -> None:
    assert times.future_moment(text, NOW) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("25:00", "is no moment"),
        ("tonight", "is no moment"),
        ("2026-11-20T02:30", "is over"),
        ("2027-01-01", "more than a week away"),
        ("+8d", "more than a week away"),
    ],
)
def test_a_moment_that_cannot_be_meant_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        times.future_moment(text, NOW)
