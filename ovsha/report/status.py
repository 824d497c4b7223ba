"""Put what is known of both sides into one document, which `ovsha status --json` prints.

Nothing here is worded but the problems; `ovsha.report.status_text` turns the document into
what an operator reads, so that both show the same.  Ages, spans and lags are seconds; null
is what is not known.  A key is never given another meaning while `schema` stays the same.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import Enum
from typing import Any

from ovsha import SCHEMA
from ovsha.core.facts import Presence, Record, Stamp, Token
from ovsha.core.lineage import PARKED, copied
from ovsha.core.situation import Situation
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.protocol.conflicts import Names, conflict_text
from ovsha.report.assessment import Assessment, PathReport, ServiceMove, StatusInputs, exposure
from ovsha.report.diagnosis import Level, Problem, find

_SYNC_KEYS = (
    "schema", "node", "peer", "standalone", "pair", "sides", "source", "divergences", "in_sync", "verdict", "do",
)  # fmt: skip


def status(view: View, decision: Decision, outside: StatusInputs) -> dict[str, Any]:
    """Return the whole document, made of JSON values only."""
    moment = Assessment(Situation(view, decision.memory, decision.presence), decision, outside)
    problems = find(moment)
    broken = next((problem for problem in problems if problem.level is Level.BROKEN), None)
    return {
        "schema": SCHEMA,
        "version": outside.version,
        "node": view.settings.node,
        "peer": view.settings.peer or None,
        "standalone": moment.case.standalone,
        "pair": outside.pair,
        "pid": outside.pid,
        "uptime": outside.uptime,
        "in_sync": None if moment.case.standalone else moment.in_sync,
        "healthy": not problems,
        "verdict": broken.what if broken else "standalone, and serving" if moment.case.standalone else "in sync",
        "do": broken.do if broken else None,
        "state": decision.state.value,
        "rule": decision.rule.name,
        "why": decision.why,
        "step": decision.step.value if decision.step else None,
        "under_way": outside.under_way or None,
        "moved": asdict(outside.moved) if outside.moved else None,
        "service": _service(outside.service),
        "preferred": _preferred(moment.case),
        "handover": _handover(moment.case),
        "mode": view.mode.value,
        "would": [step.value for step in decision.would],
        "pause": asdict(outside.pause) if outside.pause else None,
        "forgotten_pause": asdict(outside.forgotten) if outside.forgotten else None,
        "upgrade": asdict(outside.upgrade) if outside.upgrade else None,
        "planned_switchover": asdict(outside.plan) if outside.plan else None,
        "presence": decision.presence.value,
        "sides": _sides(view, decision, outside),
        "identity": _identity(view, decision, outside),
        "source": _source(view),
        "exposure": _exposure(moment),
        "kernel": asdict(view.kernel),
        "divergences": [asdict(each) for each in outside.divergences],
        "paths": {name: _path(report) for name, report in outside.paths.items()},
        "clag": {**_plain(asdict(view.clag)), "age": outside.clag_age},
        "vip": {"address": outside.vip or None, "interface": outside.vip_interface, "port": outside.vip_port},
        "managers": [asdict(manager) for manager in outside.managers],
        "collisions": _collisions(view, outside),
        "counters": dict(outside.counters),
        "failing": dict(outside.failing),
        "settings": asdict(view.settings),
        "problems": [plain_problem(problem) for problem in problems],
    }


def sync_status(document: dict[str, Any]) -> dict[str, Any]:
    """Return of the whole document what tells whether the pair is in sync."""
    return {key: document[key] for key in _SYNC_KEYS}


def token_text(token: Token | None) -> str | None:
    """Return a token the way it stands in the database: term and number."""
    return None if token is None else f"{token[0]}.{token[1]}"


def _sides(view: View, decision: Decision, outside: StatusInputs) -> dict[str, Any]:
    """Return both sides by name, the peer as its last record tells; null when it never sent one."""
    own, peer = view.settings.node, view.settings.peer
    record, database = replace(decision.record, uptime=outside.uptime), outside.database
    sides: dict[str, Any] = {own: side(record, database, 0.0, True)} | ({peer: None} if peer else {})
    if view.record is not None:
        sides[peer] = side(view.record, database, view.heard_age, decision.presence is Presence.ALIVE)
    return dict(sorted(sides.items()))


def side(record: Record, database: str, age: float | None, current: bool) -> dict[str, Any]:
    """Return a side; `current` is false when what is known is older than the dead interval."""
    plain: dict[str, Any] = _plain(asdict(record))
    for spoken_elsewhere in ("node", "ask", "grant", "offer", "reason", "preferred", "estranged", "mac", "restore"):
        del plain[spoken_elsewhere]
    source, exclude = copied(record.source)
    return {
        "age": age,
        "current": current,
        **plain,
        "source": source,
        "exclude": exclude,
        "database": database,
        "parked": record.source == PARKED,
        "stamp": _stamp(record.stamp),
        "token": token_text(record.token),
    }


def _stamp(stamp: Stamp | None) -> dict[str, Any] | None:
    return asdict(stamp) if stamp else None


def _service(move: ServiceMove | None) -> dict[str, Any] | None:
    """Return the last move of the service that this agent saw; `from` and `to` are nodes, null for nobody."""
    if move is None:
        return None
    plain = asdict(move)
    return {"move": plain.pop("kind"), "from": plain.pop("source"), "to": plain.pop("target"), **plain}


def _preferred(case: Situation) -> dict[str, Any]:
    """Return who should serve when both can, what the configuration says of it, and whether an operator chose."""
    settings = case.view.settings
    return {
        "node": case.preferred,
        "configured": settings.preferred,
        "chosen": case.preferred is not None and case.preferred != case.configured,
        "restore": "automatic" if settings.restore_automatic else "manual",
    }


def _handover(case: Situation) -> dict[str, Any] | None:
    """Return the ask or the grant that is open between the sides, null when there is none."""
    own, peer = case.view.settings.node, case.view.settings.peer
    ask, grant, target = case.memory.ask, case.memory.grant, own
    if grant is not None:
        ask, target = None, peer
    elif ask is not None and case.being_granted:
        grant = case.peer.grant
    elif ask is None and case.alive and case.peer.ask is not None:
        ask, target = case.peer.ask, peer
    kind = grant.kind if grant else ask.kind if ask else None
    if kind is None:
        return None
    refusal = case.peer.refusal if target == own else case.memory.refusal
    return {
        "kind": kind.value,
        "to": target,
        "granted": grant is not None,
        "drained": grant is not None and grant.drained,
        "barrier": token_text(grant.barrier) if grant else None,
        "refusal": None if grant else refusal or None,
    }


def _source(view: View) -> dict[str, Any]:
    """Return our own session to the peer's ovsdb-server; `unanswered_for` is 0 when nothing waits for it."""
    source = view.source
    return {
        "address": view.settings.source,
        "loaded": source.loaded,
        "closed": source.closed,
        "host_silent_for": source.life_age,
        "unanswered_for": source.answer_age,
        "role": source.role.value if source.role else None,
        "stamp": _stamp(source.stamp),
        "token": token_text(source.token),
    }


