"""Stand in the places of what a switch that stands alone has not: a peer's server, clagd, a VIP.

Nothing is talked to, nothing is raised, and there is never anything to wait for.
"""

from __future__ import annotations

from ovs.poller import Poller

from ovsha.core.facts import Clag, Source


class Absent:
    """What there is none of; it can be waited for and closed like what it stands for."""

    trouble = ""

    def wait(self, poller: Poller, now: float) -> None:
        """Wait for nothing."""

    def close(self, now: float = 0.0) -> None:
        """Let go of nothing."""


class Idle(Absent):
    """What has nothing to do."""

    def run(self, now: float, *what: object) -> None:
        """Do nothing."""


class NoEar(Absent):
    """An ear for other holders of a VIP."""

    def run(self, now: float, holding: bool) -> list[str]:
        """Return that nobody has claimed it."""
        return []


class NoVip(Idle):
    """A VIP that is nowhere; the core never asks for it where there is none."""

    present = False
    astray = False
    carrier = False
    mac = ""
    peer_carrier = None

    def add(self, now: float) -> None:
        """Add nothing."""

    def drop(self, now: float) -> None:
        """Drop nothing."""


class NoAnnouncer(Idle):
    """Announcements that nobody needs."""

    def once(self, now: float) -> None:
        """Announce nothing."""

    def start(self, now: float) -> None:
        """Announce nothing."""

    def stop(self) -> None:
        """Stop nothing."""


class NoSource(Idle):
    """A session to no server."""

    schema = None
    closed = ended = False

    def packet_age(self, now: float) -> None:
        """Return None: nobody has sent anything."""

    def facts(self, now: float) -> Source:
        """Return that nothing is known."""
        return Source()


class NoClag(Idle):
    """A clagd that nobody needs."""

    facts = Clag(trouble="this switch stands alone, so clagd is not asked")

    def age(self, now: float) -> None:
        """Return None: it was never asked."""

    def poke(self, now: float) -> None:
        """Ask nobody."""
