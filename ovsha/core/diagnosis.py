"""Say what is wrong with the pair, in words, and what an operator can do about it.

One table.  Its rows are searched from the top; what the first of them finds is the verdict
of `ovsha sync-status`, and `ovsha status` shows all.  A row is BROKEN when the pair is not
what it should be: one side active, the other in sync with it.  DEGRADED is what has not
broken the pair yet.  Each law is held by tests/test_status.py:

* a pair that is not in sync has a problem that is BROKEN, whatever its facts are;
* a pair that is in sync has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from ovsha.core import damping, diagnosis_lost, diagnosis_standing, diagnosis_wire
from ovsha.core.case import USABLE, Case
from ovsha.core.collision_words import Names
from ovsha.core.facts import Kind, Life, Presence, Record, Role, State
from ovsha.core.lineage import PARKED, copied
from ovsha.core.outside import Outside
from ovsha.core.side import Decision
from ovsha.core.words import span

_SETTLED = 10.0
"""Seconds for which a side must have been active before somebody is missed who has yet to connect."""


class Level(Enum):
    """Whether a problem has broken the pair, or only some of what keeps it whole."""

    BROKEN = "broken"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: `what` it is, and what to `do`."""

    name: str
    level: Level
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision with what it was taken on and what surrounds it."""

    case: Case
    decision: Decision
    outside: Outside

    @property
    def own(self) -> Record:
        """This side."""
        return self.decision.record

    @property
    def peer(self) -> Record:
        """The peer as its last record tells, or an empty record."""
        return self.case.peer

    @property
    def sides(self) -> tuple[Record, ...]:
        """The sides of which something is known now."""
        return (self.own, self.peer) if self.case.alive else (self.own,)

    @property
    def active(self) -> Record | None:
        """The one side that serves, None when none or both do."""
        serving = [side for side in self.sides if side.serving]
        return serving[0] if len(serving) == 1 else None

    @property
    def other(self) -> Record | None:
        """The side beside the active one, None when it is not heard or there is no active one."""
        return next((side for side in self.sides if side is not self.active), None) if self.active else None

    @property
    def in_sync(self) -> bool:
        """One side is active and complete, and the other, a living backup of it, holds what it had committed."""
        active, other = self.active, self.other
        if active is None or other is None:
            return False
        return self.served and other.life in USABLE and not _behind(other, active) and not _moving_kind(self)

    @property
    def served(self) -> bool:
        """One side is active and complete."""
        active = self.active
        return (
            active is not None
            and active.state is State.ACTIVE
            and active.role is Role.ACTIVE
            and active.life in USABLE
        )

    @property
    def well(self) -> bool:
        """All is as it should be: the pair is in sync or, where a switch stands alone, it serves."""
        return self.served if self.case.standalone else self.in_sync


Finding = tuple[str, str]
Finder = Callable[[Moment], Iterator[Finding]]


def find(moment: Moment) -> list[Problem]:
    """Return all that is wrong, the gravest first."""
    found = [Problem(row, level, what, do) for row, level, finder in ROWS for what, do in finder(moment)]
    if not moment.well and not any(problem.level is Level.BROKEN for problem in found):
        found.insert(0, _unexplained(moment))
    return found


def _following(side: Record) -> bool:
    return side.role is Role.BACKUP and side.source not in (None, PARKED)


def _behind(side: Record, active: Record) -> str:
    """Say why `side` is no complete copy of `active`, "" when it is."""
    if not _following(side):
        return f"it does not follow {active.node}" + (f", because {side.why}" if side.why else "")
    if copied(side.source)[1]:
        return f"it leaves out {copied(side.source)[1]}"
    if not side.replicating:
        return f"it is connecting to {side.source}"
    if side.stamp is None or side.stamp != active.stamp:
        return f"its copy of {active.node}'s database is being filled"
    if side.in_sync_for is None:
        return f"the last token of {active.node} has not arrived in time"
    return ""


def _moving_kind(m: Moment) -> Kind | None:
    """Return why the service is on its way to the other side, None when it is not."""
    grant = next((side.grant for side in m.sides if side.grant is not None), None)
    return grant.kind if grant is not None else None


def _server_down(m: Moment) -> Iterator[Finding]:
    for side in m.sides:
        if side.life is Life.DOWN:
            do = f"on {side.node}: `systemctl start ovsha-ovsdb-server`"
            if m.case.standalone:
                do += "; if its file is damaged, stop ovsha and put a backup there: `ovsha backup restore --offline`"
                yield f"ovsdb-server on {side.node} is not running", do
                return
            do += ", blank if its file is damaged;"
            do += " the agent there does the rest"
            yield f"ovsdb-server on {side.node} is not running", do


def _server_hung(m: Moment) -> Iterator[Finding]:
    for side in m.sides:
        if side.life is Life.HUNG:
            yield f"ovsdb-server on {side.node} is stopped or hangs", f"see its log on {side.node}, and restart it"


def _server_unknown(m: Moment) -> Iterator[Finding]:
    if m.own.life is Life.UNKNOWN:
        trouble = m.outside.server_trouble
        what = f"ovsdb-server on {m.own.node} has not answered yet" + (f": {trouble}" if trouble else "")
        yield what, "wait; if this lasts, compare section server of the configuration with how it was started"


def _split(m: Moment) -> Iterator[Finding]:
    if all(side.serving for side in m.sides) and len(m.sides) == 2:
        winner, why = m.case.verdict
        yield f"both sides serve; {winner} goes on, because {why}", "wait; the other side is taken back by itself"
    yield from diagnosis_lost.both_active(m.case, m.outside)


def _decision(m: Moment) -> Iterator[Finding]:
    for side in m.sides:
        if side.decision:
            yield f"{side.node} needs a decision, because {side.decision}", _ways_out(m, side)


def _ways_out(m: Moment, side: Record) -> str:
    settings = m.case.view.settings
    other = settings.peer if side.node == settings.node else settings.node
    kept = f"; snapshots: {', '.join(m.outside.snapshots)}" if m.outside.snapshots and side is m.own else ""
    if m.case.standalone:
        return diagnosis_lost.alone(m.case, m.decision.rule.name) + kept
    if side.upgrade is not None:
        return diagnosis_standing.way_out_of_upgrade(side, m.case.alive, other)
    if not m.case.alive:
        return (
            f"bring {other} back, or serve the data of {side.node} as it is with"
            f" `ovsha resolve --keep self --reason TEXT`{kept}"
        )
    return (
        f"on {side.node}: `ovsha resolve --keep self --reason TEXT` serves its data and erases that of {other},"
        f" `ovsha resolve --keep peer --reason TEXT` copies {other}'s over it; a snapshot is taken first{kept}"
    )


def _held(m: Moment) -> Iterator[Finding]:
    left = damping.held_for(m.case)
    if left is not None:
        count = len(m.case.memory.moves)
        window = span(m.case.view.settings.move_window)
        yield (
            f"the service moved {count} times within {window} without an order, so it is not given back by itself",
            f"find out why it moves; `ovsha switchover` moves it by hand, and the hold ends in {span(left)}",
        )


def _idle(m: Moment) -> Iterator[Finding]:
    yield from diagnosis_standing.idle(m.sides, m.decision, m.outside)


def _forgotten(m: Moment) -> Iterator[Finding]:
    yield from diagnosis_standing.forgotten(m.outside)


def _upgrade(m: Moment) -> Iterator[Finding]:
    yield from diagnosis_standing.upgrade(m.sides, m.outside)


def _peer_lost(m: Moment) -> Iterator[Finding]:
    if not m.case.standalone:
        yield from diagnosis_lost.lost(m.case, m.outside, m.own.node)


def _other_key(m: Moment) -> Iterator[Finding]:
    yield from diagnosis_lost.key(m.case, m.outside)


def _moving(m: Moment) -> Iterator[Finding]:
    kind = _moving_kind(m)
    if kind is not None:
        yield f"the service is on its way to the other side ({kind.value})", "wait; this takes a moment"


def _nobody(m: Moment) -> Iterator[Finding]:
    if not any(side.serving for side in m.sides) and _moving_kind(m) is None:
        if m.case.alive:
            do = "wait; if this lasts, see ovsha status on both sides"
            whys = "; ".join(f"{side.node}: {side.why}" for side in m.sides if side.why)
            yield "nobody serves" + (f" ({whys})" if whys else ""), do
        elif m.own.life in USABLE:
            yield f"{m.own.node} does not serve, because {m.decision.why}", _why_alone(m)


def _why_alone(m: Moment) -> str:
    peer = m.case.view.settings.peer
    if m.case.standalone:
        return "wait; if this lasts, see `journalctl -u ovsha`"
    if m.case.upgrading:
        return diagnosis_standing.way_out_of_upgrade(m.own, m.case.alive, peer)
    if m.case.outdated:
        return f"bring {peer} back, which has the newest data"
    if m.decision.presence is Presence.NEVER:
        return f"bring {peer} up, or set lone_boot to the seconds after which a switch may serve alone"
    if diagnosis_lost.other_key(m.case, m.outside):
        return "copy pair.key_file from one switch to the other"
    if m.decision.presence is Presence.SILENT:
        stall = span(m.case.view.settings.stall_interval)
        return f"start ovsha on {peer} if that runs; if not, it counts as dead once its host was silent for {stall}"
    return "wait; if this lasts, see `journalctl -u ovsha`"


def _partial(m: Moment) -> Iterator[Finding]:
    active = m.active
    if active is not None and active.state is not State.ACTIVE and _moving_kind(m) is None:
        vip = m.case.view.settings.has_vip
        parts = {"the VIP": active.vip, "the listener on it": active.listener} if vip else {}
        parts["the managers' remote"] = active.managers
        missing = " and ".join(name for name, there in parts.items() if not there)
        what = f"{active.node} serves only in part" + (f": without {missing}" if missing else "")
        yield what, f"wait; if this lasts, see `journalctl -u ovsha` on {active.node}"


def _copy_behind(m: Moment) -> Iterator[Finding]:
    active, other = m.active, m.other
    if active is None or other is None or other.life not in USABLE:
        return
    why = _behind(other, active)
    if not why:
        return
    if not _following(other):
        do = "wait; if this lasts, see the log of ovsha there"
        if m.decision.rule.name == "source-refused":
            do = f"nothing is erased; to serve with the data on {other.node}, stop ovsdb-server on {active.node}"
    elif not other.replicating:
        do = f"wait; if this lasts, see that the replication address of {active.node} is reached from {other.node}"
    else:
        do = "wait until it is filled; a failover would lose what is missing"
    yield f"{other.node} is not in sync: {why}", do


def _failing(m: Moment) -> Iterator[Finding]:
    for step, error in m.outside.failing.items():
        yield f"cannot {step}: {error}", "it is tried again every two seconds or sooner; put right what it names"


def _paths(m: Moment) -> Iterator[Finding]:
    # Where the agent there is not heard at all, that both paths are silent is no further news.
    if m.decision.presence is Presence.ALIVE:
        yield from diagnosis_wire.paths(m.own.node, m.case.view.settings.peer, m.outside.paths)


def _estranged(m: Moment) -> Iterator[Finding]:
    if m.case.alive and m.peer.estranged:
        own, peer = m.own.node, m.peer.node
        what = f"{peer} knows {own} by another identity and does not believe it, so nothing can be handed over"
        yield what, f"if {own} was replaced or lost its state directory, run `ovsha peer forget` on {peer}"


def _collisions(m: Moment) -> Iterator[Finding]:
    settings = m.case.view.settings
    yield from diagnosis_wire.collisions(Names(m.outside.pair, settings.node, settings.peer), m.outside)


def _link(m: Moment) -> Iterator[Finding]:
    if m.own.link_up is False and not m.case.standalone:
        yield "the peer link has no carrier here", "see its ports and cables"


def _busy(m: Moment) -> Iterator[Finding]:
    for side in m.sides:
        if side.life is Life.BUSY:
            yield f"ovsdb-server on {side.node} is too busy to answer", "wait; a resynchronisation takes seconds"


def _clag(m: Moment) -> Iterator[Finding]:
    clag = m.case.view.clag
    if m.case.standalone:
        return
    if clag.role is None:
        yield f"the MLAG role is unknown: {clag.trouble}", "see `ovsha check mlag`"
    elif m.case.alive and clag.role is m.peer.mlag:
        yield f"both switches are MLAG {clag.role.value}", "see `ovsha check mlag` on both"


def _long_active(m: Moment) -> Record | None:
    active = m.active
    return active if active is not None and (active.active_for or 0.0) >= _SETTLED else None


def _no_controller(m: Moment) -> Iterator[Finding]:
    active = _long_active(m)
    if active is not None and m.outside.managers and not active.controllers:
        targets = ", ".join(manager.target for manager in m.outside.managers)
        yield f"no controller is connected to {active.node}: {targets}", "see the route there, and its certificates"


def _no_vtep(m: Moment) -> Iterator[Finding]:
    active = _long_active(m)
    if active is not None and not active.vteps and m.case.view.settings.has_vip:
        target = f"{m.outside.vip}:{m.outside.vip_port}"
        yield f"no VTEP daemon is attached to {active.node}", f"point ovs-vtepd of both switches to {target}"


def _troubles(m: Moment) -> Iterator[Finding]:
    for what, trouble in m.outside.troubles.items():
        yield f"{what}: {trouble}", "see the log of ovsha"
    for side in m.sides:
        if side.trouble:
            yield f"{side.node}: {side.trouble}", f"see the log of ovsha on {side.node}"
    if m.outside.server_trouble and m.own.life in USABLE:
        yield f"ovsdb-server on {m.own.node}: {m.outside.server_trouble}", "compare section server of the configuration"
    if m.outside.source_trouble and m.case.alive and m.peer.life in USABLE:
        do = f"see that it listens on the replication address of {m.peer.node}, and no filter is between"
        if m.case.view.settings.source.startswith("ssl:"):
            do = f"compare section replication and the certificates of both switches (`ovsha check certs`); {do}"
        yield f"our session to ovsdb-server on {m.peer.node}: {m.outside.source_trouble}", do


def _divergence(m: Moment) -> Iterator[Finding]:
    for each in m.outside.divergences:
        do = f"see ovsha ledger show {each.ledger}, then replay it, or dismiss it with a reason"
        if each.failed:
            yield f"what exists only in snapshot {each.snapshot} on {m.own.node} is not known: {each.failed}", do
        else:
            doubt = "" if each.exact else "; it is not exact"
            rows = "1 row that was acknowledged exists" if each.rows == 1 else f"{each.rows} acknowledged rows exist"
            yield f"{rows} only in ledger {each.ledger}{doubt}", do


def _unexplained(m: Moment) -> Problem:
    states = " and ".join(f"{side.node} is in state {side.state.value}" for side in m.sides)
    what = f"it is not served: {states}" if m.case.standalone else f"the pair is not in sync: {states}"
    return Problem("settling", Level.BROKEN, what, "wait a moment and ask again")


ROWS: tuple[tuple[str, Level, Finder], ...] = (
    ("split-brain", Level.BROKEN, _split),
    ("server-down", Level.BROKEN, _server_down),
    ("server-hung", Level.BROKEN, _server_hung),
    ("server-unknown", Level.BROKEN, _server_unknown),
    ("peer-lost", Level.BROKEN, _other_key),
    ("needs-decision", Level.BROKEN, _decision),
    ("handover", Level.BROKEN, _moving),
    ("not-served", Level.BROKEN, _nobody),
    ("peer-lost", Level.BROKEN, _peer_lost),
    ("partly-served", Level.BROKEN, _partial),
    ("copy-behind", Level.BROKEN, _copy_behind),
    ("step-failing", Level.DEGRADED, _failing),
    ("moves-held", Level.DEGRADED, _held),
    ("idle", Level.DEGRADED, _idle),
    ("upgrade", Level.DEGRADED, _upgrade),
    ("pause-forgotten", Level.DEGRADED, _forgotten),
    ("path", Level.DEGRADED, _paths),
    ("estranged", Level.DEGRADED, _estranged),
    ("collision", Level.DEGRADED, _collisions),
    ("peer-link", Level.DEGRADED, _link),
    ("server-busy", Level.DEGRADED, _busy),
    ("mlag", Level.DEGRADED, _clag),
    ("no-controller", Level.DEGRADED, _no_controller),
    ("no-vtep", Level.DEGRADED, _no_vtep),
    ("divergence", Level.DEGRADED, _divergence),
    ("trouble", Level.DEGRADED, _troubles),
)
"""Name, level, and what finds it."""
