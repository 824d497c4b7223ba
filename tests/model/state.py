"""The state of a small model of the pair: few enough values that every state can be visited.

Time is counted in ticks of one second, and `now` is the same in every view: when a tick
passes, the moments that a side remembers move back by one.  A moment that is older than
anything the core asks for becomes LONG_AGO, so that the moments are few.  What is large (a
memory, a record, a database) is kept once and named by a number, so that a state is a tuple
of small integers.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from ovsha.core.facts import Lack, Record, Stamp, Token
from ovsha.core.facts import State as SideState
from ovsha.core.transition import Step
from ovsha.core.view import Memory, Settings

NODES = ("sw1", "sw2")
NOW, LONG_AGO = 1000.0, 900.0

DEAD, STALL, RESTORE, HANDOVER = 2, 3, 2, 3  # ticks
BEHIND = 2.0  # how many of them a copy that serves unasked may be behind
SILENCE = 3  # ticks after which a session to a host that acknowledges nothing is given up
SETTINGS = tuple(
    Settings(
        node, peer, preferred="sw1", source=f"tcp:{peer}:9999", dead_interval=DEAD, stall_interval=STALL,
        restore_delay=RESTORE, handover_timeout=HANDOVER, link_cut_hold=1.0, max_lag=1.0,
        token_interval=1.0, max_behind=BEHIND,
    )
    for node, peer in (NODES, NODES[::-1])
)  # fmt: skip

T = TypeVar("T", bound=Hashable)


class Pool(Generic[T]):
    """Values by number; number 0 is None."""

    def __init__(self) -> None:
        self.values: list[T] = [None]  # type: ignore[list-item]
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """Return the number of a value, a new one for a value that was never seen."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        return number


class Data(NamedTuple):
    """All that a database holds: `rows` are the bits of the writes in it, `marked` those before its token."""

    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = False
    rows: int = 0
    marked: int = 0


class Disk(NamedTuple):
    """What the agent keeps on disk; `met`: the peer was met in this boot.

    It would also keep the newest token that it surely held, and since when its copy has lacked one of the peer's, but
    these need more tokens and more time than there are.
    """

    term: int = 0
    reserved: int = 0
    peer_stamp: Stamp | None = None
    met: bool = False


class Order(NamedTuple):
    """A step on its way to ovsdb-server; `rule` and `planned` tell a promotion's reason to the laws."""

    step: Step
    stamp: Stamp | None = None
    barrier: Token | None = None
    rule: str = ""
    kind: str = ""


DATA: Pool[Data] = Pool()
DISKS: Pool[Disk] = Pool()
ORDERS: Pool[Order] = Pool()
MEMORIES: Pool[Memory] = Pool()
RECORDS: Pool[Record] = Pool()

# What the replication of a server is doing.
# STUCK: its source died without a word; LOST: it has noticed; RETRIES: it connects again by itself.
NONE, PARKED, ORDERED, HALF, FOLLOWS, STUCK, LOST, RETRIES = range(8)


class Session(NamedTuple):
    """The agent's session to the peer's server: ticks of silence, and what was last heard of the server.

    `dead`: the process at the other end is gone, and no word of it came.
    """

    age: int
    writable: bool
    data: int
    dead: bool = False


UNTRIED = Session(-1, False, 0)
"""No session yet, and none was refused; no session at all (None) is one that was closed or refused."""


class Side(NamedTuple):
    """One switch.  Numbers name what is in the pools; `memory` 0 is an agent that does not run.

    `came`: whether an operator ordered the last promotion of its server.
    """

    power: bool = False
    # Its ovsdb-server and the file, of which `shot` says that a snapshot holds exactly that.
    running: bool = False
    active: bool = False
    copying: int = NONE
    managers: bool = False
    listener: bool = False
    data: int = 0
    half: bool = False
    shot: bool = False
    pipe: tuple[int, ...] = ()
    came: bool | None = None
    # Its host.
    vip: bool = False
    disk: int = 0
    # Its agent: what it knows, what it has ordered, what it tells.  Ages are ticks, -1 for never.
    memory: int = 0
    read: bool = False
    saved: bool = False
    stale: bool = False
    record: int = 0
    heard: int = -1
    link: int = -1
    source: Session | None = UNTRIED
    sync: int = -1
    order: int = 0
    token: Token | None = None
    token_due: bool = False
    out: int = 0
    due: bool = False


