"""Read the times and spans that an operator types: 30m, 1h30m, 14:30, 2026-11-21T02:00, +30m."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ovsha.errors import UsageError

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
FARTHEST = 7 * 86400.0
"""Seconds beyond which nothing is planned: who ordered it would not remember."""


def seconds(text: str) -> float:
    """Return a span such as 30m, 90s or 1h30m in seconds.  Raises UsageError for anything else."""
    parts, rest = _PART.findall(text), _PART.sub("", text).strip()
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not parts or rest or total <= 0:
        raise UsageError(f"{text!r} is no span of time: write it like 30m, 90s or 1h30m")
    return total


def moment(text: str, now: datetime) -> datetime:
    """Return the moment meant, with its zone; a time of day is the next one in local time, and `now` has a zone.

    Raises UsageError for what is no moment, is over, or is too far off.
    """
    found = _moment(text.strip(), now)
    if found is None:
        raise UsageError(f"{text!r} is no moment: write it like +30m, 02:30 or 2026-11-21T02:30")
    if found <= now:
        raise UsageError(f"{found.isoformat(timespec='seconds')} is over")
    if (found - now).total_seconds() > FARTHEST:
        raise UsageError(f"{found.isoformat(timespec='seconds')} is more than a week away")
    return found


def _moment(text: str, now: datetime) -> datetime | None:
    if text.startswith("+"):
        return now + timedelta(seconds=seconds(text[1:]))
    try:
        clock = _CLOCK.fullmatch(text)
        if clock is None:
            return datetime.fromisoformat(text).astimezone()
        hour, minute, second = (int(part or 0) for part in clock.groups())
        # Without its zone, which may be another one on the day that is meant.
        day = now.replace(tzinfo=None, hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        return None
    found = day.astimezone()
    return found if found > now else (day + timedelta(days=1)).astimezone()
