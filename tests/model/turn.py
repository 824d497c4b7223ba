"""One turn of an agent of the small model: the real core, asked once for each thing it can be asked.

What the agent can see is put into a key of small integers; a key that was met before gives
the same decision without asking the core again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ovsha.core import handover, turn
from ovsha.core.echo import BURST, PROVEN
from ovsha.core.facts import (
    Clag,
    Copy,
    EchoPath,
    Kernel,
    Life,
    MlagRole,
    Presence,
    Role,
    Server,
    Source,
    Stamp,
    Token,
    Vip,
)
from ovsha.core.lineage import PARKED as PARKED_ADDRESS
from ovsha.core.transition import Step
from ovsha.core.view import View
from tests.model.state import (
    DATA,
    DISKS,
    FOLLOWS,
    LOST,
    MEMORIES,
    NOW,
    PARKED,
    RECORDS,
    RETRIES,
    SETTINGS,
    STUCK,
    Side,
    State,
    plain_memory,
    plain_record,
)

REPLICATING = (FOLLOWS, STUCK, LOST, RETRIES)
"""What sync-status calls so: it goes on saying it when the source is gone."""

LONG = 60.0

Key = tuple[object, ...]


class Outcome(NamedTuple):
    """What the core decided, with memory and record by their numbers.

    `arrived`: the node that has the service now and had it not a turn ago, "" for none; `counted`: as a move without an
    order.
    """

    memory: int
    record: int
    step: Step | None
    opening: Stamp
    barrier: Token | None
    rule: str
    hears: bool
    kind: str
    asked: str
    token_base: Token | None
    arrived: str
    counted: bool


_KNOWN: dict[Key, Outcome] = {}


def key_of(state: State, n: int) -> Key:
    """Return what the agent of side `n` sees."""
    s, peer = state.sides[n], state.sides[1 - n]
    paths = (peer.power and state.cut == 0, peer.power and state.cut < 2)
    server: object = s.running
    if s.running and s.read:
        server = (s.active, s.copying == PARKED, s.copying in REPLICATING, s.managers, s.listener, s.data, s.saved)
    return (n, s.memory, server, s.vip, s.stale, s.source, s.sync, s.record, s.heard, s.link, s.disk, paths)


def decide(state: State, n: int) -> Outcome:
    """Return what the core of side `n` decides now; a new ask gets a name that nobody has heard of."""
    key, count = key_of(state, n), 0
    while True:
        outcome = _KNOWN.get((count, *key))
        if outcome is None:
            outcome = _KNOWN[count, *key] = _decide(state, n, count)
        if not outcome.asked or outcome.asked not in _idents(state, n):
            return outcome
        count += 1


def _idents(state: State, n: int) -> set[str]:
    """Return the names of asks of side `n` that are still spoken of."""
    s, peer = state.sides[n], state.sides[1 - n]
    found = {ask.ident for record in (s.out, peer.record) if record and (ask := RECORDS.values[record].ask)}
    found |= {grant.ident for record in (peer.out, s.record) if record and (grant := RECORDS.values[record].grant)}
    if peer.memory:
        memory = MEMORIES.values[peer.memory]
        found |= {memory.granted or "", memory.grant.ident if memory.grant else ""}
    return found


def view_of(state: State, n: int) -> View:
    """Return the view of the agent of side `n`."""
    s, peer = state.sides[n], state.sides[1 - n]
    linked = peer.power and state.cut == 0
    roles = (MlagRole.PRIMARY, MlagRole.SECONDARY)
    return View(
        now=NOW,
        settings=SETTINGS[n],
        server=_server(s, n),
        vip=Vip(s.vip, linked, False, s.stale),
        clag=Clag(roles[n], roles[1 - n], True, True, ""),
        source=_source(s),
        copy=Copy(None if s.sync < 0 else float(s.sync), None),
        record=RECORDS.values[s.record],
        heard_age=None if s.heard < 0 else float(s.heard),
        link_silent_for=None if s.link < 0 else float(s.link),
        reserved=reserved(s),
        kernel=_kernel(linked, peer.power and state.cut < 2),
    )


def _kernel(linked: bool, backed: bool) -> Kernel:
    """Return what the peer's kernel answers; clagd, which goes on saying that the peer is there, tells of no death."""
    paths = tuple(
        EchoPath(path, carrier, 0.0 if answers else LONG, 0.0, BURST, 1.0)
        for path, carrier, answers in (("peer-link", linked, linked), ("backup-path", True, backed))
    )
    return Kernel(PROVEN, None if linked or backed else 1.0, paths)


def reserved(s: Side) -> int:
    """Return the term that is reserved on this side's disk."""
    return DISKS.values[s.disk].reserved


def _server(s: Side, n: int) -> Server:
    if not s.running or not s.read:
        return Server(Life.UNKNOWN if s.running else Life.DOWN)
    data = DATA.values[s.data]
    source = PARKED_ADDRESS if s.copying == PARKED else SETTINGS[n].source
    return Server(
        life=Life.UP,
        role=Role.ACTIVE if s.active else Role.BACKUP,
        source=None if s.active else source,
        replicating=s.copying in REPLICATING,
        managers_open=s.managers,
        listener_open=s.listener,
        loaded=True,
        stamp=data.stamp,
        token=data.token,
        empty=data.empty,
        controllers=int(s.active and s.managers),
        saved=s.saved,
    )


def _source(s: Side) -> Source:
    if s.source is None or s.source.age < 0:
        return Source(closed=s.source is None)
    data, age = DATA.values[s.source.data], float(s.source.age)
    role = Role.ACTIVE if s.source.writable else Role.BACKUP
    return Source(True, False, age, age, role, data.stamp, data.token, data.empty, role_age=age)


def _decide(state: State, n: int, count: int) -> Outcome:
    view, memory = view_of(state, n), replace(MEMORIES.values[state.sides[n].memory], asks=count)
    decision = turn.turn(view, memory)
    after, record = decision.memory, decision.record
    server = view.server
    own = replace(decision.opening, chosen=bool(record.stamp and record.stamp.chosen))
    base = None
    if record.serving and not after.grant and server.role is Role.ACTIVE and server.stamp == own:
        base = handover.following(server.token, own.term)
    return Outcome(
        MEMORIES.number(plain_memory(after)),
        RECORDS.number(plain_record(record)),
        decision.step,
        decision.opening,
        decision.barrier,
        decision.rule.name,
        decision.presence is Presence.ALIVE,
        after.ask.kind.value if after.ask else "",
        after.ask.ident if after.ask and after.asks != count else "",
        base,
        (after.holder or "") if after.holder != memory.holder and memory.holder else "",
        bool(after.moves),
    )
