"""Read the moments and spans that an operator types, and write moments in local time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ovsha.errors import ConfigError, UsageError

_AGO = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
FORMS = "2026-11-21T08:40:12, 08:40, or 90s, 30m, 2h, 3d ago"


def past_moment(text: str, now: float) -> float:
    """Return the moment, seconds since 1970, that `text` names; `now` is the present one.

    Raises ConfigError when it names none.
    """
    ago = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(s|m|min|h|d)(?: *ago)?", text.strip())
    if ago is not None:
        return now - float(ago[1]) * _AGO[ago[2]]
    today = datetime.fromtimestamp(now).astimezone()
    clock = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]+)?))?", text.strip())
    if clock is not None:
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3] or 0)
        at = midnight + timedelta(seconds=seconds)
        return (at if at.timestamp() <= now else at - timedelta(days=1)).timestamp()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r:.60} is no time; write {FORMS}") from None


def local_moment(at: float) -> str:
    """Return a moment in local time, with its zone, as ISO 8601 has it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="milliseconds")


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


def future_moment(text: str, now: datetime) -> datetime:
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
