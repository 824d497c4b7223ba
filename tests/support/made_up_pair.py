"""Make up a pair as its two sides see it, for the tests of what an operator is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ovsha.core import turn
from ovsha.core.facts import Clag, Copy, Life, MlagRole, Record, Role, Server, Source, Stamp, State, Vip
from ovsha.core.view import Memory, Settings, View
from ovsha.protocol.path import Path, PathState
from ovsha.report import status
from ovsha.report.assessment import Manager, Moved, PathReport, StatusInputs

SOURCE = "tcp:169.254.0.9:9999"
STAMP = Stamp(7, "sw1")
SETTINGS = Settings("sw2", "sw1", "sw1", SOURCE)

ACTIVE_PEER = Record(
    "sw1",
    state=State.ACTIVE,
    term=7,
    life=Life.UP,
    role=Role.ACTIVE,
    serving=True,
    vip=True,
    listener=True,
    managers=True,
    stamp=STAMP,
    token=(7, 155),
    empty=False,
    mlag=MlagRole.PRIMARY,
    link_up=True,
    preferred="sw1",
    lapsed=False,
    controllers=1,
    vteps=2,
    active_for=312.0,
    why="we are the active side",
)
BACKUP_PEER = Record(
    "sw1",
    state=State.BACKUP,
    term=7,
    life=Life.UP,
    role=Role.BACKUP,
    source="tcp:169.254.0.10:9999",
    replicating=True,
    stamp=Stamp(7, "sw2"),
    token=(7, 40),
    empty=False,
    in_sync_for=20.0,
    lag=0.012,
    mlag=MlagRole.PRIMARY,
    link_up=True,
    lapsed=False,
    why="the peer is the active side",
)
UP = Path(PathState.UP, 0.05, 0.06, 0.0004)
OUTSIDE = StatusInputs(
    version="0.1.0",
    pair="rack7",
    pid=4711,
    uptime=7500.0,
    database="hardware_vtep",
    vip="169.254.0.11",
    vip_interface="peerlink.4094",
    vip_port=9998,
    paths={"peer-link": PathReport(UP), "backup-path": PathReport(UP)},
    clag_age=2.1,
    managers=(Manager("ssl:10.0.0.1:6632", False),),
    counters={"moves": 1, "incidents": 0, "forged": 0},
    moved=Moved(312.0, "init -> backup, because the peer is the active side"),
)
FOLLOWING = View(
    now=1000.0,
    settings=SETTINGS,
    server=Server(
        Life.UP, Role.BACKUP, SOURCE, replicating=True, loaded=True, stamp=STAMP, token=(7, 155), empty=False
    ),
    vip=Vip(link_up=True),
    clag=Clag(MlagRole.SECONDARY, MlagRole.PRIMARY, True, True, ""),
    source=Source(loaded=True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, stamp=STAMP, token=(7, 155)),
    copy=Copy(300.0, 0.004),
    record=ACTIVE_PEER,
    heard_age=0.05,
    link_silent_for=0.05,
    reserved=8,
)
SERVING = replace(
    FOLLOWING,
    server=Server(
        Life.UP,
        Role.ACTIVE,
        managers_open=True,
        listener_open=True,
        loaded=True,
        stamp=Stamp(7, "sw2"),
        token=(7, 40),
        empty=False,
        controllers=1,
        vteps=2,
    ),
    vip=Vip(present=True, link_up=True),
    source=Source(loaded=True, life_age=0.0, answer_age=0.0, role=Role.BACKUP, stamp=Stamp(7, "sw2"), token=(7, 40)),
    copy=Copy(),
    record=BACKUP_PEER,
)
MEMORY = Memory("boot", term=7, met=True, peer_stamp=STAMP, lapsed=False, awake=500.0, active_since=900.0)


def document(view: View = FOLLOWING, outside: StatusInputs = OUTSIDE, memory: Memory = MEMORY) -> dict[str, Any]:
    return status.status(view, turn.turn(view, memory), outside)


def names(told: dict[str, Any]) -> list[str]:
    return [problem["name"] for problem in told["problems"]]


def lost(view: View, age: float = 12.3) -> View:
    """Return the view after the peer fell silent on every path."""
    return replace(view, heard_age=age, link_silent_for=age, source=Source(closed=True), copy=Copy())
