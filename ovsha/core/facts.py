"""Hold what the agent knows at one moment: about this side, about the peer, about what is between.

Everything here is a frozen value.  The drivers fill them in, the heartbeat carries a
`Record` of them to the peer, and the election, the handover and the transition read
nothing else.  Times are seconds on the monotonic clock of the side that made the
value; an age travels between switches, a time never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

UNREAD = "our database has not been read yet"
"""The reason that a record tells while the ovsdb-server of its side answers, but its database could not be read."""


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
class Written:
    """What the rows of a database say of its lineage, where that is not believed; None is what is not there."""

    stamp: Stamp | None = None
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What one process of our ovsdb-server held: as long as it runs it holds no less, whatever its rows say.

    `process`: names it, beyond reboots.  `copy`: it followed the peer then, so that more than clients could have
    changed its rows.  `written`: what the rows said when it was last known to go on from there; None when that is not
    known.  `until`: since it may go on from elsewhere, the moment until which it cannot yet; None while it may not.
    """

    process: str
    stamp: Stamp
    token: Token | None = None
    copy: bool = False
    written: Written | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Lack:
    """That our copy lacks a token which the peer's database is known to hold.

    `since`: when the first one that it lacks was seen.  `until`: since when the peer has not been able to write, None
    while it may.  `after`: the last token that the copy has.  `least`: this switch was off for a time that its clock
    cannot tell, so it is longer.
    """

    since: float
    after: Token
    until: float | None = None
    least: bool = False


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
    `stranger`: which other server is where it should be, "" for none.  `others`: the databases that it has beside ours.
    `undriven`: why it takes no orders although it runs, or may run, "" when it takes them or is down.
    `process`: names the process, beyond reboots; "" when it is not known.  `written`: what the rows say where `stamp`
    and `token` are what is believed instead, None where the rows are believed.
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
    undriven: str = ""
    process: str = ""
    written: Written | None = None
    others: tuple[str, ...] = ()
    stranger: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What our own session to the peer's ovsdb-server shows.

    `closed`: the peer ended the session or refuses it.  `life_age`: seconds since the
    peer's host acknowledged or sent anything, None without a session.  `answer_age`: for how long the oldest
    question waits for the server's own answer, 0 when none does.  `role` None: not probed.  `role_age`: seconds since
    it last answered what its role is, None while that is not known.
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
    role_age: float | None = None


PEER_LINK, BACKUP_PATH = "peer-link", "backup-path"
"""The two paths to the peer, as heartbeats and echoes name them."""


@dataclass(frozen=True, slots=True)
class EchoPath:
    """What the peer's kernel answers on one path when it is asked by ICMP echo.

    `carrier`: that of the interface here by which the peer is asked, None as long as it answered nothing.
    `answered_age`: seconds since the last answer, None for none yet; `before`: the same when the suspicion began.
    `asked`: how many echoes have really left since then, one close after the other, `asked_age`: seconds since the
    last one.
    """

    path: str
    carrier: bool | None = None
    answered_age: float | None = None
    before: float | None = None
    asked: int = 0
    asked_age: float | None = None


@dataclass(frozen=True, slots=True)
class Kernel:
    """What tells whether the peer's kernel is there, whatever its programs do.

    `answered`: how many echoes it has answered since our agent started.  `suspected_for`: seconds since it was asked
    because something made it suspect, and has given no sign of life since; None when nothing does.  `packet_age`:
    seconds since it acknowledged, sent or refused anything on our session to its server, None for never.  `ended`: it
    ended or refused that session, which is not there now.
    """

    answered: int = 0
    suspected_for: float | None = None
    paths: tuple[EchoPath, ...] = ()
    packet_age: float | None = None
    ended: bool = False


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
    the last move that was ordered here.
    `uptime`: for how long its agent has run, which only its heartbeats tell.
    `cut_off`: clients on other hosts did not answer it for most of the peer's last silence.
    `estranged`: it hears an agent that has its peer's name and key, but is not the switch that it learned as its
    peer, and believes nothing of what that one says.  `mac`: that of its interface for the VIP, "" when unknown.
    `behind`: for how many seconds its copy has lacked what the other side is known to hold, None when it lacks nothing.
    `mode_left`: seconds until a pause ends by itself.  `restore`: an operator wants the original primary to serve now.
    `upgrade`: for how many seconds this side has been in an upgrade that nobody has finished, None when it is in none.
    `upgraded`: how many seconds ago its last one was finished, None when that is long ago.
    `undriven`: its ovsdb-server runs, or may run, and takes no orders, so that it can neither begin nor cease to serve.
    `by_order`: an operator ordered the service to be where it is, on this side; None when it is not here or not known.
    `words`: which words of a record its release reads (core.record.WORDS), which only its heartbeats tell.
    `overwritten`: its rows say something else than `stamp` and `token`, because a client wrote over them; it is not
    told while there is a grant.
    `goodbye`: its agent ends on purpose with this word, and its server stays.
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
    undriven: bool = False
    by_order: bool | None = None
    words: int = 0
    overwritten: bool = False
    behind: float | None = None
    goodbye: bool = False
