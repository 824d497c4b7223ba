"""Find what is wrong with who serves and with the copy, in peace and while the peer is not heard.

Each function yields what it found and what to do, for the rows of ovsha.report.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovsha.core import damping
from ovsha.core.behind import written
from ovsha.core.echo import answers
from ovsha.core.facts import UNREAD, Mode, Presence, Record, Role, State
from ovsha.core.liveness import left_to_clagd
from ovsha.core.situation import USABLE, Situation
from ovsha.core.turn import Decision
from ovsha.protocol.conflicts import Kind
from ovsha.report.assessment import Assessment, StatusInputs, behind, exposure, following, moving_kind
from ovsha.words import ago, span

Finding = tuple[str, str]


def idle(sides: tuple[Record, ...], decision: Decision, outside: StatusInputs) -> Iterator[Finding]:
    """Yield each side that is paused or only advises; of the peer no more is known than its record says."""
    own = decision.record.node
    for side in sides:
        undone = f"; it would {', '.join(step.value for step in decision.would)}" if side.node == own else ""
        undone = undone if decision.would else ""
        if side.mode is Mode.ADVISE:
            what = f"{side.node} only advises and carries out nothing{undone}"
            yield what, f"set mode: active in the configuration of {side.node} and reload ovsha there"
        if side.mode is Mode.PAUSED:
            left = "" if side.mode_left is None else f" for another {span(side.mode_left)}"
            note = _note(outside) if side.node == own else ""
            what = f"{side.node} is paused{left}{note}, and carries out nothing{undone}"
            yield what, f"`ovsha resume` on {side.node} when the work is done; it ends by itself"


def upgrade(sides: tuple[Record, ...], outside: StatusInputs) -> Iterator[Finding]:
    """Yield each side that is in an upgrade."""
    for side in sides:
        if side.upgrade is not None:
            own = outside.upgrade if side.node == sides[0].node else None
            late = f", longer than {span(own.limit)}" if own is not None and own.late else ""
            by = f" by {own.who}" if own is not None and own.who else ""
            why = f" ({own.reason})" if own is not None and own.reason else ""
            what = f"{side.node} is in an upgrade for {span(side.upgrade)}{late}{by}{why}, and takes nothing over"
            yield what, f"`ovsha upgrade finish` on {side.node} when it is done"


def way_out_of_upgrade(side: Record, alive: bool, other: str) -> str:
    """Return what an operator can do where a side that is in an upgrade has nobody to follow."""
    if alive:
        return (
            f"have {other} serve; if that cannot be, `ovsha resolve --keep self --reason TEXT` on the side with the"
            f" newer data serves it, and ends the upgrade there"
        )
    return f"bring {other} back; if it is lost, `ovsha upgrade finish --peer-lost` on {side.node} serves what it has"


def forgotten(outside: StatusInputs) -> Iterator[Finding]:
    """Yield a pause that ended by itself, until somebody takes note of it."""
    pause = outside.forgotten
    if pause is not None:
        by = f" by {pause.who}" if pause.who else ""
        what = f"the pause{by} was forgotten: it ended by itself {ago(-pause.left)}, and this side acts again"
        yield what, "see whether the work is finished, then `ovsha resume` to take note of it"


def _note(outside: StatusInputs) -> str:
    pause = outside.pause
    if pause is None:
        return ""
    by = f" by {pause.who}" if pause.who else ""
    return by + (f" ({pause.reason})" if pause.reason else "")


_RECENT = 60.0
"""Seconds for which heartbeats that were sealed with another key tell why none is believed."""
_COPY = "copy pair.key_file from one switch to the other, and restart ovsha there"


def both_active(case: Situation, outside: StatusInputs) -> Iterator[Finding]:
    """Yield that the side which is not heard serves as well as this one."""
    if not both(case):
        return
    peer = case.view.settings.peer
    what = "both sides are active and hold the VIP"
    if not case.peer.vip or _from_before(case):
        what = f"both sides are active, and {peer} may hold the VIP too"
    begin = _COPY if other_key(case, outside) else f"start ovsha on {peer}"
    yield f"{what}: the agent on {peer} is silent", f"{begin}; one side gives way on contact, its writes to the ledger"


def both(case: Situation) -> bool:
    """Return whether this side serves and the silent peer does, as its server or its last heartbeat says."""
    source = case.view.source
    if case.presence is not Presence.SILENT or not case.serving or case.view.server.life not in USABLE:
        return False
    # A session that nobody acknowledges is of before: its switch may have come back meanwhile, and its kernel answers.
    fresh = source.life_age is not None and source.life_age < case.view.settings.dead_interval
    if source.loaded and source.role is not None and fresh:
        return source.role is Role.ACTIVE
    return case.peer.serving and not source.closed and not _from_before(case)


def _from_before(case: Situation) -> bool:
    """Return whether the peer's last heartbeat is older than our service, and so says nothing of the peer beside it.

    We have taken over since; a switch that comes back from a loss of power serves nothing of what it served then.
    """
    age, since = case.view.heard_age, case.memory.active_since
    return age is not None and since is not None and case.view.now - age < since


def alone(case: Situation, rule: str) -> str:
    """Return the ways out for a switch that stands alone and must not serve its data unasked; `rule` says why."""
    keep = "`ovsha resolve --keep self --reason TEXT`"
    if rule == "standalone-copies":
        source = case.view.server.source
        return f"stop the ovsdb-server that it copies from, {source}; or serve what has been copied with {keep}"
    return f"load a backup with `ovsha backup restore`, or serve the data as it is with {keep}"


def key(case: Situation, outside: StatusInputs) -> Iterator[Finding]:
    """Yield that the peer is not heard because it has another key."""
    if other_key(case, outside):
        peer = case.view.settings.peer
        yield f"{peer} is not heard, because its heartbeats are sealed with another key", _COPY


def other_key(case: Situation, outside: StatusInputs) -> bool:
    """Return whether the heartbeats that come from the peer's own address are sealed with another key."""
    address = case.view.settings.source.partition(":")[2].rpartition(":")[0].strip("[]")
    forged = (each for each in outside.collisions if each.kind is Kind.FORGED and each.last_age < _RECENT)
    return not case.alive and any(each.address == address for each in forged)


