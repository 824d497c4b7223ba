"""Say what is wrong with who serves and with the other's copy, in words, and what an operator can do about it.

Each function yields what it found and what to do, for the rows of ovsha.core.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovsha.core import damping, diagnosis_lost, diagnosis_standing
from ovsha.core.behind import written
from ovsha.core.case import USABLE
from ovsha.core.facts import UNREAD, Mode, Presence, Record, State
from ovsha.core.liveness import left_to_clagd
from ovsha.core.moment import Moment, behind, exposure, following, moving_kind
from ovsha.core.words import span

Finding = tuple[str, str]


def split(m: Moment) -> Iterator[Finding]:
    """Yield that both sides serve."""
    if all(side.serving for side in m.sides) and len(m.sides) == 2:
        winner, why = m.case.verdict
        yield f"both sides serve; {winner} goes on, because {why}", _until_one_serves(m, winner)
    yield from diagnosis_lost.both_active(m.case, m.outside)


def _until_one_serves(m: Moment, winner: str) -> str:
    loser = next(side for side in m.sides if side.node != winner)
    if loser.mode is Mode.ACTIVE:
        return "wait; the other side is taken back by itself"
    ends = f"run `ovsha resume` on {loser.node}" if loser.mode is Mode.PAUSED else f"set mode: active on {loser.node}"
    return f"{ends} at once: it carries out nothing, so both go on until then"


def decision(m: Moment) -> Iterator[Finding]:
    """Yield each side that waits for an operator, and the ways out."""
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


def held(m: Moment) -> Iterator[Finding]:
    """Yield that the service is not given back, because it moved too often."""
    left = damping.held_for(m.case)
    if left is not None:
        count = len(m.case.memory.moves)
        window = span(m.case.view.settings.move_window)
        yield (
            f"the service moved {count} times within {window} without an order, so it is not given back by itself",
            f"find out why it moves; `ovsha switchover` moves it by hand, and the hold ends in {span(left)}",
        )


def moving(m: Moment) -> Iterator[Finding]:
    """Yield that the service is on its way."""
    kind = moving_kind(m)
    if kind is not None:
        yield f"the service is on its way to the other side ({kind.value})", "wait; this takes a moment"


def nobody(m: Moment) -> Iterator[Finding]:
    """Yield that nobody serves, and what would change that."""
    if not any(side.serving for side in m.sides) and moving_kind(m) is None:
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
    if m.case.outdated or m.case.too_far_behind:
        return f"bring {peer} back, which has the newest data"
    if m.decision.presence is Presence.NEVER:
        return f"bring {peer} up, or set lone_boot to the seconds after which a switch may serve alone"
    if diagnosis_lost.other_key(m.case, m.outside):
        return "copy pair.key_file from one switch to the other"
    if m.decision.presence is Presence.SILENT:
        return f"start ovsha on {peer} if that runs; if not, {_when_dead(m)}"
    return "wait; if this lasts, see `journalctl -u ovsha`"


def _when_dead(m: Moment) -> str:
    """Return what makes a switch count as dead whose agent is silent."""
    view, memory = m.case.view, m.case.memory
    if left_to_clagd(view, memory):
        return "it counts as dead once clagd says that it is gone on both its paths"
    return f"it counts as dead once its kernel is silent, or its ovsdb-server for {span(view.settings.stall_interval)}"


def partial(m: Moment) -> Iterator[Finding]:
    """Yield that the active side lacks some of what serving takes."""
    active = m.active
    if active is not None and active.state is not State.ACTIVE and moving_kind(m) is None:
        vip = m.case.view.settings.has_vip
        parts = {"the VIP": active.vip, "the listener on it": active.listener} if vip else {}
        parts["the managers' remote"] = active.managers
        missing = " and ".join(name for name, there in parts.items() if not there)
        what = f"{active.node} serves only in part" + (f": without {missing}" if missing else "")
        yield what, f"wait; if this lasts, see `journalctl -u ovsha` on {active.node}"


def copy_behind(m: Moment) -> Iterator[Finding]:
    """Yield why the backup is no complete copy."""
    active, other = m.active, m.other
    if active is None or other is None or other.life not in USABLE:
        return
    why = behind(other, active)
    if not why:
        return
    if not following(other):
        do = "wait; if this lasts, see the log of ovsha there"
        if m.decision.rule.name == "source-refused":
            do = f"nothing is erased; to serve with the data on {other.node}, stop ovsdb-server on {active.node}"
    elif other.why == UNREAD:
        do = (
            f"wait; if this lasts, see that server.socket on {other.node} is its ovsdb-server's, and restart that one"
            f" while {active.node} serves"
        )
    elif active.overwritten and other.replicating:
        do = f"find the client that does it: `ovsha status` on {active.node} names what it wrote"
    elif not other.replicating:
        do = f"wait; if this lasts, see that the replication address of {active.node} is reached from {other.node}"
    else:
        do = "wait until it is filled; a failover would lose what is missing"
    yield f"{other.node} is not in sync: {why}", do


def exposed(m: Moment) -> Iterator[Finding]:
    """Yield what a failover would lose now; where it cannot come any more, the decision that is needed says it."""
    told = exposure(m.case)
    if told is None or m.case.presence not in (Presence.ALIVE, Presence.SILENT):
        return
    lacks, day = told.behind, m.outside.lacking_since
    # The day is of interest only when it is another one.
    at = day.partition("+")[0][11:19] if lacks.age < 43200 else day
    since = f" since {at}" if at else ""
    what = f"a failover now would lose what {told.source} wrote{since}, tokens {written(lacks.ours)} to"
    what += f" {written(lacks.theirs)}"
    if told.beyond:
        what += f"; that is more than failover.max_behind, so {told.node} would not take over unasked"
    yield what, f"see on {told.node} why its copy does not follow: `ovsha sync-status`"
