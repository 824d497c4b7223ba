"""Hear who else claims the VIP or contradicts our configuration, tell it, and answer claims to the VIP.

A claim is answered at once, but no more than one in ten seconds, however many there are.
"""

from __future__ import annotations

from ovs.poller import Poller

from ovsha.config import Config
from ovsha.core import rival
from ovsha.core.case import Case
from ovsha.core.collisions import Collisions, Kind
from ovsha.core.election import Goal
from ovsha.core.facts import Record
from ovsha.drivers.absent import NoEar
from ovsha.drivers.duplicate import DuplicateEar
from ovsha.making import PEER_LINK


class Rivals:
    """What `ear` hears, and what the peer says, of who is in our way; it is noted in `collisions`."""

    def __init__(self, config: Config, ear: DuplicateEar | NoEar, collisions: Collisions) -> None:
        self._config, self._ear, self._collisions = config, ear, collisions
        self._claims: list[str] = []
        self._owed = False
        self._not_before = float("-inf")

    def hear(self, now: float, holding: bool, record: Record | None) -> None:
        """Hear who else claims the VIP while we are `holding` it; the peer's last `record` tells which MAC it has."""
        for mac in self._ear.run(now, holding):
            kind = Kind.PEER_VIP if record is not None and mac == record.mac else Kind.VIP
            self._collisions.see(now, kind, mac, self._config.vip.interface)
            self._claims.append(mac)
        if not holding:
            self._collisions.end(Kind.PEER_VIP)

    def met(self, record: Record, now: float) -> None:
        """Note what the peer's `record`, which has just come, contradicts, and what has ended as it says."""
        config, theirs = self._config, record.preferred
        preferred = config.pair.preferred
        if preferred in (config.node, config.peer) and theirs not in (None, preferred):
            claim = f"{config.node} {preferred}, and {config.peer} {theirs}"
            self._collisions.see(now, Kind.PREFERRED, str(config.other.peer_link), PEER_LINK, claim)
        else:
            self._collisions.end(Kind.PREFERRED)
        if record.mac:
            self._collisions.known_as(record.mac, Kind.VIP, Kind.PEER_VIP)
        if not record.vip:
            self._collisions.end(Kind.PEER_VIP)

    def owes(self, case: Case, goal: Goal) -> bool:
        """Return whether the VIP is to be announced now, and take it as announced.

        What is claimed less than ten seconds after an answer is answered when they are over.  A side that carries out
        nothing answers when it acts again, and one that gives the VIP away, never.
        """
        kept = self._owed and goal is Goal.SERVE and case.view.vip.present
        self._owed = any(rival.answered(case, goal, mac) for mac in self._claims) or kept
        self._claims.clear()
        now = case.view.now
        if not self._owed or case.idle or now < self._not_before:
            return False
        self._owed, self._not_before = False, now + rival.INTERVAL
        return True

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for the answer that is owed."""
        if self._owed and now < self._not_before:
            poller.timer_wait(int((self._not_before - now) * 1000) + 1)