def _exposure(m: Assessment) -> dict[str, Any] | None:
    """Return what a failover would lose now; `first` is the last token of the copy, `last` the newest one."""
    told = exposure(m.case)
    if told is None:
        return None
    lacks = told.behind
    return {
        "side": told.node,
        "of": told.source,
        "since": m.outside.lacking_since or None,
        "age": lacks.age,
        "at_least": lacks.least,
        "tokens": lacks.tokens,
        "first": token_text(lacks.ours),
        "last": token_text(lacks.theirs),
        "beyond": told.beyond,
    }


def _identity(view: View, decision: Decision, outside: StatusInputs) -> dict[str, Any]:
    """Return by what the two know each other; `estranged`: the peer takes us for a stranger."""
    known, alive = outside.identities, decision.presence is Presence.ALIVE
    stranger = {"identity": known.stranger or None, "age": known.stranger_age}
    return {
        "own": known.own or None,
        "peer": known.peer or None,
        "stranger": None if known.stranger_age is None else stranger,
        "estranged": alive and view.record is not None and view.record.estranged,
    }


def _collisions(view: View, outside: StatusInputs) -> dict[str, Any]:
    """Return who got in the way; `missed` sightings found no room, and `what` is the sentence for the operator."""
    names = Names(outside.pair, view.settings.node, view.settings.peer)
    seen = [{**_plain(asdict(each)), "what": conflict_text(each, names)} for each in outside.collisions]
    return {"seen": seen, "missed": outside.collisions_missed}


def _path(report: PathReport) -> dict[str, Any]:
    return {**_plain(asdict(report.path)), "trouble": report.trouble or None}


def plain_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON values."""
    return _plain(asdict(problem))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Enum) else value for key, value in values.items()}
