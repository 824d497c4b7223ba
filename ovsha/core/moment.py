"""Hold one decision with all that an operator is told about it, and say whether the pair is well."""

from __future__ import annotations

from dataclasses import dataclass

from ovsha.core import behind as copies
from ovsha.core.behind import Behind
from ovsha.core.case import USABLE, Case
from ovsha.core.facts import UNREAD, Kind, Record, Role, State
from ovsha.core.lineage import PARKED, copied
from ovsha.core.outside import Outside
from ovsha.core.side import Decision


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision with what it was taken on and what surrounds it."""

    case: Case
    decision: Decision
    outside: Outside

    @property
    def own(self) -> Record:
        """This side."""
        return self.decision.record

    @property
    def peer(self) -> Record:
        """The peer as its last record tells, or an empty record."""
        return self.case.peer

    @property
    def sides(self) -> tuple[Record, ...]:
        """The sides of which something is known now."""
        return (self.own, self.peer) if self.case.alive else (self.own,)

    @property
    def active(self) -> Record | None:
        """The one side that serves, None when none or both do."""
        serving = [side for side in self.sides if side.serving]
        return serving[0] if len(serving) == 1 else None

    @property
    def other(self) -> Record | None:
        """The side beside the active one, None when it is not heard or there is no active one."""
        return next((side for side in self.sides if side is not self.active), None) if self.active else None

    @property
    def in_sync(self) -> bool:
        """One side is active and complete, and the other, a living backup of it, holds what it had committed."""
        active, other = self.active, self.other
        if active is None or other is None:
            return False
        return self.served and other.life in USABLE and not behind(other, active) and not moving_kind(self)

    @property
    def served(self) -> bool:
        """One side is active and complete."""
        active = self.active
        return (
            active is not None
            and active.state is State.ACTIVE
            and active.role is Role.ACTIVE
            and active.life in USABLE
        )

    @property
    def well(self) -> bool:
        """All is as it should be: the pair is in sync or, where a switch stands alone, it serves."""
        return self.served if self.case.standalone else self.in_sync


@dataclass(frozen=True, slots=True)
class Exposure:
    """What would be lost if `source` died now and `node`, whose copy is `behind`, served.

    `beyond`: that is more than the node serves unasked.
    """

    node: str
    source: str
    behind: Behind
    beyond: bool


def exposure(c: Case) -> Exposure | None:
    """Return what one side lacks of the other's data, None when it lacks nothing but what is on its way."""
    settings, own = c.view.settings, c.view.server
    if c.standalone:
        return None
    node, source, lacks = settings.node, settings.peer, c.behind
    if own.role is Role.ACTIVE and c.alive:
        node, source, lacks = settings.peer, settings.node, copies.of_the_peer(own, c.peer, settings)
    if lacks is None or lacks.passing:
        return None
    return Exposure(node, source, lacks, bool(copies.too_far(lacks, settings)))


def moving_kind(m: Moment) -> Kind | None:
    """Return why the service is on its way to the other side, None when it is not."""
    grant = next((side.grant for side in m.sides if side.grant is not None), None)
    return grant.kind if grant is not None else None


def following(side: Record) -> bool:
    """Return whether `side` copies from anybody."""
    return side.role is Role.BACKUP and side.source not in (None, PARKED)


def behind(side: Record, active: Record) -> str:
    """Return why `side` is no complete copy of `active`, "" when it is."""
    if not following(side):
        return f"it does not follow {active.node}" + (f", because {side.why}" if side.why else "")
    if side.why == UNREAD:
        return "its database cannot be read"
    if copied(side.source)[1]:
        return f"it leaves out {copied(side.source)[1]}"
    if not side.replicating:
        return f"it is connecting to {side.source}"
    if active.overwritten and (side.stamp != active.stamp or side.in_sync_for is None):
        return f"a client writes over the agents' keys in {active.node}'s database, by which its copy is measured"
    if side.stamp is None or side.stamp != active.stamp:
        return f"its copy of {active.node}'s database is being filled"
    if side.in_sync_for is None:
        return f"the last token of {active.node} has not arrived in time"
    return ""
