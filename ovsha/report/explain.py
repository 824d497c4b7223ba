"""Explain one recorded decision: its facts, the rules that were asked, and what would have changed it.

`explain` gives JSON values, and `text` prints them.  Nothing is kept of a
decision but what it was taken on: the same core is asked again, so that an explanation by
another release says what that one decides, and whether it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ovsha.codec import to_plain
from ovsha.core import election, turn
from ovsha.core.echo import dead_by_echo
from ovsha.core.facts import Grant, Mode, Presence, Record, Role, Stamp, Token
from ovsha.core.lineage import PARKED
from ovsha.core.liveness import said_goodbye
from ovsha.core.situation import Situation
from ovsha.report import trace, what_if
from ovsha.report.trace import Entry
from ovsha.words import ago, span, yes

SCHEMA = 1


def explain(entry: Entry) -> dict[str, Any]:
    """Return the explanation of `entry`."""
    decision = trace.replay(entry)
    case = turn.settled(entry.view, entry.memory)
    return {
        "schema": SCHEMA,
        "node": entry.view.settings.node,
        "at": entry.at,
        "turn": entry.number,
        "goal": decision.rule.goal.value,
        "rule": decision.rule.name,
        "why": decision.why,
        "step": decision.step.value if decision.step else None,
        "mode": entry.view.mode.value,
        "would": [step.value for step in decision.would],
        "state": decision.state.value,
        "presence": decision.presence.value,
        "same": trace.holds(entry),
        "recorded": {**asdict(entry.outcome), "why": entry.why},
        "facts": [{"fact": fact, "value": value} for fact, value in facts(case)],
        "rules": rules(case),
        "would_change": [asdict(other) for other in what_if.others(entry.view, entry.memory)],
        "view": to_plain(entry.view),
        "memory": to_plain(entry.memory),
    }


def rules(c: Situation) -> list[dict[str, Any]]:
    """Return the rules in their order, up to and with the first that holds."""
    asked: list[dict[str, Any]] = []
    for rule in election.RULES:
        holds = bool(rule.holds(c))
        why = rule.sentence(c) if holds else rule.why
        asked.append({"rule": rule.name, "holds": holds, "goal": rule.goal.value, "why": why})
        if holds:
            break
    return asked


def facts(c: Situation) -> Iterator[tuple[str, str]]:
    """Yield what was known, in words."""
    if c.view.mode is not Mode.ACTIVE:
        left = "" if c.view.mode_left is None else f", for {span(c.view.mode_left)} yet"
        yield "this side carries out nothing", f"it is {_MODES[c.view.mode]}{left}"
    yield from _own(c)
    if c.standalone:
        yield "the peer", "there is none: this switch stands alone"
    else:
        yield from _peer(c)
        yield from _between(c)
    yield from _remembered(c)


_MODES = {Mode.PAUSED: "paused by an operator", Mode.ADVISE: "in mode advise"}


def _own(c: Situation) -> Iterator[tuple[str, str]]:
    server, vip = c.view.server, c.view.vip
    yield "our ovsdb-server", _server(server.life.value, server.role, server.source)
    if not server.loaded:
        yield "our database", "has not been read"
    else:
        yield "our database", _data(server.stamp, server.token, server.empty)
    doors = {"the VIP": vip.present, "its listener": server.listener_open, "the managers' remote": server.managers_open}
    yield "open here", ", ".join(name for name, is_open in doors.items() if is_open) or "nothing"
    if server.fenced:
        yield "fenced", "its sessions are cut"
    if server.role is Role.BACKUP:
        synced, lag = c.view.copy.in_sync_for, c.view.copy.lag
        lagging = "" if lag is None else f", last lag {span(lag)}"
        yield "our copy", ("not in sync" if synced is None else f"in sync for {span(synced)}") + lagging


def _peer(c: Situation) -> Iterator[tuple[str, str]]:
    view, peer = c.view, c.peer
    heard = f"{c.presence.value}, heard {ago(view.heard_age)}"
    yield "the peer's agent", heard if c.presence is not Presence.NEVER else "was never heard since this switch booted"
    if view.record is not None:
        said = "" if c.alive else " (when last heard)"
        yield "its ovsdb-server", _server(peer.life.value, peer.role, peer.source) + said
        yield "its database", _data(peer.stamp, peer.token, peer.empty) + said
        yield "it serves", yes(peer.serving) + said
        if peer.mode is not Mode.ACTIVE:
            yield "it carries out nothing", f"it is {_MODES[peer.mode]}{said}"
        yield from _conversation(peer)
    if view.estranged is not None:
        yield "a stranger", f"has its name and key, and {'serves' if view.estranged.serving else 'does not serve'}"


def _conversation(peer: Record) -> Iterator[tuple[str, str]]:
    if peer.ask is not None:
        yield "it asks for the service", peer.ask.kind.value
    if peer.grant is not None:
        yield "it grants the service", _grant(peer.grant)
    if peer.refusal:
        yield "it refuses", peer.refusal


def _between(c: Situation) -> Iterator[tuple[str, str]]:
    view, source, clag = c.view, c.view.source, c.view.clag
    yield "heartbeats on the peer link", f"last {ago(view.link_silent_for)}"
    yield "our session to the peer's ovsdb-server", "closed" if source.closed else _session(c)
    yield from _kernel(c)
    if source.loaded:
        role = source.role.value if source.role else "role not probed"
        yield "what we read over it", f"{role}, {_data(source.stamp, source.token, source.empty)}"
    if view.schema_gap:
        yield "the peer's schema has", view.schema_gap
    mlag = clag.role.value if clag.role else f"unknown ({clag.trouble})"
    yield "clagd", f"{mlag}, peer alive {yes(clag.peer_alive)}, backup active {yes(clag.backup_active)}"
    yield "carrier of the peer link", yes(view.vip.link_up)
    yield "preferred", c.preferred or "unknown"


def _session(c: Situation) -> str:
    source, packet = c.view.source, c.view.kernel.packet_age
    if source.life_age is None:
        return "none"
    if source.life_age > 0.0:
        return f"its host has acknowledged nothing for {span(source.life_age)}"
    return "nothing is unacknowledged" if packet is None else f"the last packet of its host came {ago(packet)}"


def _kernel(c: Situation) -> Iterator[tuple[str, str]]:
    """Yield what the peer's kernel has answered to echoes."""
    kernel = c.view.kernel
    for path in kernel.paths:
        here = {None: "", True: ", the carrier is here", False: ", no carrier here"}[path.carrier]
        yield f"its kernel, by echo on the {path.path}", f"answered {ago(path.answered_age)}{here}"
    if kernel.suspected_for is not None:
        gone = "dead by echo" if dead_by_echo(c.view) else "not proven dead"
        yield "the peer is suspect", f"for {span(kernel.suspected_for)}, {gone}"
    if said_goodbye(c.view):
        yield "its agent's last word", "it ends on purpose, and its server stays"


