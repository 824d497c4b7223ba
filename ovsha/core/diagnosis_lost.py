"""Say what is wrong while the agent of the peer is not heard, in words, and what an operator can do about it.

Each function yields what it found and what to do, for the rows of ovsha.core.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator

from ovsha.core.case import USABLE, Case
from ovsha.core.collisions import Kind
from ovsha.core.echo import answers
from ovsha.core.facts import Presence, Role
from ovsha.core.outside import Outside
from ovsha.core.words import span

Finding = tuple[str, str]

_RECENT = 60.0
"""Seconds for which heartbeats that were sealed with another key tell why none is believed."""
_COPY = "copy pair.key_file from one switch to the other, and restart ovsha there"


def both_active(case: Case, outside: Outside) -> Iterator[Finding]:
    """Yield that the side which is not heard serves as well as this one."""
    if not both(case):
        return
    peer = case.view.settings.peer
    what = "both sides are active and hold the VIP"
    if not case.peer.vip or _from_before(case):
        what = f"both sides are active, and {peer} may hold the VIP too"
    begin = _COPY if other_key(case, outside) else f"start ovsha on {peer}"
    yield f"{what}: the agent on {peer} is silent", f"{begin}; one side gives way on contact, its writes to the ledger"


def both(case: Case) -> bool:
    """Return whether this side serves and the silent peer does, as its server or its last heartbeat says."""
    source = case.view.source
    if case.presence is not Presence.SILENT or not case.serving or case.view.server.life not in USABLE:
        return False
    # A session that nobody acknowledges is of before: its switch may have come back meanwhile, and its kernel answers.
    fresh = source.life_age is not None and source.life_age < case.view.settings.dead_interval
    if source.loaded and source.role is not None and fresh:
        return source.role is Role.ACTIVE
    return case.peer.serving and not source.closed and not _from_before(case)


def _from_before(case: Case) -> bool:
    """Return whether the peer's last heartbeat is older than our service, and so says nothing of the peer beside it.

    We have taken over since; a switch that comes back from a loss of power serves nothing of what it served then.
    """
    age, since = case.view.heard_age, case.memory.active_since
    return age is not None and since is not None and case.view.now - age < since


def alone(case: Case, rule: str) -> str:
    """Return the ways out for a switch that stands alone and must not serve its data unasked; `rule` says why."""
    keep = "`ovsha resolve --keep self --reason TEXT`"
    if rule == "standalone-copies":
        source = case.view.server.source
        return f"stop the ovsdb-server that it copies from, {source}; or serve what has been copied with {keep}"
    return f"load a backup with `ovsha backup restore`, or serve the data as it is with {keep}"


def key(case: Case, outside: Outside) -> Iterator[Finding]:
    """Yield that the peer is not heard because it has another key."""
    if other_key(case, outside):
        peer = case.view.settings.peer
        yield f"{peer} is not heard, because its heartbeats are sealed with another key", _COPY


def other_key(case: Case, outside: Outside) -> bool:
    """Return whether the heartbeats that come from the peer's own address are sealed with another key."""
    address = case.view.settings.source.partition(":")[2].rpartition(":")[0].strip("[]")
    forged = (each for each in outside.collisions if each.kind is Kind.FORGED and each.last_age < _RECENT)
    return not case.alive and any(each.address == address for each in forged)


def lost(case: Case, outside: Outside, own: str) -> Iterator[Finding]:
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


def _why_never_heard(peer: str, outside: Outside) -> str:
    counters = outside.counters
    if counters.get("forged"):
        return "its heartbeats are sealed with another key: copy pair.key_file from one switch to the other"
    if counters.get("stranger_pair"):
        return "its heartbeats name another pair: compare pair.id on both switches"
    if counters.get("stranger_node") or counters.get("own") or counters.get("stranger_address"):
        return "heartbeats of another node arrive: compare node and nodes on both switches"
    return f"start {peer} and ovsha on it; then compare nodes and heartbeat.port on both switches"
