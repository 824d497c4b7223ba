"""Choose which of many decisions are worth a place on the disk.

Those that differ from the one before are, with the last one before them and one in
`SPACING` seconds of the `SPAN` seconds before; so is one in `SPACING` seconds before and
after an event; and one in `EVERY` seconds whatever happens.  Times are those of the views.
"""

from __future__ import annotations

from collections import deque

from ovsha.core.trace import Entry

SPAN, SPACING, EVERY = 3.0, 0.25, 600.0


class Around:
    """What was chosen, and what may yet be; `turn` is the number of the last decision, 0 before the first."""

    def __init__(self) -> None:
        self.turn = 0
        self._last: Entry | None = None
        self._written: Entry | None = None
        self._recent: deque[Entry] = deque(maxlen=round(SPAN / SPACING))
        self._until = float("-inf")

    def note(self, entry: Entry) -> list[Entry]:
        """Return what is to be written now that this was decided, the oldest first."""
        last, self._last, self.turn = self._last, entry, entry.number
        now = entry.view.now
        if last is None or last.outcome != entry.outcome:
            return self._chosen([*self._before(now), *([last] if last is not None else []), entry])
        written = self._written
        since = now - written.view.now if written is not None else EVERY
        if since >= EVERY or (now < self._until and since >= SPACING):
            return self._chosen([entry])
        if not self._recent or now - self._recent[-1].view.now >= SPACING:
            self._recent.append(entry)
        return []

    def event(self) -> list[Entry]:
        """Return what is to be written because something happens now."""
        if self._last is None:
            return []
        now = self._last.view.now
        self._until = now + SPAN
        return self._chosen([*self._before(now), self._last])

    def _before(self, now: float) -> list[Entry]:
        before = [each for each in self._recent if now - each.view.now <= SPAN]
        self._recent.clear()
        return before

    def _chosen(self, entries: list[Entry]) -> list[Entry]:
        """Return those that were not written before, which is in their order."""
        fresh: list[Entry] = []
        for each in entries:
            if self._written is None or each.number > self._written.number:
                self._written = each
                fresh.append(each)
        return fresh
