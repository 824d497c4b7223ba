"""Hold what the agent knows at one moment: about this side, about the peer, about what is between.

Everything here is a frozen value.  The drivers fill them in, the heartbeat carries a
`Record` of them to the peer, and the election, the handover and the transition read
nothing else.  Times are seconds on the monotonic clock of the side that made the
value; an age travels between switches, a time never does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum


class MlagRole(Enum):
    """The role that clagd gives a switch; it does not say who is alive."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Role(Enum):
    """The role of an ovsdb-server, in the words of ovsdb-server(1)."""

    ACTIVE = "active"
    BACKUP = "backup"


class Life(Enum):
    """Whether an ovsdb-server lives; BUSY is silent but uses the processor, HUNG is silent and does not."""

    UP = "up"
    BUSY = "busy"
    HUNG = "hung"
    DOWN = "down"
    UNKNOWN = "unknown"


class Presence(Enum):
    """What four witnesses together say of the peer.

    ALIVE: its agent is heard.  SILENT: its agent is not, but its server or its host
    answers, so it may well serve.  DEAD: nothing answers any more.  NEVER: not one
    sign of it since this switch booted.
    """

    ALIVE = "alive"
    SILENT = "silent"
    DEAD = "dead"
    NEVER = "never"


class State(Enum):
    """What this side is to the pair, and so what it promises."""

    INIT = "init"
    BACKUP = "backup"
    ACTIVE = "active"
    FAULT = "fault"
    NEEDS_DECISION = "needs-decision"


