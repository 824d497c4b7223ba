"""Take recorded decisions again, and tell those that come out otherwise now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ovsha.core import trace
from ovsha.core.trace import Entry


def differing(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return, as JSON values, each decision that this release takes otherwise, or gives another reason for."""
    return [_told(entry) for entry in entries if not trace.holds(entry)]


def _told(entry: Entry) -> dict[str, Any]:
    decision = trace.replay(entry)
    now = trace.outcome(decision)
    changed = [name for name, value in asdict(entry.outcome).items() if getattr(now, name) != value]
    return {
        "at": entry.at,
        "node": entry.view.settings.node,
        "turn": entry.number,
        "what": f"another {' and '.join(changed)}" if changed else "the same for another reason",
        "changed": changed,
        "then": {**asdict(entry.outcome), "why": entry.why},
        "now": {**asdict(now), "why": decision.why},
    }
