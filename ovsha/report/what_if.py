"""What would be decided if one fact were another, and what the present timers mean at worst.

Each row of `FLIPS` changes one fact that can change by itself: a server dies, a path is cut,
a session ends, the VIP is lost.  The decision is then taken anew by the same core; those
that lead elsewhere are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ovsha.core import turn
from ovsha.core.echo import BURST, PROVEN
from ovsha.core.facts import EchoPath, Kernel, Life, MlagRole, Presence, Record, Role, Source
from ovsha.core.liveness import presence
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View
from ovsha.words import span

Moment = tuple[View, Memory]


@dataclass(frozen=True, slots=True)
class Flip:
    """If `applies`, the fact can be otherwise: `fact` says how, `change` makes it so."""

    fact: str
    applies: Callable[[View, Memory], bool]
    change: Callable[[View, Memory], Moment]


@dataclass(frozen=True, slots=True)
class Other:
    """What would be decided if `fact`."""

    fact: str
    goal: str
    rule: str
    why: str
    step: str | None
    asks: bool


def others(view: View, memory: Memory) -> Iterator[Other]:
    """Yield each single change that leads to another goal, or to asking the peer for the service."""
    actual = turn.turn(view, memory)
    for flip in FLIPS:
        if not flip.applies(view, memory):
            continue
        decision = turn.turn(*flip.change(view, memory))
        asks = _asks(decision) and not _asks(actual)
        if decision.rule.goal is not actual.rule.goal or asks:
            step = decision.step.value if decision.step else None
            yield Other(flip.fact, decision.rule.goal.value, decision.rule.name, decision.why, step, asks)


def _asks(decision: Decision) -> bool:
    return decision.memory.ask is not None


def _alive(view: View, memory: Memory) -> bool:
    return view.record is not None and presence(view, memory) is Presence.ALIVE


def _server(**values: object) -> Callable[[View, Memory], Moment]:
    return lambda view, memory: (replace(view, server=replace(view.server, **values)), memory)  # type: ignore[arg-type]


def _source(**values: object) -> Callable[[View, Memory], Moment]:
    return lambda view, memory: (replace(view, source=replace(view.source, **values)), memory)  # type: ignore[arg-type]


def _vip(**values: object) -> Callable[[View, Memory], Moment]:
    return lambda view, memory: (replace(view, vip=replace(view.vip, **values)), memory)  # type: ignore[arg-type]


def _clag(**values: object) -> Callable[[View, Memory], Moment]:
    return lambda view, memory: (replace(view, clag=replace(view.clag, **values)), memory)  # type: ignore[arg-type]


def _peer(**values: object) -> Callable[[View, Memory], Moment]:
    def change(view: View, memory: Memory) -> Moment:
        assert view.record is not None
        return replace(view, record=replace(view.record, **values)), memory  # type: ignore[arg-type]

    return change


def _peer_server_down(view: View, memory: Memory) -> Moment:
    """Let the peer's server die: its agent says so, and it has closed our session."""
    ended = replace(view.source, life_age=None, answer_age=None, role=None, role_age=None, closed=True)
    return _peer(life=Life.DOWN, serving=False)(replace(view, source=ended), memory)


def _dead(view: View, memory: Memory) -> Moment:
    """Let nothing be heard of the peer any more, neither its agent nor its server nor its host."""
    silent = replace(view.source, life_age=None, answer_age=None, closed=True)
    age = 2 * view.settings.dead_interval
    unheard = replace(view, source=silent, heard_age=age, link_silent_for=age, kernel=Kernel())
    return unheard, replace(memory, silent_since=None, link_lost=False)


def _kernel_silent(view: View, memory: Memory) -> Moment:
    """Let its kernel, which answered until just now, answer to nothing on either path."""
    waited = view.settings.dead_interval
    silent = Source(loaded=view.source.loaded, stamp=view.source.stamp, token=view.source.token)
    paths = tuple(
        EchoPath(name, True, 2 * waited, waited, BURST, waited) for name in ("peer-link", "backup-path")
    )  # fmt: skip
    kernel = Kernel(PROVEN, waited, paths, 2 * waited)
    return replace(view, source=silent, kernel=kernel), memory


def _agent_silent(view: View, memory: Memory) -> Moment:
    """Let the peer's agent fall silent while its server goes on answering."""
    answers = replace(view.source, life_age=0.0, answer_age=0.0, closed=False)
    return replace(view, source=answers, heard_age=2 * view.settings.dead_interval), memory


