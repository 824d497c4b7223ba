"""Decide the role of one switch of an MLAG pair as clagd does, from what is heard of the peer and when.

No clock and no socket: the daemon beside this file brings both.  What holds, by the vendor's pages:

* a switch starts as secondary; while the peer is alive the lower priority is primary, then the lower MAC, at once and
  pre-emptively;
* a peer that says goodbye leaves the primary role to us at once;
* a secondary whose peer falls silent promotes itself only when the backup path had been working and falls silent too;
  while that path works it stays secondary (only the peer link is broken), and without one it stays secondary for ever;
* a switch that has heard nobody since it started becomes primary when the reload timer ends.

The peer is alive when it was heard over the peer link within the peer timeout, says that it hears us, and the peer link
has its carrier; clagd talks TCP there, so one-way loss is the loss of both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Role = Literal["primary", "secondary"]

# A backup path lost this many peer timeouts before the peer counts as lost together with it ("within 30 s" of 20 s).
TOGETHER = 1.5


@dataclass(frozen=True)
class Timers:
    """clagd's parameters of the same names, in seconds."""

    lacp_poll: float = 2.0
    peer_timeout: float = 20.0
    peer_link_poll: float = 1.0
    reload_timer: float = 300.0
    init_delay: float = 180.0


@dataclass(frozen=True)
class Message:
    """What one daemon tells the other, over the peer link and over the backup path alike."""

    id: str
    priority: int
    role: Role
    hears: str | None  # whom it hears over the peer link
    goodbye: bool = False

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Message:
        """Read what `vars` gave.  Raises TypeError when the fields are not those of a message."""
        return cls(**fields)


@dataclass(frozen=True)
class Clag:
    """Everything one daemon knows; each function below returns the next of these.  Times are monotonic seconds."""

    id: str
    priority: int
    timers: Timers
    started: float
    has_backup: bool
    role: Role = "secondary"
    why: str = ""
    peer: Message | None = None  # the latest, by either way
    heard: float | None = None  # over the peer link
    backup_heard: float | None = None
    peer_alive: bool = False
    backup_active: bool = False
    peer_lost: float | None = None
    backup_lost: float | None = None
    met: bool = False  # the peer was alive since we started
    parted: bool = False  # its last word was goodbye

    def says(self, goodbye: bool = False) -> Message:
        """Return the message to send now."""
        hears = self.peer.id if self.heard is not None and self.peer is not None else None
        return Message(self.id, self.priority, self.role, hears, goodbye)

    def forwards(self, now: float) -> bool:
        """Say whether this switch's bonds and VXLANs carry traffic."""
        if now < self.started + self.timers.init_delay and not self.parted:
            return False
        return self.role == "primary" or self.peer_alive or not self.backup_active


def over_peer_link(clag: Clag, message: Message, now: float) -> Clag:
    """Take in what came over the peer link."""
    if message.goodbye:
        return goodbye(clag, message, now)
    return decide(replace(clag, peer=message, heard=now, parted=False), now)


def over_backup(clag: Clag, message: Message, now: float) -> Clag:
    """Take in what came over the backup path."""
    if message.goodbye:
        return goodbye(clag, message, now)
    peer = message if clag.peer is None or not clag.peer_alive else clag.peer
    return decide(replace(clag, peer=peer, backup_heard=now), now)


def goodbye(clag: Clag, message: Message, now: float) -> Clag:
    """The peer's clagd was stopped in good order: we are primary, and nothing it sent earlier counts any more."""
    gone = replace(
        clag,
        peer=message,
        heard=None,
        backup_heard=None,
        peer_alive=False,
        backup_active=False,
        peer_lost=None,
        backup_lost=None,
        parted=True,
    )
    return _become(gone, "primary", "peer said goodbye")


def carrier_lost(clag: Clag, now: float) -> Clag:
    """The peer link has no carrier: what was heard over it is over."""
    return decide(replace(clag, heard=None), now)


def set_priority(clag: Clag, priority: int, now: float) -> Clag:
    """Take another priority; the roles change at once when the peer is alive."""
    return decide(replace(clag, priority=priority), now)


def decide(clag: Clag, now: float) -> Clag:
    """Look at the time, notice who fell silent, and take the role that follows."""
    return _elect(_notice(clag, now), now)


def _notice(clag: Clag, now: float) -> Clag:
    limit = clag.timers.peer_timeout
    heard = clag.heard if clag.heard is not None and now - clag.heard < limit else None
    backup_heard = clag.backup_heard if clag.backup_heard is not None and now - clag.backup_heard < limit else None
    alive = heard is not None and clag.peer is not None and clag.peer.hears == clag.id
    active = clag.has_backup and backup_heard is not None
    return replace(
        clag,
        heard=heard,
        backup_heard=backup_heard,
        peer_alive=alive,
        backup_active=active,
        peer_lost=None if alive else now if clag.peer_alive else clag.peer_lost,
        backup_lost=None if active else now if clag.backup_active else clag.backup_lost,
        met=clag.met or alive,
    )


def _elect(clag: Clag, now: float) -> Clag:
    if clag.peer_alive and clag.peer is not None:
        first = (clag.priority, clag.id) < (clag.peer.priority, clag.peer.id)
        return _become(clag, "primary" if first else "secondary", "elected" if first else "")
    if clag.role == "primary" or clag.backup_active:
        return clag
    if clag.peer_lost is not None and clag.backup_lost is not None:
        if clag.backup_lost >= clag.peer_lost - TOGETHER * clag.timers.peer_timeout:
            return _become(clag, "primary", "")
    elif not clag.met and now - clag.started >= clag.timers.reload_timer:
        return _become(clag, "primary", "Reload timeout")
    return clag


def _become(clag: Clag, role: Role, why: str) -> Clag:
    return clag if role == clag.role else replace(clag, role=role, why=why)
