"""A model of clagd: which role it takes, and what clagctl says of the peer, in each failure.

The roles follow from what the two daemons hear of each other, with the delays of the real
ones divided by ten (20 s until a silent peer counts as dead, 300 s until a switch that has
booted alone claims the primary role):

* the lower priority is primary while the two hear each other over the peer link;
* one that is told goodbye becomes primary at once;
* a secondary that loses the peer becomes primary only when the backup path, which had
  worked, falls silent too; without a backup path it stays secondary for ever;
* a cut peer link changes no role.

What clagctl prints is as old as the last question.
"""

from __future__ import annotations

from typing import Protocol

from ovsha.core.facts import Clag, MlagRole
from tests.sim.clock import Clock
from tests.sim.network import BACKUP, Network

PEER_TIMEOUT = 2.0
RELOAD_TIMEOUT = 30.0
ASKED_EVERY = 0.25
NEVER = float("-inf")


class Place(Protocol):
    """The switch on which a clagd runs."""

    node: str
    up: bool


class Clagd:
    """One clagd; `priority` is the lower for the one that is to be primary, `forced` overrides what clagctl says."""

    def __init__(self, place: Place, clock: Clock, network: Network, priority: int) -> None:
        self.place, self.priority = place, priority
        self.peer: Clagd = self
        self.running = False
        self.starts = 0
        self.has_backup_path = True
        self.role = MlagRole.SECONDARY
        self.forced: Clag | None = None
        self.facts = Clag()
        self._clock, self._network = clock, network
        self._peer_at = self._backup_at = NEVER
        self._backup_worked = self._met = False
        self._started_at = 0.0
        self._tick()

    def start(self) -> None:
        """Start as secondary, knowing nobody."""
        if self.place.up and not self.running:
            self.running, self.starts = True, self.starts + 1
            self.role, self._started_at = MlagRole.SECONDARY, self._clock.now
            self._peer_at = self._backup_at = NEVER
            self._backup_worked = self._met = False

    def crash(self) -> None:
        """End without a word."""
        self.running = False

    def stop(self) -> None:
        """End with a goodbye to the peer, over whichever path works."""
        if self.running:
            self.running = False
            if self._linked() or self._backed(self.peer):
                self.peer.part()

    def part(self) -> None:
        """Hear the peer's goodbye."""
        if self.running:
            self._peer_at = self._backup_at = NEVER
            self.role = MlagRole.PRIMARY

    def ask(self) -> None:
        """Bring what clagctl says up to date."""
        now = self._clock.now
        if not self.running:
            self.facts = Clag(trouble="Unable to communicate with clagd. Is it running?")
            return
        self._peer_at = now if self._linked() else self._peer_at
        self._backup_at = now if self._backed(self) else self._backup_at
        carrier = self._network.carrier and self.peer.place.up
        alive = carrier and now - self._peer_at < PEER_TIMEOUT
        backed = now - self._backup_at < PEER_TIMEOUT
        self._elect(now, alive, backed)
        peer_role = self.peer.role if alive or backed else None
        said = Clag(self.role, peer_role, alive, backed, "")
        if self.forced is not None:
            role = self.forced.role
            said = Clag(role, peer_role, alive, backed, "") if role is not None else self.forced
        self.facts = said

    def _elect(self, now: float, alive: bool, backed: bool) -> None:
        self._met = self._met or alive or backed
        if backed or alive:
            self._backup_worked = backed
        if alive:
            first = (self.priority, self.place.node) < (self.peer.priority, self.peer.place.node)
            self.role = MlagRole.PRIMARY if first else MlagRole.SECONDARY
        elif (self._backup_worked and not backed) or self._alone_for(now) >= RELOAD_TIMEOUT:
            self.role = MlagRole.PRIMARY

    def _alone_for(self, now: float) -> float:
        return 0.0 if self._met else now - self._started_at

    def _linked(self) -> bool:
        network = self._network
        return self.peer.running and not network.tcp_cut and network.carrier

    def _backed(self, receiver: Clagd) -> bool:
        sender = receiver.peer
        arrives = self._network.carries(BACKUP, sender.place.node)
        return self.has_backup_path and arrives and (sender.running or sender is self)

    def _tick(self) -> None:
        self.ask()
        self._clock.after(ASKED_EVERY, self._tick)