ANY = -1
"""As many late actions as there are: all orders of what can happen."""


class State(NamedTuple):
    """The pair: two sides and what is between them.

    `cut`: 1 for the peer link, 2 for both paths.  `faults`: how many may still come.  `written`:
    the bits of the acknowledged writes.  `blind`: a server was out of the reach of every
    witness of the other side, and the sides have not come to agree since.  `late`: how many
    actions may still be put aside, and `aside`: those that are, as bits.
    """

    sides: tuple[Side, Side]
    cut: int = 0
    faults: int = 0
    written: int = 0
    blind: bool = False
    late: int = ANY
    aside: int = 0


# What the agent forgets with its death.
NO_AGENT = {name: Side._field_defaults[name] for name in Side._fields[Side._fields.index("memory"):]}

# For each moment in the past: the age in ticks from which on it makes no difference how long ago it was.
_PAST = {
    "awake": 2 * DEAD, "silent_since": STALL, "link_lost_at": 1, "grant_since": 2 * HANDOVER + 1,
    "unpreferred_at": RESTORE, "active_since": 2,
}  # fmt: skip
_FUTURE = ("ask_deadline", "ask_after", "wanted_until")
# What no decision of the model depends on: texts, when a human is called, and (so that there are no moves too many) how
# many moves were counted; that one was is told by the turn itself.
_PASSED_OVER = {"refusal": "", "asks": 0, "stuck_since": None, "moves": ()}
_PASSED_OVER_IN_RECORDS = {
    "why": "", "refusal": "", "trouble": "", "decision": "", "lag": None, "state": SideState.INIT, "behind": None,
}  # fmt: skip


def plain_memory(memory: Memory) -> Memory:
    """Return the memory without what makes no difference: old moments, and those of things that are over."""
    changed: dict[str, object] = dict(_PASSED_OVER)
    for name, limit in _PAST.items():
        moment = getattr(memory, name)
        if moment is not None and NOW - moment >= limit:
            changed[name] = LONG_AGO
    for name in _FUTURE:
        if getattr(memory, name) < NOW:
            changed[name] = 0.0
    changed["lack"] = _plain_lack(memory.lack)
    if memory.unpreferred_at is not None and changed.get("unpreferred_at") == LONG_AGO:
        changed["unpreferred_at"] = None
    if memory.ask is None:
        changed["ask_deadline"] = 0.0
    if memory.grant is None:
        changed |= {"grant_since": 0.0, "grant_term": 0}
    if memory.wanted is None and memory.offer is None:
        changed["wanted_until"] = 0.0
    return replace(memory, **changed)  # type: ignore[arg-type]


def _plain_lack(lack: Lack | None) -> Lack | None:
    """Return it without what makes no difference: when it was, if it is over, and how long more than too long."""
    if lack is None:
        return None
    end = NOW if lack.until is None else lack.until
    return replace(lack, since=NOW - min(end - lack.since, BEHIND + 1.0), until=None if lack.until is None else NOW)


def aged_memory(memory: Memory) -> Memory:
    """Return the memory one tick later."""
    names = [name for name in (*_PAST, *_FUTURE) if getattr(memory, name)]
    older: dict[str, object] = {
        name: getattr(memory, name) - 1.0 for name in names if getattr(memory, name) != LONG_AGO
    }
    if memory.lack is not None and memory.lack.until is None:
        older["lack"] = replace(memory.lack, since=memory.lack.since - 1.0)
    return plain_memory(replace(memory, **older))  # type: ignore[arg-type]


def plain_record(record: Record) -> Record:
    """Return the record without its texts, and of the age of its copy only whether there is one."""
    synced = None if record.in_sync_for is None else 0.0
    return replace(record, in_sync_for=synced, **_PASSED_OVER_IN_RECORDS)


def serves(side: Side) -> bool:
    """Tell whether a controller or a VTEP daemon can write to this switch's server."""
    return side.running and side.active and (side.managers or (side.listener and side.vip))


def serves_whole(side: Side) -> bool:
    """Tell whether everything of the service is open here."""
    return side.running and side.active and side.managers and side.listener and side.vip