def lost(case: Situation, outside: StatusInputs, own: str) -> Iterator[Finding]:
    """Yield how the peer is not heard."""
    peer, age = case.view.settings.peer, case.view.heard_age
    since = f" for {span(age)}" if age is not None else ""
    stranger = case.view.estranged
    if stranger is not None and not case.alive:
        what = f"what calls itself {peer} is another switch than the {peer} that was met before, and is not believed"
        what += "; it says that it serves" if stranger.serving else ""
        yield what, f"if {peer} was replaced or lost its state directory, run `ovsha peer forget` on {own}"
        return
    if other_key(case, outside):
        return
    if case.presence is Presence.DEAD and answers(case.view):
        what = f"neither the agent nor ovsdb-server of {peer} has answered{since}, though its kernel does"
        yield what, f"see on {peer}: `systemctl status ovsha ovsha-ovsdb-server`; it rejoins by itself"
    elif case.presence is Presence.DEAD:
        yield f"{peer} is silent on every path{since}", f"see whether {peer} runs and is cabled; it rejoins by itself"
    if case.presence is Presence.SILENT:
        do = f"start or restart ovsha on {peer}" + ("" if both(case) else "; the service is not touched by that")
        yield f"the agent on {peer} is silent{since}, but the switch is not dead", do
    if case.memory.founding:
        do = f"`ovsha join` on {peer}; `ovsha init` here makes the bundle for it"
        yield f"{peer} has not joined the pair yet", do
        return
    if case.presence is Presence.NEVER:
        yield f"{peer} was never heard since this switch booted", _why_never_heard(peer, outside)


def _why_never_heard(peer: str, outside: StatusInputs) -> str:
    counters = outside.counters
    if counters.get("forged"):
        return "its heartbeats are sealed with another key: copy pair.key_file from one switch to the other"
    if counters.get("stranger_pair"):
        return "its heartbeats name another pair: compare pair.id on both switches"
    if counters.get("stranger_node") or counters.get("own") or counters.get("stranger_address"):
        return "heartbeats of another node arrive: compare node and nodes on both switches"
    return f"start {peer} and ovsha on it; then compare nodes and heartbeat.port on both switches"


def split(m: Assessment) -> Iterator[Finding]:
    """Yield that both sides serve."""
    if all(side.serving for side in m.sides) and len(m.sides) == 2:
        winner, why = m.case.verdict
        yield f"both sides serve; {winner} goes on, because {why}", _until_one_serves(m, winner)
    yield from both_active(m.case, m.outside)


def _until_one_serves(m: Assessment, winner: str) -> str:
    loser = next(side for side in m.sides if side.node != winner)
    if loser.mode is Mode.ACTIVE:
        return "wait; the other side is taken back by itself"
    ends = f"run `ovsha resume` on {loser.node}" if loser.mode is Mode.PAUSED else f"set mode: active on {loser.node}"
    return f"{ends} at once: it carries out nothing, so both go on until then"


