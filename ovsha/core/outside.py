"""Hold what the status shows beyond what the decisions are taken on.

The agent fills it in from its drivers; ages and spans are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ovsha.core.collisions import Collision
from ovsha.core.path import Path


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
class Outside:
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
    collisions: tuple[Collision, ...] = ()
    collisions_missed: int = 0
    lacking_since: str = ""
    snapshots: tuple[str, ...] = ()
    identities: Identities = Identities()
    divergences: tuple[Divergence, ...] = ()
    pause: Stands | None = None
    plan: Stands | None = None
    forgotten: Stands | None = None
    upgrade: Upgrade | None = None
