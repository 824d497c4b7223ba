"""One decision with its surroundings, and whether the pair is well.

The agent fills it in from its drivers; ages and spans are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ovsha.core import behind as copies
from ovsha.core.behind import Behind
from ovsha.core.facts import UNREAD, Kind, Record, Role, State
from ovsha.core.lineage import PARKED, copied
from ovsha.core.situation import USABLE, Situation
from ovsha.core.turn import Decision
from ovsha.protocol.conflicts import Conflict
from ovsha.protocol.path import Path


@dataclass(frozen=True, slots=True)
class PathReport:
    """How one path of the heartbeats is doing, and why it cannot be used from here ("" when it can)."""

    path: Path
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Manager:
    """Where a controller listens; `connected` is true only on the active side."""

    target: str
    connected: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """The last change of this side's state: how long ago, and the sentence with its reason."""

    age: float
    what: str


@dataclass(frozen=True, slots=True)
class ServiceMove:
    """The last move of the service, `age` seconds ago: what kind, from and to which node, and why.

    `operator_reason`: what an operator gave as the reason, "" when none did.
    """

    age: float
    kind: str
    source: str | None
    target: str | None
    reason: str
    operator_reason: str = ""


@dataclass(frozen=True, slots=True)
class Identities:
    """By what the two switches know each other; "" is an identity that is not known.

    `stranger`: the identity of an agent that has the peer's name and key, heard `stranger_age` seconds ago, and is
    not the peer; the age is None when there is none.
    """

    own: str = ""
    peer: str = ""
    stranger: str = ""
    stranger_age: float | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """A ledger that nobody has decided on: how many rows exist only in it, or why that `failed` to be told.

    Where `exact` is false they are doubts: rows that the active side had not later, and may have deleted.
    """

    ledger: str
    rows: int
    exact: bool
    snapshot: str
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Stands:
    """An order that stands: until or at the time of day `at` (ISO 8601, local), in `left` seconds; by whom, and why.

    `to`: the node that a planned switchover goes to.  `saved`: it would survive the agent.
    """

    at: str
    left: float
    who: str = ""
    reason: str = ""
    to: str = ""
    saved: bool = True


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The upgrade that this side is in: since the time of day `began` (ISO 8601, local), `age` seconds ago.

    `late`: that is longer than upgrade.limit of the configuration, `limit` seconds.  `save`: the name of what was
    saved before.  `saved`: it would survive the agent.
    """

    began: str
    age: float
    limit: float
    late: bool
    who: str = ""
    reason: str = ""
    save: str = ""
    saved: bool = True


@dataclass(frozen=True, slots=True)
class Undoing:
    """What somebody does again and again, in `words`: `count` times, first and last so many seconds ago."""

    words: str
    count: int
    first_age: float
    last_age: float


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """What surrounds a decision.

    `pause`, `plan`: what an operator ordered and what stands; `forgotten`: a pause that ended by itself.
    `upgrade`: the one that this side is in.

    `under_way`: the step that waits for its answer.  `failing`: for each step that failed when it
    was last tried, the error.  `undone`: what somebody undoes again and again.  `troubles`: what else fails, by what it
    is.  `server_trouble`, `source_trouble`: what hinders us from talking to our and to the peer's ovsdb-server.
    `server_file`: what became of the file that ours writes to, "" while that is in its place; `server_control`: where
    ours takes orders.
    `collisions_missed`: how many sightings of collisions found no room among `collisions`.
    `lacking_since`: since which time of day (ISO 8601, local) one side has lacked what the other one has, "" if it does
    not.

    `snapshots`: the files of the newest snapshots, the newest first.  `clag_age`: None before clagd's first answer.
    """

    version: str
    pair: str
    pid: int
    uptime: float
    database: str
    vip: str
    vip_interface: str
    vip_port: int
    paths: Mapping[str, PathReport] = field(default_factory=dict)
    clag_age: float | None = None
    managers: tuple[Manager, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    moved: Moved | None = None
    service: ServiceMove | None = None
    under_way: str = ""
    failing: Mapping[str, str] = field(default_factory=dict)
    undone: tuple[Undoing, ...] = ()
    troubles: Mapping[str, str] = field(default_factory=dict)
    server_trouble: str = ""
    server_file: str = ""
    server_control: str = ""
    source_trouble: str = ""
    collisions: tuple[Conflict, ...] = ()
    collisions_missed: int = 0
    lacking_since: str = ""
    snapshots: tuple[str, ...] = ()
    identities: Identities = Identities()
    divergences: tuple[Divergence, ...] = ()
    pause: Stands | None = None
    plan: Stands | None = None
    forgotten: Stands | None = None
    upgrade: Upgrade | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """One decision with what it was taken on and what surrounds it."""

    case: Situation
    decision: Decision
    outside: StatusInputs

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


def exposure(c: Situation) -> Exposure | None:
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


def moving_kind(m: Assessment) -> Kind | None:
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
