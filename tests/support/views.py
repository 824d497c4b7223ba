"""Hypothesis strategies for what a side may know: any view and any memory, possible or not.

The terms, tokens and ages are few, so that what is equal, older or newer is met often.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from ovsha.core import handover
from ovsha.core.facts import (
    Ask,
    Clag,
    Copy,
    Grant,
    Kind,
    Lack,
    Life,
    MlagRole,
    Mode,
    Record,
    Role,
    Schema,
    Server,
    Source,
    Stamp,
    State,
    Vip,
)
from ovsha.core.lineage import PARKED
from ovsha.core.liveness import presence
from ovsha.core.situation import Situation
from ovsha.core.view import Memory, Settings, View

NODE, PEER = "sw1", "sw2"
SOURCE = "tcp:169.254.0.10:9999"
NOW = 1000.0
SETTINGS = Settings(NODE, PEER, preferred=NODE, source=SOURCE)

nodes = st.sampled_from([NODE, PEER])
terms = st.integers(1, 4)
stamps = st.none() | st.builds(Stamp, terms, nodes, st.booleans())
tokens = st.none() | st.tuples(terms, st.integers(0, 3))
ages = st.none() | st.sampled_from([0.0, 0.1, 0.19, 0.2, 0.39, 0.4, 0.8, 3.0, 10.0, 60.0, 1000.0])
idents = st.sampled_from(["sw1-x-0", "sw1-x-1", "sw2-y-0", "sw2-y-1"])
roles = st.none() | st.sampled_from(Role)
mlag_roles = st.none() | st.sampled_from(MlagRole)
sources = st.sampled_from([None, PARKED, SOURCE, "tcp:10.0.0.1:1"])

cells = st.none() | st.sampled_from([0, 900, 1200, 5000])
schemas = st.none() | st.just(Schema("hardware_vtep", "1.7.0", "c0ffee"))
servers = st.builds(
    Server, st.sampled_from(Life), roles, sources, st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    stamps, tokens, st.booleans(), st.integers(0, 1), st.integers(0, 2), st.booleans(), st.booleans(),
    cells, schemas, st.sampled_from(["", "", "", "no control socket"]),
    others=st.sampled_from([(), (), (), ("Open_vSwitch",)]),
)  # fmt: skip
peer_sources = st.builds(
    Source, st.booleans(), st.booleans(), ages, ages, roles, stamps, tokens, st.booleans(), schemas,
    ages,
)
vips = st.builds(Vip, st.booleans(), st.none() | st.booleans(), st.booleans())
clags = st.builds(Clag, mlag_roles, mlag_roles, st.none() | st.booleans(), st.none() | st.booleans())
asks = st.builds(Ask, idents, st.sampled_from(Kind))
modes = st.sampled_from([Mode.ACTIVE] * 4 + [Mode.PAUSED, Mode.ADVISE])
upgrades = st.sampled_from([None, None, None, 60.0])
grants = st.builds(Grant, idents, st.sampled_from(Kind), tokens, st.booleans())
records = st.builds(
    Record,
    node=st.just(PEER), state=st.sampled_from(State), term=st.integers(0, 5), life=st.sampled_from(Life), role=roles,
    source=sources, replicating=st.booleans(), serving=st.booleans(), vip=st.booleans(), listener=st.booleans(),
    managers=st.booleans(), stamp=stamps, token=tokens, empty=st.booleans(), in_sync_for=ages, lag=ages,
    mlag=mlag_roles, link_up=st.none() | st.booleans(), preferred=st.none() | nodes, lapsed=st.booleans(),
    cut_off=st.booleans(), controllers=st.integers(0, 1), vteps=st.integers(0, 2), active_for=ages,
    cells=cells, ask=st.none() | asks, grant=st.none() | grants, offer=st.none() | idents,
    keep=st.none() | nodes, decision=st.sampled_from(["", "which?"]), refusal=st.sampled_from(["", "no"]),
    estranged=st.booleans(), mode=modes, mode_left=ages, restore=st.booleans(),
    why=st.sampled_from(["", "so"]), trouble=st.sampled_from(["", "bad"]),
    upgrade=upgrades, upgraded=ages, behind=ages, undriven=st.sampled_from([False, False, False, True]),
    by_order=st.none() | st.booleans(),
)  # fmt: skip
settings = st.builds(
    replace, st.just(SETTINGS), preferred=st.sampled_from([NODE, PEER, "clag"]), restore_automatic=st.booleans(),
    lone_boot=st.sampled_from([None, 0.0, 60.0]), max_behind=st.sampled_from([None, 0.0, 5.0, 60.0]),
)  # fmt: skip
views = st.builds(
    View, st.just(NOW), settings, servers, vips, clags, peer_sources, st.builds(Copy, ages, ages),
    st.none() | records, ages, ages, st.integers(0, 5), st.booleans(),
    schema_gap=st.sampled_from(["", "a table Foo"]), estranged=st.none() | records, mode=modes,
    upgrade=upgrades,
)  # fmt: skip
moments = st.sampled_from([0.0, NOW - 100, NOW - 10, NOW - 1, NOW - 0.3, NOW])
memories = st.builds(
    Memory, boot=st.just("x"), term=st.integers(0, 5), claim=st.none() | terms, met=st.booleans(), peer_stamp=stamps,
    peer_token=tokens, lack=st.none() | st.builds(Lack, moments, st.tuples(terms, st.integers(0, 3)),
                                                  st.none() | moments, st.booleans()),
    lapsed=st.booleans(), awake=moments, ask=st.none() | asks, ask_deadline=st.sampled_from([NOW - 1, NOW + 1]),
    ask_after=st.sampled_from([0.0, NOW + 1]), asks=st.integers(0, 3), grant=st.none() | grants,
    granted=st.none() | idents, grant_since=moments, grant_term=st.integers(0, 4), wanted=st.none() | idents,
    wanted_until=st.sampled_from([NOW - 1, NOW + 1]), offer=st.none() | idents, silent_since=st.none() | moments,
    link_lost_at=st.none() | moments, active_since=st.none() | moments, ordered=roles, held=tokens,
    copying=st.booleans(), severed=st.booleans(), failed_copies=st.sampled_from([0, 2, 3]),
    stuck_since=st.none() | moments, keep=st.none() | nodes,
    keep_until=st.sampled_from([NOW - 1, NOW + 1]), holder=st.none() | nodes,
    forced=st.booleans(), restore=st.booleans(), founding=st.booleans(), moves=st.sampled_from([(), (NOW - 10,) * 6]),
    sent=st.none() | st.sampled_from(Kind), by_order=st.none() | st.booleans(), chosen=st.booleans(),
)  # fmt: skip


def judged(view: View, memory: Memory) -> Situation:
    """Return the case with the presence that the view shows."""
    return Situation(view, memory, presence(view, memory))


cases = st.builds(judged, views, memories)


def a_copy(**changed: object) -> Server:
    """Return a healthy backup of the peer in term 3, which the peer opened."""
    usual = Server(
        Life.UP, Role.BACKUP, SOURCE, replicating=True, loaded=True, stamp=Stamp(3, PEER), token=(3, 10), empty=False
    )
    return replace(usual, **changed)  # type: ignore[arg-type]


def an_active(**changed: object) -> Server:
    """Return a healthy active server in term 3, which we opened, with everything open."""
    usual = Server(
        Life.UP, Role.ACTIVE, managers_open=True, listener_open=True, loaded=True, stamp=Stamp(3, NODE), token=(3, 10),
        empty=False,
    )  # fmt: skip
    return replace(usual, **changed)  # type: ignore[arg-type]


def a_peer(**changed: object) -> Record:
    """Return the record of a peer that serves in term 3."""
    usual = Record(
        PEER, State.ACTIVE, 3, Life.UP, Role.ACTIVE, serving=True, vip=True, listener=True, managers=True,
        stamp=Stamp(3, PEER), token=(3, 10), empty=False, preferred=NODE,
    )  # fmt: skip
    return replace(usual, **changed)  # type: ignore[arg-type]


def an_idle_peer(**changed: object) -> Record:
    """Return the record of a peer that is in order and follows or waits."""
    usual = replace(
        a_peer(), state=State.INIT, role=Role.BACKUP, source=PARKED, serving=False, vip=False, listener=False,
        managers=False,
    )  # fmt: skip
    return replace(usual, **changed)  # type: ignore[arg-type]


def backup_case(view: dict[str, object] | None = None, memory: dict[str, object] | None = None) -> Situation:
    """Return the case of a backup in its steady state, with what is named changed."""
    return _case(a_copy(), a_peer(), Vip(link_up=True), view, memory)


def active_case(view: dict[str, object] | None = None, memory: dict[str, object] | None = None) -> Situation:
    """Return the case of an active side in its steady state, with what is named changed."""
    follower = an_idle_peer(state=State.BACKUP, source=SOURCE, stamp=Stamp(3, NODE), in_sync_for=60.0)
    return _case(an_active(), follower, Vip(present=True, link_up=True), view, memory)


def _case(
    server: Server, record: Record, vip: Vip, view: dict[str, object] | None, memory: dict[str, object] | None
) -> Situation:
    other = Source(True, False, 0.0, 0.0, record.role, record.stamp, record.token, record.empty, role_age=0.0)
    usual = View(
        NOW, SETTINGS, server, vip, Clag(MlagRole.PRIMARY, MlagRole.SECONDARY, True, True, ""), other,
        Copy(60.0, 0.001) if server.role is Role.BACKUP else Copy(), record, 0.05, 0.05, 4,
    )  # fmt: skip
    known = Memory("x", term=3, met=True, lapsed=False, peer_stamp=record.stamp)
    return judged(
        replace(usual, **(view or {})),  # type: ignore[arg-type]
        replace(known, **(memory or {})),  # type: ignore[arg-type]
    )


def advanced(case: Situation) -> Situation:
    """Return the case after the conversation was brought up to date."""
    return replace(case, memory=handover.advance(case))


SERVING, PEER_SERVES = an_active(), a_peer()
BACKUP_VIEW = backup_case().view
MEMORY = replace(backup_case().memory, peer_stamp=None)