def _heard(view: View, memory: Memory) -> Moment:
    record = view.record or Record(view.settings.peer)
    return replace(view, record=record, heard_age=0.0, link_silent_for=0.0), memory


def _link_cut(view: View, memory: Memory) -> Moment:
    """Let the peer be heard on the backup path only, for longer than `link_cut.hold`."""
    hold = view.settings.link_cut_hold + 1.0
    return replace(view, link_silent_for=hold), replace(memory, link_lost_at=view.now - hold)


def _stopped(view: View, memory: Memory) -> Moment:
    record = view.record or Record(view.settings.peer)
    calm = replace(record, serving=False, vip=False, listener=False, managers=False, role=Role.BACKUP)
    return replace(view, record=calm), memory


def _serves(view: View, memory: Memory) -> Moment:
    record = view.record or Record(view.settings.peer)
    return replace(view, record=replace(record, serving=True, role=Role.ACTIVE, life=Life.UP)), memory


def _long_in_sync(view: View, memory: Memory) -> Moment:
    long = view.settings.restore_delay + 1.0
    copy = replace(view.copy, in_sync_for=long)
    return replace(view, copy=copy), replace(memory, unpreferred_at=None, ask_after=0.0)


def _preferred(view: View, memory: Memory) -> Moment:
    settings = view.settings
    other = settings.peer if settings.preferred == settings.node else settings.node
    longer = replace(memory, unpreferred_at=None, ask_after=0.0)
    return replace(view, settings=replace(settings, preferred=other)), longer


def _is(role: MlagRole) -> Callable[[View, Memory], bool]:
    return lambda view, memory: view.clag.role is not role


FLIPS = (
    Flip("our ovsdb-server died", lambda v, m: v.server.life is not Life.DOWN, _server(life=Life.DOWN)),
    Flip("our ovsdb-server hung", lambda v, m: v.server.life is not Life.HUNG, _server(life=Life.HUNG)),
    Flip("our ovsdb-server answered", lambda v, m: v.server.life not in (Life.UP, Life.BUSY), _server(life=Life.UP)),
    Flip("our ovsdb-server were active", lambda v, m: v.server.role is Role.BACKUP, _server(role=Role.ACTIVE)),
    Flip("our ovsdb-server were a backup", lambda v, m: v.server.role is Role.ACTIVE, _server(role=Role.BACKUP)),
    Flip("our database could not be read", lambda v, m: v.server.loaded, _server(loaded=False)),
    Flip("our database had been read", lambda v, m: not v.server.loaded, _server(loaded=True)),
    Flip("the peer were silent on every path", _alive, _dead),
    Flip("the peer's agent were silent, but its ovsdb-server answered", _alive, _agent_silent),
    Flip(
        "the peer's kernel, which answered until just now, answered nothing on either path",
        lambda v, m: presence(v, m) is Presence.SILENT,
        _kernel_silent,
    ),
    Flip("the peer's agent were heard", lambda v, m: not _alive(v, m), _heard),
    Flip("the peer served", lambda v, m: _alive(v, m) and not (v.record and v.record.serving), _serves),
    Flip("the peer did not serve", lambda v, m: _alive(v, m) and bool(v.record and v.record.serving), _stopped),
    Flip(
        "the peer's ovsdb-server were down",
        lambda v, m: _alive(v, m) and bool(v.record and v.record.life is not Life.DOWN),
        _peer_server_down,
    ),
    Flip(
        "the peer's ovsdb-server were up",
        lambda v, m: _alive(v, m) and bool(v.record and v.record.life is not Life.UP),
        _peer(life=Life.UP),
    ),
    Flip("our session to the peer's ovsdb-server were closed", lambda v, m: not v.source.closed, _source(closed=True)),
    Flip("our session to the peer's ovsdb-server were open", lambda v, m: v.source.closed, _source(closed=False)),
    Flip("the peer's database had not been read", lambda v, m: v.source.loaded, _source(loaded=False)),
    Flip("the peer's server were read-only", lambda v, m: v.source.role is Role.ACTIVE, _source(role=Role.BACKUP)),
    Flip("the VIP were lost here", lambda v, m: v.vip.present, _vip(present=False)),
    Flip("the VIP were here", lambda v, m: not v.vip.present, _vip(present=True)),
    Flip("only the backup path worked, for longer than link_cut.hold", _alive, _link_cut),
    Flip("clagd made this switch primary", _is(MlagRole.PRIMARY), _clag(role=MlagRole.PRIMARY)),
    Flip("clagd made this switch secondary", _is(MlagRole.SECONDARY), _clag(role=MlagRole.SECONDARY)),
    Flip(
        "clagd said that the peer is gone on both its paths",
        lambda v, m: v.clag.peer_alive is not False,
        _clag(peer_alive=False, backup_active=False),
    ),
    Flip("our copy had been in sync for longer than restore.delay", lambda v, m: True, _long_in_sync),
    Flip("the other side were the preferred one", lambda v, m: v.settings.preferred != "clag", _preferred),
    Flip(
        "the peer had dropped its ask",
        lambda v, m: m.grant is not None,
        lambda v, m: (replace(v, record=replace(v.record or Record(v.settings.peer), ask=None)), m),
    ),
)
"""Every fact that is flipped, in the words that go after "if"."""


