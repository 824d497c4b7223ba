"""Tell when two switches were in live sessions with the controller at once."""

from __future__ import annotations

from session import EventFile

LIVE = 0.25
"""Seconds for which a session counts as live after an answered echo."""


class Overlaps:
    """Tell when two switches were in live sessions at once."""

    def __init__(self, events: EventFile) -> None:
        self._events = events
        self._answered: dict[int, tuple[str, float]] = {}
        self._since: float | None = None
        self._until = 0.0
        self._switches: list[str] = []
        self.seconds = 0.0

    def answered(self, session: int, switch: str, now: float) -> None:
        """An echo was answered."""
        self._answered[session] = (switch, now)
        self.look(now)

    def closed(self, session: int, now: float) -> None:
        """The session is over, and not live any more."""
        self._answered.pop(session, None)
        self.look(now)

    def look(self, now: float) -> None:
        """Begin or end an overlap by what is known at `now`."""
        ends: dict[str, float] = {}
        for switch, answered in self._answered.values():
            ends[switch] = max(ends.get(switch, 0.0), answered + LIVE)
        live = {switch: end for switch, end in ends.items() if end > now}
        if len(live) < 2:
            self.end(now)
            return
        self._until = sorted(live.values())[-2]
        if self._since is None:
            self._since, self._switches = now, sorted(live)
            self._events.write("overlap-began", switches=self._switches)

    def end(self, now: float) -> None:
        """Record the overlap that is open, if one is: it lasted until `now` or until the silence grew too long."""
        if self._since is not None:
            until = min(now, self._until)
            self._events.write("overlap", **{"from": self._since, "until": until, "switches": self._switches})
            self.seconds += until - self._since
            self._since = None
