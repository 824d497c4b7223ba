"""Hold all that one decision is taken on, beside what the side remembers: the facts of one moment and the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsha.core.facts import Clag, Copy, Kernel, Mode, Record, Server, Source, Vip


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