_BURST = 0.05
"""Seconds that five echoes take, one after the other (ovsha.core.echo)."""


@dataclass(frozen=True, slots=True)
class Timers:
    """The settings that matter, in seconds, by their names in the configuration file."""

    heartbeat_interval: float
    dead_interval: float
    stall_interval: float
    hang_interval: float
    stall_limit: float
    token_interval: float
    max_lag: float
    handover_timeout: float
    link_cut_hold: float


@dataclass(frozen=True, slots=True)
class Case:
    """Until a fault is acted on, at worst `seconds` pass, by `formula`; None: as long as a packet takes."""

    fault: str
    seconds: float | None
    formula: str


def cases(t: Timers) -> tuple[Case, ...]:
    """Return the faults of an active side, and after how many seconds at worst the other one begins to take over."""
    return (
        Case("its ovsdb-server dies", None, "its session closes at once"),
        Case("its switch dies or falls silent", t.dead_interval, "heartbeat.dead_interval"),
        Case("its agent or all its programs stop, later its switch falls silent", 1.5 * t.dead_interval + _BURST,
             "1.5 x dead_interval + five echoes, once its kernel has answered 60"),
        Case("all its programs are stopped, its kernel answers", t.stall_interval + 3 * t.heartbeat_interval,
             "stall_interval + 3 x interval"),
        Case("its ovsdb-server is stopped", t.dead_interval + t.heartbeat_interval, "dead_interval + interval"),
        Case("its ovsdb-server hangs", t.dead_interval + t.hang_interval, "dead_interval + server.hang_interval"),
        Case("its ovsdb-server is busy without end", t.stall_limit, "server.stall_limit"),
        Case("the peer link is cut, and clagd's primary is the other", t.link_cut_hold + t.dead_interval,
             "link_cut.hold + dead_interval"),
        Case("its agent dies, then its ovsdb-server stops serving", t.stall_interval, "heartbeat.stall_interval"),
    )  # fmt: skip


def document(t: Timers, move: float | None, controller: float | None, lag: float | None) -> dict[str, Any]:
    """Return it as JSON values.

    `move`: seconds that the last move took from the decision until clients were accepted, `controller`: until the first
    controller was connected, None when none was recorded.  `lag`: that of the last token.
    """
    return {
        "faults": [
            {"fault": each.fault, "detected_after": each.seconds, "formula": each.formula} for each in cases(t)
        ],
        "move": move,
        "controller": controller,
        "planned_at_most": 2 * t.handover_timeout,
        "exposure": t.token_interval + t.max_lag,
        "lag": lag,
    }


def text(told: dict[str, Any]) -> list[str]:
    """Return the lines that an operator reads."""
    move = "not measured yet" if told["move"] is None else span(told["move"])
    first = "" if told["controller"] is None else f", to the first controller {span(told['controller'])}"
    faults = told["faults"]
    width = max(len(each["fault"]) for each in faults)
    lines = [f"  {each['fault']:<{width}}  {_after(each)}" for each in faults]
    lag = "" if told["lag"] is None else f"; the last token took {span(told['lag'])}"
    return [
        "worst case with the present timers, if the active side fails: outage = detection + move",
        f"  {'the move, as last measured':<{width}}  {move}{first}",
        *lines,
        f"  {'a planned move is called off':<{width}}  {span(told['planned_at_most'])} at most (2 x handover.timeout)",
        f"writes at risk in a failover: the last {span(told['exposure'])} at most while the pair says in sync"
        f" (replication.token_interval + max_lag){lag}",
    ]


def _after(each: dict[str, Any]) -> str:
    seconds = each["detected_after"]
    return each["formula"] if seconds is None else f"{span(seconds)} ({each['formula']})"