def _remembered(c: Situation) -> Iterator[tuple[str, str]]:
    memory, now = c.memory, c.view.now
    yield "highest term seen", str(memory.term)
    if memory.ask is not None:
        yield "we ask for the service", memory.ask.kind.value
    if memory.grant is not None:
        yield "we grant the service", _grant(memory.grant)
    if c.view.woke:
        yield "this agent", "was not scheduled for longer than the dead interval"
    elif now - memory.awake < c.view.settings.dead_interval:
        yield "this agent", f"has been up or awake for {span(now - memory.awake)} only"
    if memory.keep is not None:
        yield "an operator keeps", f"the data of {memory.keep}"
    if c.view.server.loaded and c.outdated:
        yield "our data", c.outdated
    if c.behind is not None:
        yield "our copy", c.behind.text


def _server(life: str, role: Role | None, source: str | None) -> str:
    if role is None:
        return f"{life}, role not known"
    if role is Role.ACTIVE:
        return f"{life}, active"
    parked = "parked" if source == PARKED else f"backup of {source or 'nobody'}"
    return f"{life}, {parked}"


def _data(stamp: Stamp | None, token: Token | None, empty: bool) -> str:
    lineage = f"term {stamp.term} of {stamp.node}" if stamp else "no lineage"
    last = f", last token {token[0]}.{token[1]}" if token else ""
    return lineage + last + (", blank" if empty else "")


def _grant(grant: Grant) -> str:
    barrier = f", barrier {grant.barrier[0]}.{grant.barrier[1]}" if grant.barrier else ""
    return f"{grant.kind.value}, {'drained' if grant.drained else 'draining'}{barrier}"


When = Callable[[float], str]


def text(document: Mapping[str, Any], when: When) -> str:
    """Return what `ovsha explain` prints."""
    lines = [
        f"{document['node']} at {when(document['at'])}: {document['goal']}, because {document['why']}",
        f"rule {document['rule']}, state {document['state']}, peer {document['presence']}, "
        f"next step: {_next(document)}",
        *(f"note: {note}" for note in document["notes"]),
        *_other_release(document),
        "",
        "facts",
        *_columns([(each["fact"], each["value"]) for each in document["facts"]]),
        "",
        "rules, from the top; the first that holds decides",
        *_rules(document),
        "",
        *_changes(document["would_change"]),
        "",
        *(what_if.text(document["timers"]) if document["timers"] else []),
    ]
    return "\n".join(lines)


def _next(document: Mapping[str, Any]) -> str:
    if document["step"] is not None:
        return str(document["step"])
    would = ", ".join(document["would"])
    return f"none, for it is {document['mode']}; it would {would}" if would else "none, it is there"


def _other_release(document: Mapping[str, Any]) -> list[str]:
    if document["same"]:
        return []
    then = document["recorded"]
    return [f"note: then it was decided otherwise, by rule {then['rule']}: {then['why']}; this release would not"]


def _rules(document: Mapping[str, Any]) -> list[str]:
    asked = document["rules"]
    names = max(len(each["rule"]) for each in asked)
    goals = max(len(each["goal"]) for each in asked)
    return [
        f"  {'HOLDS' if each['holds'] else 'no':<5}  {each['rule']:<{names}}  {each['goal']:<{goals}}  {each['why']}"
        for each in asked
    ]


def _changes(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["no single fact would have changed it"]
    lines = ["it would be otherwise if"]
    for each in found:
        what = f"{each['goal']}, because {each['why']} (rule {each['rule']})"
        if each["asks"]:
            what = f"it would ask the peer for the service; meanwhile {each['goal']}"
        lines += [f"  {each['fact']}:", f"      {what}"]
    return lines


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(key) for key, _ in rows)
    return [f"  {key:<{width}}  {value}" for key, value in rows]
