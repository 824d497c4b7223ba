"""What the kernel of the other simulated switch answers, in the place of ovsha.net.icmp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovsha.core.echo import BURST, PROVEN
from ovsha.core.facts import EchoPath
from tests.sim.network import BACKUP, LINK

if TYPE_CHECKING:
    from tests.sim.side import Agent

ROUND_TRIP = 0.002


@dataclass
class _Way:
    """The echoes over one path; `under_way`: when the answers will be here."""

    path: str
    due: float = 0.0
    answered_at: float | None = None
    asked: int = 0
    asked_at: float | None = None
    under_way: list[float] = field(default_factory=list)


class Echoes:
    """The echoes of one agent; it has run for long, so many were answered before the story begins."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.answered = PROVEN
        self._ways = [_Way(LINK), _Way(BACKUP)]

    def run(self, now: float, every: float) -> None:
        """Take the answers that have come, and ask when that is due."""
        for way in self._ways:
            here = [at for at in way.under_way if at <= now]
            if here:
                way.answered_at, self.answered = now, self.answered + len(here)
                way.under_way = [at for at in way.under_way if at > now]
            if now >= way.due or way.due > now + every:
                way.due = now + every
                self._ask(way, now)

    def burst(self, now: float) -> None:
        """Ask several times at once on both paths."""
        for way in self._ways:
            way.asked, way.asked_at = 0, None
            for _ in range(BURST):
                if self._ask(way, now):
                    way.asked, way.asked_at = way.asked + 1, now

    def facts(self, now: float) -> tuple[EchoPath, ...]:
        """Return what is known of each path."""
        return tuple(
            EchoPath(
                way.path,
                self._carrier(way.path),
                None if way.answered_at is None else now - way.answered_at,
                asked=way.asked,
                asked_age=None if way.asked_at is None else now - way.asked_at,
            )
            for way in self._ways
        )

    def forget(self) -> None:
        """Forget what is under way."""
        for way in self._ways:
            way.under_way.clear()
            way.asked, way.asked_at = 0, None

    def close(self) -> None:
        """Close nothing."""

    def _ask(self, way: _Way, now: float) -> bool:
        pair, node = self.agent.pair, self.agent.host.node
        if not self._carrier(way.path):
            return False
        other = pair.other(node)
        carried = pair.network.carries(way.path, node) and pair.network.carries(way.path, other.node)
        lost = pair.network.loss > 0 and pair.clock.chance(pair.network.loss)
        if other.up and carried and not lost:
            way.under_way.append(now + ROUND_TRIP)
        return True

    def _carrier(self, path: str) -> bool:
        """Tell of the carrier here: that of the backup path is the management network's."""
        return path == BACKUP or self.agent.pair.carrier(self.agent.host.node)