def decision(m: Assessment) -> Iterator[Finding]:
    """Yield each side that waits for an operator, and the ways out."""
    for side in m.sides:
        if side.decision:
            yield f"{side.node} needs a decision, because {side.decision}", _ways_out(m, side)


def _ways_out(m: Assessment, side: Record) -> str:
    settings = m.case.view.settings
    other = settings.peer if side.node == settings.node else settings.node
    kept = f"; snapshots: {', '.join(m.outside.snapshots)}" if m.outside.snapshots and side is m.own else ""
    if m.case.standalone:
        return alone(m.case, m.decision.rule.name) + kept
    if side.upgrade is not None:
        return way_out_of_upgrade(side, m.case.alive, other)
    if not m.case.alive:
        return (
            f"bring {other} back, or serve the data of {side.node} as it is with"
            f" `ovsha resolve --keep self --reason TEXT`{kept}"
        )
    return (
        f"on {side.node}: `ovsha resolve --keep self --reason TEXT` serves its data and erases that of {other},"
        f" `ovsha resolve --keep peer --reason TEXT` copies {other}'s over it; a snapshot is taken first{kept}"
    )


def held(m: Assessment) -> Iterator[Finding]:
    """Yield that the service is not given back, because it moved too often."""
    left = damping.held_for(m.case)
    if left is not None:
        count = len(m.case.memory.moves)
        window = span(m.case.view.settings.move_window)
        yield (
            f"the service moved {count} times within {window} without an order, so it is not given back by itself",
            f"find out why it moves; `ovsha switchover` moves it by hand, and the hold ends in {span(left)}",
        )


def moving(m: Assessment) -> Iterator[Finding]:
    """Yield that the service is on its way."""
    kind = moving_kind(m)
    if kind is not None:
        yield f"the service is on its way to the other side ({kind.value})", "wait; this takes a moment"


def nobody(m: Assessment) -> Iterator[Finding]:
    """Yield that nobody serves, and what would change that."""
    if not any(side.serving for side in m.sides) and moving_kind(m) is None:
        if m.case.alive:
            do = "wait; if this lasts, see ovsha status on both sides"
            whys = "; ".join(f"{side.node}: {side.why}" for side in m.sides if side.why)
            yield "nobody serves" + (f" ({whys})" if whys else ""), do
        elif m.own.life in USABLE:
            yield f"{m.own.node} does not serve, because {m.decision.why}", _why_alone(m)


def _why_alone(m: Assessment) -> str:
    peer = m.case.view.settings.peer
    if m.case.standalone:
        return "wait; if this lasts, see `journalctl -u ovsha`"
    if m.case.upgrading:
        return way_out_of_upgrade(m.own, m.case.alive, peer)
    if m.case.outdated or m.case.too_far_behind:
        return f"bring {peer} back, which has the newest data"
    if m.decision.presence is Presence.NEVER:
        return f"bring {peer} up, or set lone_boot to the seconds after which a switch may serve alone"
    if other_key(m.case, m.outside):
        return "copy pair.key_file from one switch to the other"
    if m.decision.presence is Presence.SILENT:
        return f"start ovsha on {peer} if that runs; if not, {_when_dead(m)}"
    return "wait; if this lasts, see `journalctl -u ovsha`"


def _when_dead(m: Assessment) -> str:
    """Return what makes a switch count as dead whose agent is silent."""
    view, memory = m.case.view, m.case.memory
    if left_to_clagd(view, memory):
        return "it counts as dead once clagd says that it is gone on both its paths"
    return f"it counts as dead once its kernel is silent, or its ovsdb-server for {span(view.settings.stall_interval)}"


def partial(m: Assessment) -> Iterator[Finding]:
    """Yield that the active side lacks some of what serving takes."""
    active = m.active
    if active is not None and active.state is not State.ACTIVE and moving_kind(m) is None:
        vip = m.case.view.settings.has_vip
        parts = {"the VIP": active.vip, "the listener on it": active.listener} if vip else {}
        parts["the managers' remote"] = active.managers
        missing = " and ".join(name for name, there in parts.items() if not there)
        what = f"{active.node} serves only in part" + (f": without {missing}" if missing else "")
        yield what, f"wait; if this lasts, see `journalctl -u ovsha` on {active.node}"


def copy_behind(m: Assessment) -> Iterator[Finding]:
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


def exposed(m: Assessment) -> Iterator[Finding]:
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
