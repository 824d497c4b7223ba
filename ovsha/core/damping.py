"""Keep a pair whose faults come and go from moving its service for ever.

Only what is done by choice is held: giving the service back to the original primary, or to
the clagd primary of a cut pair.  A failover is never held, for that would turn flapping
into an outage.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import ordered
from ovsha.core.case import Case
from ovsha.core.memory import Memory


def count(c: Case) -> Memory:
    """Return the memory with a move that was just seen; those that an operator ordered do not count."""
    memory, settings = c.memory, c.view.settings
    holder = ordered.holder(c)
    if holder == memory.holder:
        return memory
    uncounted = memory.holder is None or ordered.arrived(c)
    memory = replace(memory, holder=holder, sent=None)
    if uncounted:
        return memory
    recent = tuple(moment for moment in memory.moves if c.view.now - moment < settings.move_window)
    return replace(memory, moves=(*recent, c.view.now)[-settings.move_limit :])


def held_for(c: Case) -> float | None:
    """Return the seconds for which moves by choice are still held, None when they are not."""
    memory, settings = c.memory, c.view.settings
    if len(memory.moves) < settings.move_limit:
        return None
    left = memory.moves[-settings.move_limit] + settings.move_window - c.view.now
    return left if left > 0 else None
