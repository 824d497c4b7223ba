"""Read and print moments as an operator writes them: local time, or so long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ovsha.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
FORMS = "2026-11-21T08:40:12, 08:40, or 90s, 30m, 2h, 3d ago"


def past(text: str, now: float) -> float:
    """Return the moment, seconds since 1970, that `text` names; `now` is the present one.

    Raises ConfigError when it names none.
    """
    ago = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(s|m|min|h|d)(?: *ago)?", text.strip())
    if ago is not None:
        return now - float(ago[1]) * _UNITS[ago[2]]
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


def local(at: float) -> str:
    """Return a moment in local time, with its zone, as ISO 8601 has it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="milliseconds")
