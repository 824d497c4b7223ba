"""Say whether a claim to the VIP that somebody else has made is answered by an announcement of ours.

RFC 5227 section 2.4 (c): who keeps an address against others answers a claim by one announcement, so that the
neighbours are not left with the other's MAC, and by no more than one in ten seconds, so that two who both want it
do not fill the network.  The peer of a pair is another matter: who of the two has the VIP is settled between them.
"""

from __future__ import annotations

from ovsha.core.case import Case
from ovsha.core.election import Goal
from ovsha.core.facts import Presence

INTERVAL = 10.0
"""Seconds between two answers: DEFEND_INTERVAL of RFC 5227."""


def answered(c: Case, goal: Goal, mac: str) -> bool:
    """Tell whether the claim of `mac` is to be answered by this side, which does what `goal` says."""
    if goal is not Goal.SERVE or not c.serving or not c.view.vip.present:
        return False
    if c.standalone:
        return True
    peer = c.view.record
    if peer is None:
        # Its MAC is not known: the claim may be its own, and right, unless there is nobody who could have made it.
        return c.presence in (Presence.DEAD, Presence.NEVER)
    if peer.mac and mac != peer.mac:
        return True
    return c.alive and not peer.serving and not peer.vip
