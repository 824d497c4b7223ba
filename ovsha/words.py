"""Write times and small facts the way an operator reads them."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def span(seconds: float) -> str:
    """Return a length of time in at most two units: 0.004 s, 12 s, 5 min 12 s, 3 d 4 h."""
    if seconds < 60:
        return f"{_digits(max(0.0, seconds))} s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (*_UNITS, ("s", 1)):
        number, rest = divmod(rest, size)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts[:2] if part)


def ago(seconds: float | None) -> str:
    """Return how long ago that was, "never" for None."""
    return "never" if seconds is None else f"{span(seconds)} ago"


def yes(value: bool | None) -> str:
    """Return yes, no, or unknown for None."""
    return "unknown" if value is None else "yes" if value else "no"


def count(number: int, what: str) -> str:
    """Return how many there are: 1 row, 1,200 rows."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _digits(seconds: float) -> str:
    """Show a thousandth of what is short, and no more than a second of what is long."""
    return f"{seconds:.3f}" if seconds < 0.1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"
