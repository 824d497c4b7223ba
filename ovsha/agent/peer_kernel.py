"""Watch whether the peer's kernel is there: ask it on every path, at once when something makes the peer suspect."""

from __future__ import annotations

from collections.abc import Mapping

from ovs.poller import Poller

from ovsha.agent.drivers import NoSource
from ovsha.core.echo import EchoWatch
from ovsha.core.facts import Kernel
from ovsha.net.icmp import Echoes
from ovsha.ovsdb.peer_server import PeerSource

_QUICK = 0.02  # seconds between two looks while an answer may come that would refute a suspicion


class KernelWatch:
    """What `echoes` and the session `source` to the peer's server show together."""

    def __init__(self, echoes: Echoes, source: PeerSource | NoSource, dead_interval: float) -> None:
        self.echoes = echoes
        self._source = source
        self._watch = EchoWatch(dead_interval)

    def run(self, now: float, every: float, heard: float | None, goodbye: bool) -> None:
        """Ask each `every` seconds, take what has come, and ask at once when that makes the peer suspect.

        `heard`: seconds since its agent was heard, None for never.  `goodbye`: that one has said that it ends.
        """
        self.echoes.run(now, every)
        if self._watch.look(now, heard, self._source.closed, self._seen(now), goodbye):
            self.echoes.burst(now)

    def facts(self, now: float) -> Kernel:
        """Return what is known of the peer's kernel."""
        return self._watch.facts(now, self._seen(now))

    def trouble(self, heartbeats: Mapping[str, str]) -> str:
        """Return why it cannot be asked although `heartbeats`, by path, have no trouble; "" when it can."""
        return self.echoes.trouble(heartbeats)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for what comes, and often while it matters when that is."""
        self.echoes.wait(poller, now)
        if self._watch.pending(now):
            poller.timer_wait(int(_QUICK * 1000))

    def forget(self) -> None:
        """Begin anew after the loop was away: what was asked, and what waits in the sockets, says nothing of now."""
        self.echoes.forget()
        self._watch.forget()

    def close(self) -> None:
        """Close the sockets."""
        self.echoes.close()

    def _seen(self, now: float) -> Kernel:
        source = self._source
        return Kernel(
            self.echoes.answered,
            paths=self.echoes.facts(now),
            packet_age=source.packet_age(now),
            ended=source.ended,
        )