class Mode(Enum):
    """Whether an agent carries out what it decides.

    PAUSED: an operator holds it for a while.  ADVISE: its configuration has it say what it would do, and no more.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    ADVISE = "advise"


class Kind(Enum):
    """Why a side asks for the service while the other side lives."""

    SWITCHOVER = "switchover"
    RESTORE = "restore"
    LINK_CUT = "link-cut"
    START = "start"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Stamp:
    """The lineage written into a database: the term it was last opened in, and by which node.

    `chosen` is true when an operator moved the service to that node, so that no restore
    takes it away again.
    """

    term: int
    node: str
    chosen: bool = False


Token = tuple[int, int]
"""A barrier in the database: the term and a number that only grows within it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database's tables and columns are: its name, its version, and a checksum of all of it."""

    name: str
    version: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Server:
    """What our ovsdb-server is doing.

    `role` None: not asked yet.  `source`: whom it is told to copy from, None when it was
    never told.  `loaded` is false until its Global row, or the lack of one, has been read.
    `fenced`: it hangs, its sessions are cut, and orders to close and to park wait for it.
    `saved`: a snapshot of what it holds was taken since it was parked.  `cells`: rows times
    columns of all tables, as memory/show of ovsdb-server(1) counts them; None when it does not tell.
    """

    life: Life = Life.UNKNOWN
    role: Role | None = None
    source: str | None = None
    replicating: bool = False
    managers_open: bool = False
    listener_open: bool = False
    loaded: bool = False
    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    controllers: int = 0
    vteps: int = 0
    fenced: bool = False
    saved: bool = False
    cells: int | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What our own session to the peer's ovsdb-server shows.

    `closed`: the peer ended the session or refuses it.  `life_age`: seconds since the
    peer's host acknowledged or sent anything, None without a session.  `answer_age`: since
    the server itself answered.  `role` None: not probed.
    """

    loaded: bool = False
    closed: bool = False
    life_age: float | None = None
    answer_age: float | None = None
    role: Role | None = None
    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """How far our copy is behind the database it is made from.

    `in_sync_for`: seconds since every token showed up here within the allowed lag, None
    when it does not.  `lag`: seconds that the last token took.
    """

    in_sync_for: float | None = None
    lag: float | None = None


@dataclass(frozen=True, slots=True)
class Vip:
    """The VIP and the peer link, as netlink tells; `link_up` None: not known.

    `astray`: the address is on an interface where it does not belong.  `stale`: we took
    the VIP, and sockets that led to its former holder may be left here.
    """

    present: bool = False
    link_up: bool | None = None
    astray: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Clag:
    """What clagd says; `role` None is unknown, and `trouble` then tells why."""

    role: MlagRole | None = None
    peer_role: MlagRole | None = None
    peer_alive: bool | None = None
    backup_active: bool | None = None
    trouble: str = "not asked yet"


@dataclass(frozen=True, slots=True)
class Ask:
    """A side's wish to serve.  `ident` is never used twice; a dropped ask is never acted on again."""

    ident: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Grant:
    """A side's promise not to serve until the ask named is served or dropped.

    `barrier`: the token that must be in the asker's copy before it may open, None where
    there is nothing to wait for.  `drained`: nothing is served here any more.
    """

    ident: str
    kind: Kind
    barrier: Token | None = None
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A side's whole state, as its heartbeats carry it.  Ages are those at the moment of sending.

    `keep`: the node whose data an operator said is to be kept.  `decision`: what an operator
    has to decide before this side can go on, "" when nothing.  `reason`: the one that an operator gave on this side for
    the last move that he ordered here.
    `uptime`: for how long its agent has run, which only its heartbeats tell.
    `cut_off`: clients on other hosts did not answer it for most of the peer's last silence.
    `estranged`: it hears an agent that has its peer's name and key, but is not the switch that it learned as its
    peer, and believes nothing of what that one says.  `mac`: that of its interface for the VIP, "" when unknown.
    `mode_left`: seconds until a pause ends by itself.  `restore`: an operator wants the original primary to serve now.
    `upgrade`: for how many seconds this side has been in an upgrade that nobody has finished, None when it is in none.
    `upgraded`: how many seconds ago its last one was finished, None when that is long ago.
    """

    node: str
    state: State = State.INIT
    term: int = 0
    life: Life = Life.UNKNOWN
    role: Role | None = None
    source: str | None = None
    replicating: bool = False
    serving: bool = False
    vip: bool = False
    listener: bool = False
    managers: bool = False
    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    in_sync_for: float | None = None
    lag: float | None = None
    mlag: MlagRole | None = None
    link_up: bool | None = None
    preferred: str | None = None
    lapsed: bool = True
    cut_off: bool = False
    controllers: int = 0
    vteps: int = 0
    active_for: float | None = None
    uptime: float | None = None
    cells: int | None = None
    keep: str | None = None
    decision: str = ""
    ask: Ask | None = None
    grant: Grant | None = None
    offer: str | None = None
    reason: str = ""
    refusal: str = ""
    why: str = ""
    trouble: str = ""
    estranged: bool = False
    mac: str = ""
    mode: Mode = Mode.ACTIVE
    mode_left: float | None = None
    restore: bool = False
    upgrade: float | None = None
    upgraded: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers and names the decisions depend on; seconds where nothing else is said.

    `peer` and `source` are "" for a switch that stands alone, which need not have a VIP either.
    """

    node: str
    peer: str
    preferred: str
    source: str
    dead_interval: float = 0.45
    stall_interval: float = 10.0
    restore_delay: float = 30.0
    restore_automatic: bool = True
    handover_timeout: float = 5.0
    link_cut_hold: float = 3.0
    max_lag: float = 1.0
    lone_boot: float | None = None
    min_share: float = 0.5
    min_cells: int = 1000
    move_limit: int = 6
    move_window: float = 3600.0
    has_vip: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """All that is known at `now`, on which one decision is taken.

    `link_silent_for`: seconds without a heartbeat over the peer link, None when none ever
    came.  `heard_age`: the same over any path.  `reserved`: the term that is reserved on
    disk for our next promotion.  `woke`: the agent was not scheduled for longer than the
    dead interval.  `schema_gap`: what the peer's schema has and ours lacks, "" when nothing.
    `estranged`: what an agent claims that has the peer's name and key but is another switch than
    the one we learned as our peer, None when no such one is heard.  It is not believed; all that it may do is hold
    us back.  `mode_left`: seconds until a pause ends by itself, None when there is none.  `cut_off`, `upgrade`,
    `upgraded`: as in our Record.
    """

    now: float
    settings: Settings
    server: Server = field(default_factory=Server)
    vip: Vip = field(default_factory=Vip)
    clag: Clag = field(default_factory=Clag)
    source: Source = field(default_factory=Source)
    copy: Copy = field(default_factory=Copy)
    record: Record | None = None
    heard_age: float | None = None
    link_silent_for: float | None = None
    reserved: int = 0
    woke: bool = False
    schema_gap: str = ""
    estranged: Record | None = None
    cut_off: bool = False
    mode: Mode = Mode.ACTIVE
    mode_left: float | None = None
    upgrade: float | None = None
    upgraded: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a side must remember from one turn to the next; a fresh one is always safe.

    `term`: the highest term seen or used.  `claim`: the term that we are opening, None
    when we open none.  `met`: the peer was met since this switch booted.
    `grant_term`: the highest term in either database when the grant was given.
    `reason`: the one an operator gave for the last move that he ordered here, for those who read it afterwards.
    `peer_stamp`: the newest lineage the peer was ever seen with, `peer_token` its newest token.  `lapsed`: we slept or
    were started since we last heard the peer.  `awake`: when we started or woke.
    `link_lost_at`: since when the peer is heard, but not over the peer link.
    `unpreferred_at`: when this side was last not the preferred one, None when never.
    `held`: the newest lineage and token that our own database was known to hold on disk.
    `copying`: our server was told to copy and is not in sync yet; `failed_copies`: how often
    it gave that up in a row, by making itself active.  `severed`: our own session to the peer's server was lost since
    ours follows it, so that ours may hold on to one that nobody is at the other end of.
    `stuck_since`: since when this side cannot go on without an operator.  `keep`: the node whose data the operator
    keeps, until `keep_until`.  `forced`: he keeps ours although the peer cannot be asked, and may serve.
    `restore`: what he ordered is that the original primary gets the service back.
    `founding`: an operator said that the other side has not joined the pair yet; over once it was met.
    `holder`: the node that was last seen to serve; `moves`: when it changed without an order.
    """

    boot: str
    term: int = 0
    claim: int | None = None
    met: bool = False
    peer_stamp: Stamp | None = None
    peer_token: Token | None = None
    lapsed: bool = True
    awake: float = 0.0
    ask: Ask | None = None
    ask_deadline: float = 0.0
    ask_after: float = 0.0
    asks: int = 0
    grant: Grant | None = None
    granted: str | None = None
    grant_since: float = 0.0
    grant_term: int = 0
    refusal: str = ""
    wanted: str | None = None
    wanted_until: float = 0.0
    offer: str | None = None
    reason: str = ""
    silent_since: float | None = None
    link_lost_at: float | None = None
    unpreferred_at: float | None = None
    active_since: float | None = None
    ordered: Role | None = None
    held: Token | None = None
    copying: bool = False
    severed: bool = False
    failed_copies: int = 0
    stuck_since: float | None = None
    keep: str | None = None
    keep_until: float = 0.0
    forced: bool = False
    restore: bool = False
    founding: bool = False
    holder: str | None = None
    moves: tuple[float, ...] = ()


def remember(memory: Memory, **values: object) -> Memory:
    """Return the memory with these values: itself when it has them, which is so in nearly every turn."""
    if all(getattr(memory, name) == value for name, value in values.items()):
        return memory
    return replace(memory, **values)  # type: ignore[arg-type]


def with_reason(memory: Memory, reason: str) -> Memory:
    """Return the memory with the reason of an operator's order, or as much of it as a heartbeat has room for."""
    return replace(memory, reason=reason[:120])
