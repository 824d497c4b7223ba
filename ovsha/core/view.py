"""What one decision is taken on: the facts of one moment, the settings, and what the side remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ovsha.core.facts import (
    Ask,
    Clag,
    Copy,
    Grant,
    Kernel,
    Kind,
    Lack,
    Mode,
    Proof,
    Record,
    Role,
    Server,
    Source,
    Stamp,
    Token,
    Vip,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers and names the decisions depend on; seconds where nothing else is said.

    `peer` and `source` are "" for a switch that stands alone, which need not have a VIP either.  `max_behind`: how far
    our copy may be behind what is known of the peer's data when we begin to serve unasked, None for no limit.
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
    token_interval: float = 2.0
    max_behind: float | None = 60.0
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
    `upgraded`: as in our Record.  `kernel`: what shows that the peer's kernel is there.
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
    kernel: Kernel = field(default_factory=Kernel)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a side must remember from one turn to the next; a fresh one is always safe.

    `term`: the highest term seen or used.  `claim`: the term that we are opening, None
    when we open none.  `met`: the peer was met since this switch booted.
    `grant_term`: the highest term in either database when the grant was given.
    `reason`: the one an operator gave for the last move that was ordered here, for those who read it afterwards.
    `peer_stamp`: the newest lineage the peer was ever seen with, `peer_token` its newest token.  `lack`: that our copy
    lacks some of that, None when it does not.  `lapsed`: we slept or were started since we last heard the peer.
    `awake`: when we started or woke.
    `link_lost`: the peer link was lost while only the peer's agent was silent, and its server was not heard since.
    `link_lost_at`: since when the peer is heard, but not over the peer link.
    `unpreferred_at`: when this side was last not the preferred one, None when never.
    `held`: the newest lineage and token that our own database was known to hold on disk.
    `proof`: what the running process of our server held, None when that is not known.  `heals`: how often in a row our
    own stamp was written again over what a client wrote, and `heal_after`: not again before.
    `copying`: our server was told to copy and is not in sync yet; `failed_copies`: how often
    it gave that up in a row, by making itself active.  `severed`: our own session to the peer's server was lost since
    ours follows it, so that ours may hold on to one that nobody is at the other end of.
    `stuck_since`: since when this side cannot go on without an operator.  `keep`: the node whose data the operator
    keeps, until `keep_until`.  `forced`: ours is kept although the peer cannot be asked, and may serve.
    `restore`: what was ordered is that the original primary gets the service back.
    `founding`: an operator said that the other side has not joined the pair yet; over once it was met.
    `holder`: the node that was last seen to serve; `moves`: when it changed without an order.
    `sent`: what an operator ordered, by which the service is on its way from `holder` to the other side; None when it
    is not, or by no order.  `by_order`: whether an operator ordered the service that this side has begun, None when
    that is not known.  `chosen`: it was ordered to be here, and not only to be where it belongs.
    """

    boot: str
    term: int = 0
    claim: int | None = None
    met: bool = False
    peer_stamp: Stamp | None = None
    peer_token: Token | None = None
    lack: Lack | None = None
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
    link_lost: bool = False
    link_lost_at: float | None = None
    unpreferred_at: float | None = None
    active_since: float | None = None
    ordered: Role | None = None
    held: Token | None = None
    proof: Proof | None = None
    heals: int = 0
    heal_after: float = 0.0
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
    sent: Kind | None = None
    by_order: bool | None = None
    chosen: bool = False


def remember(memory: Memory, **values: object) -> Memory:
    """Return the memory with these values: itself when it has them, which is so in nearly every turn."""
    if all(getattr(memory, name) == value for name, value in values.items()):
        return memory
    return replace(memory, **values)  # type: ignore[arg-type]


def with_reason(memory: Memory, reason: str) -> Memory:
    """Return the memory with the reason of an operator's order, or as much of it as a heartbeat has room for."""
    return replace(memory, reason=reason[:120])
