"""Settle by an operator's word whose data is kept, where the pair cannot tell by itself.

It may be said on either side.  The side whose data is kept asks for the service, which the
other side then gives whatever the state of the copies is; the other side takes a snapshot of
its own data and follows.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import guard
from ovsha.core.case import Case
from ovsha.core.facts import Presence
from ovsha.core.memory import Memory

DECISION_HOLDS = 60.0
"""Seconds within which an operator's decision is carried out, or forgotten."""


def refusal(c: Case, asked: bool, keep: str) -> str:
    """Say why node `keep`'s data cannot be kept by a word of the operator; `asked`: this side waits for such a word."""
    settings = c.view.settings
    idle = c.idle_side
    if idle:
        return idle
    if c.standalone and keep != settings.node:
        return f"{settings.node} stands alone: there is no other side whose data could be kept"
    if keep not in (settings.node, settings.peer):
        return f"node {keep} is not of this pair: it has {settings.node} and {settings.peer}"
    if not asked and not (c.alive and c.peer.decision):
        return "nothing waits for a decision; see ovsha status"
    if c.presence is Presence.SILENT:
        return f"the agent on {settings.peer} is silent while its switch lives: start ovsha there first"
    if keep == settings.peer:
        if c.peer_upgrading:
            return f"{settings.peer} is in an upgrade: say it on {settings.peer}, which ends the upgrade there"
        if not c.alive:
            return f"{settings.peer} is not heard: bring it up first, then its data can be copied"
        row = guard.objection(c)
        if row is not None and row.final and c.peer.serving:
            return row.find(c)
    return ""


def decided(c: Case, keep: str) -> Memory:
    """Return the memory with the operator's decision in it."""
    return replace(c.memory, keep=keep, keep_until=c.view.now + DECISION_HOLDS, failed_copies=0, moves=())
