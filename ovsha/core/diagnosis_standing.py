"""Say of a side that carries out nothing that it does not, until when, and what it leaves undone.

Each function yields what it found and what to do, for the rows of ovsha.core.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovsha.core.facts import Mode, Record
from ovsha.core.outside import Outside
from ovsha.core.side import Decision
from ovsha.core.words import ago, span

Finding = tuple[str, str]


def idle(sides: tuple[Record, ...], decision: Decision, outside: Outside) -> Iterator[Finding]:
    """Yield each side that is paused or only advises; of the peer no more is known than its record says."""
    own = decision.record.node
    for side in sides:
        undone = f"; it would {', '.join(step.value for step in decision.would)}" if side.node == own else ""
        undone = undone if decision.would else ""
        if side.mode is Mode.ADVISE:
            what = f"{side.node} only advises and carries out nothing{undone}"
            yield what, f"set mode: active in the configuration of {side.node} and reload ovsha there"
        if side.mode is Mode.PAUSED:
            left = "" if side.mode_left is None else f" for another {span(side.mode_left)}"
            note = _note(outside) if side.node == own else ""
            what = f"{side.node} is paused{left}{note}, and carries out nothing{undone}"
            yield what, f"`ovsha resume` on {side.node} when the work is done; it ends by itself"


def upgrade(sides: tuple[Record, ...], outside: Outside) -> Iterator[Finding]:
    """Yield each side that is in an upgrade."""
    for side in sides:
        if side.upgrade is not None:
            own = outside.upgrade if side.node == sides[0].node else None
            late = f", longer than {span(own.limit)}" if own is not None and own.late else ""
            by = f" by {own.who}" if own is not None and own.who else ""
            why = f" ({own.reason})" if own is not None and own.reason else ""
            what = f"{side.node} is in an upgrade for {span(side.upgrade)}{late}{by}{why}, and takes nothing over"
            yield what, f"`ovsha upgrade finish` on {side.node} when it is done"


def way_out_of_upgrade(side: Record, alive: bool, other: str) -> str:
    """Return what an operator can do where a side that is in an upgrade has nobody to follow."""
    if alive:
        return (
            f"have {other} serve; if that cannot be, `ovsha resolve --keep self --reason TEXT` on the side with the"
            f" newer data serves it, and ends the upgrade there"
        )
    return f"bring {other} back; if it is lost, `ovsha upgrade finish --peer-lost` on {side.node} serves what it has"


def forgotten(outside: Outside) -> Iterator[Finding]:
    """Yield a pause that ended by itself, until somebody takes note of it."""
    pause = outside.forgotten
    if pause is not None:
        by = f" by {pause.who}" if pause.who else ""
        what = f"the pause{by} was forgotten: it ended by itself {ago(-pause.left)}, and this side acts again"
        yield what, "see whether the work is finished, then `ovsha resume` to take note of it"


def _note(outside: Outside) -> str:
    pause = outside.pause
    if pause is None:
        return ""
    by = f" by {pause.who}" if pause.who else ""
    return by + (f" ({pause.reason})" if pause.reason else "")
