"""A move of the service as this side sees it, with its phases and how long each took.

A side sees a move in one of three ways: it has *taken* the service, it has *given* it (of
its own will or not), or it has *missed* the move because its agent did not run.  Phases on
the side that takes:

    detect      from the last sign that the other side was well to the first that it was not: the silence that was
                waited out, or 0 where the end of its ovsdb-server's session told at once
    decide      until this side set about serving; in a planned move, until the other one had agreed
    fence       until the other side had shut its clients out and its last write was here; in a planned move only
    promote     until ovsdb-server was active and stamped with the new term
    managers    until the remote of the managers was open
    VIP         until the VIP was here
    announce    until it was announced
    listener    until the listener on the VIP was open
    controller  from the open remote to the first session with a controller

On the side that gives: `fence` until nothing was served here, `barrier` until the token for
the other side was committed, `peer` until the other side was heard to serve.

`MoveTracker` follows the moves and measures them.  Times come from the agent's monotonic clock, which is asked when a
step ends; a phase takes in what happened between two steps.  Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ovsha.core.election import Goal
from ovsha.core.facts import Kind, Life, Mode, State
from ovsha.core.handover import PLANNED
from ovsha.core.lineage import term_of
from ovsha.core.situation import Situation
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.words import span


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a move: from `begin` seconds after its beginning on, it took `took` seconds."""

    name: str
    begin: float
    took: float


@dataclass(frozen=True, slots=True)
class TimedMove:
    """One move of the service, `source` -> `target`, as this side saw it.

    `kind`: that of the handover (switchover, restore, link-cut, start, resolve), or failover, or split-brain on the
    side that gives way, for good or until the verdict turns, or resume when the same side serves again, or missed.
    `side`: taken, given or missed.  `said`: the reason an operator gave.  `serving`: seconds until clients were
    accepted, `controller`: until the first one was connected, None when that was not seen.  `age`: how long ago it
    began.  `failed`: why it did not come to its end, "" when it did.
    """

    kind: str
    side: str
    source: str | None
    target: str | None
    term: int
    reason: str
    rule: str
    operator: bool = False
    said: str = ""
    planned: bool = False
    sign: str = ""
    serving: float | None = None
    controller: float | None = None
    age: float = 0.0
    failed: str = ""
    phases: tuple[Phase, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The same as JSON values; `move` is the kind, `from` and `to` are nodes."""
        plain = asdict(self)
        named = {"move": plain.pop("kind"), "from": plain.pop("source"), "to": plain.pop("target")}
        return {**named, **plain, "phases": [asdict(phase) for phase in self.phases]}

    @property
    def text(self) -> str:
        """What is logged of it."""
        way = f"{self.source or 'nobody'} -> {self.target or 'nobody'} in term {self.term}"
        if self.side == "missed":
            return f"{self.kind}: {way}, {span(self.age)} ago: {self.reason}"
        times = [f"served after {span(self.serving)}"] if self.serving is not None else []
        times += [f"first controller after {span(self.controller)}"] if self.controller is not None else []
        times += [f"not completed: {self.failed}"] if self.failed else []
        return "; ".join([f"{self.kind}: {way}, because {self.reason}", ", ".join(times)]).rstrip("; ")


@dataclass(slots=True)
class Open:
    """A move that is not over; times are monotonic seconds."""

    head: dict[str, Any]
    began: float
    at: float
    phases: list[Phase] = field(default_factory=list)
    served: float | None = None
    opened: float | None = None
    controller: float | None = None

    def phase(self, name: str, end: float) -> None:
        """Note that the phase that began when the last one ended is over."""
        if end >= self.at and name not in (each.name for each in self.phases):
            self.phases.append(Phase(name, self.at - self.began, end - self.at))
            self.at = end

    def passage(self, now: float, **more: Any) -> TimedMove:
        """Return what is known of it."""
        since = {"serving": self.served, "controller": self.controller}
        times = {name: None if at is None else at - self.began for name, at in since.items()}
        age = max(now, self.at, self.controller or now) - self.began
        return TimedMove(**{**self.head, **times, **more}, age=age, phases=tuple(self.phases))


PATIENCE = 15.0
"""Seconds for which a side that serves is watched for its first controller."""

_PHASE = {
    Step.STAMP: "promote",
    Step.OPEN_MANAGERS: "managers",
    Step.ADD_VIP: "announce",
    Step.OPEN_LISTENER: "listener",
    Step.COMMIT_TOKEN: "barrier",
}
"""The phase that a step ends."""


class MoveTracker:
    """The moves of the service that one agent sees."""

    def __init__(self) -> None:
        self._taking: Open | None = None
        self._giving: Open | None = None
        self._serving = False
        self._good: float | None = None
        self._sign: tuple[float, str] | None = None
        self._asked: tuple[str, float] | None = None
        self._granted: float | None = None
        self._known_term = 0

    @property
    def awaits_controller(self) -> bool:
        """Whether the remote of the managers was opened in a move and no session was seen yet."""
        return self._taking is not None and self._taking.opened is not None and self._taking.controller is None

    def decided(self, view: View, decision: Decision) -> Iterator[TimedMove]:
        """Take note of one turn, and yield the moves that it has brought to their end."""
        case, now = Situation(view, decision.memory, decision.presence), view.now
        self._watch_peer(case, now)
        self._watch_ask(case, now)
        goal, serving = decision.rule.goal, decision.record.serving
        acts = view.mode is Mode.ACTIVE
        if goal is Goal.SERVE and acts and not serving and self._taking is None:
            self._taking, self._giving = self._begin_taking(case, decision), None
        elif goal is Goal.SERVE and acts and serving and self._giving is not None:
            self._taking, self._giving = self._turn_back(case, decision, self._giving), None
        elif self._serving and goal not in (Goal.SERVE, Goal.KEEP) and self._giving is None:
            yield from self._end_taking(now, decision, decision.why)
            self._giving = self._begin_giving(case, decision)
        if self._giving is not None and (view.woke or not case.alive):
            self._giving.head["planned"] = False  # the other side may have opened without waiting for the last write
        yield from self._look_at_taking(case, decision)
        yield from self._look_at_giving(case, now)
        yield from self._look_for_missed(case, decision)
        self._serving = serving

    def stepped(self, step: Step, at: float) -> None:
        """Take note that a step has ended well."""
        name, move = _PHASE.get(step), self._giving or self._taking
        if name is None or move is None:
            return
        if step is Step.COMMIT_TOKEN and self._giving is not None:
            self._giving.phase("fence", self._giving.at)
        move.phase(name, at)
        if step is Step.OPEN_MANAGERS and move is self._taking:
            move.opened = at

    def vip_added(self, at: float) -> None:
        """Take note that the VIP is here, and about to be announced."""
        if self._taking is not None:
            self._taking.phase("VIP", at)

    def controller_seen(self, at: float) -> None:
        """Take note of a session between our server and a controller."""
        if self._taking is not None and self._taking.controller is None:
            self._taking.controller = at

    def end(self, now: float) -> list[TimedMove]:
        """Return what is under way when the agent stops."""
        left = [each.passage(now, failed="the agent stopped") for each in (self._taking, self._giving) if each]
        self._taking = self._giving = None
        return left

    # -- what is noticed of the other side ---------------------------------------------------------------------------

    def _watch_peer(self, c: Situation, now: float) -> None:
        if c.serving:
            self._good = self._sign = None
        elif c.peer_serving and not c.view.source.closed:
            self._good, self._sign = now - (c.view.heard_age or 0.0), None
        elif self._good is not None and self._sign is None:
            self._sign = (now, _sign(c))

    def _watch_ask(self, c: Situation, now: float) -> None:
        ask = c.memory.ask
        if ask is None:
            return
        if self._asked is None or self._asked[0] != ask.ident:
            self._asked, self._granted = (ask.ident, now), None
        if self._granted is None and c.being_granted:
            self._granted = now

    # -- this side takes ---------------------------------------------------------------------------------------------

    def _begin_taking(self, c: Situation, decision: Decision) -> Open:
        now, memory, settings = c.view.now, decision.memory, c.view.settings
        ask = memory.ask if decision.rule.name == "granted" else None
        holder = memory.holder or _opened_by_peer(c, decision)
        kind = ask.kind.value if ask else {None: "start", settings.node: _RESUME}.get(holder, "failover")
        if decision.rule.name == "resolved":
            kind = Kind.RESOLVE.value
        here = memory.wanted is not None or decision.rule.name in _BY_ORDER
        head = {
            "kind": kind, "side": "taken", "source": holder, "target": settings.node,
            "term": decision.opening.term, "reason": decision.why, "rule": decision.rule.name,
            "planned": ask is not None and ask.kind in PLANNED, **_who(c, kind, here, decision.rule.name),
        }  # fmt: skip
        if ask is not None:
            return self._begin_planned(head, now)
        if kind == _RESUME and self._giving is not None:
            return _resumed(head, self._giving, now)
        if self._sign is None or self._good is None or kind != "failover":
            return Open(head, now, now)
        at, sign = self._sign
        began = self._good if sign == _SILENT else at
        move = Open({**head, "sign": sign}, began, began)
        move.phase("detect", at)
        move.phase("decide", now)
        return move

    def _turn_back(self, c: Situation, decision: Decision, giving: Open) -> Open | None:
        """Return what begins when this side goes on serving after all; None when nobody can have noticed.

        A verdict that turns in a split brain is told even so: for a while both sides may have given way.
        """
        split = giving.head["kind"] == _SPLIT
        if decision.state is State.ACTIVE and not split:
            return None
        node = c.view.settings.node
        head = {
            "kind": _RESUME, "side": "taken", "source": node, "target": node, "term": decision.record.term,
            "reason": decision.why, "rule": decision.rule.name,
        }  # fmt: skip
        move = _resumed(head, giving, c.view.now)
        if c.view.server.managers_open:
            move.opened = c.view.now  # its controllers may have stayed
        return move

    def _begin_planned(self, head: dict[str, Any], now: float) -> Open:
        asked = self._asked[1] if self._asked else now
        move = Open(head, asked, asked)
        if head["kind"] != Kind.START.value:
            move.phase("decide", now if self._granted is None else self._granted)
            move.phase("fence", now)
        return move

    def _look_at_taking(self, c: Situation, decision: Decision) -> Iterator[TimedMove]:
        move, now = self._taking, c.view.now
        if move is None:
            return
        if decision.state is State.ACTIVE and move.served is None:
            move.served = move.at
            self._known_term = move.head["term"] = decision.record.term
        lost = decision.rule.goal not in (Goal.SERVE, Goal.KEEP)  # who was away for a moment listens, and then goes on
        if lost or (move.served is not None and (move.controller is not None or now - move.served >= PATIENCE)):
            yield from self._end_taking(now, decision, decision.why if lost else "")

    def _end_taking(self, now: float, decision: Decision, why: str) -> Iterator[TimedMove]:
        move, self._taking = self._taking, None
        if move is None:
            return
        if move.controller is not None and move.opened is not None:
            begin = move.opened - move.began
            move.phases.append(Phase("controller", begin, max(0.0, move.controller - move.opened)))
        yield move.passage(now, failed=why if move.served is None else "")

    # -- this side gives ---------------------------------------------------------------------------------------------

    def _begin_giving(self, c: Situation, decision: Decision) -> Open:
        grant, settings = decision.memory.grant, c.view.settings
        kind = _SPLIT if decision.rule.name == "split-lost" else "failover"
        kind = grant.kind.value if grant is not None else kind
        head = {
            "kind": kind, "side": "given", "source": settings.node, "target": settings.peer,
            "term": term_of(c.view.server.stamp), "reason": decision.why, "rule": decision.rule.name,
            "planned": grant is not None and grant.kind in PLANNED,
            **_who(c, kind, decision.memory.offer is not None, decision.rule.name),
        }  # fmt: skip
        return Open(head, c.view.now, c.view.now)

    def _look_at_giving(self, c: Situation, now: float) -> Iterator[TimedMove]:
        move = self._giving
        if move is None:
            return
        if not c.open:
            move.phase("fence", now)
        if c.peer_serving and not c.serving:
            move.phase("peer", now)
            move.served = now
            self._known_term = move.head["term"] = max(term_of(c.peer.stamp), move.head["term"])
            self._giving = None
            yield move.passage(now)

    def _look_for_missed(self, c: Situation, decision: Decision) -> Iterator[TimedMove]:
        """Find that the other side has opened a term while nobody was here to see it."""
        own, theirs, settings = c.view.server.stamp, c.peer.stamp, c.view.settings
        if self._giving is not None or not c.peer_serving or own is None or theirs is None or c.serving:
            return
        if own.node != settings.node or theirs.node != settings.peer or theirs.term <= max(own.term, self._known_term):
            return
        self._known_term = theirs.term
        reason = f"{settings.peer} has taken over while this agent did not see it"
        age = c.peer.active_for or 0.0
        way = (settings.node, settings.peer, theirs.term)
        yield TimedMove("missed", "missed", *way, reason, decision.rule.name, age=age)


_SPLIT, _RESUME = "split-brain", "resume"
_SILENT = "its heartbeats stopped"
_BY_ORDER = ("forced", "resolved")
"""The rules by which a side serves because its operator says so."""


def _resumed(head: dict[str, Any], giving: Open, now: float) -> Open:
    """Return the move of a side that serves again what it had begun to give, from the beginning of that on."""
    kind = _SPLIT if giving.head["kind"] == _SPLIT else _RESUME
    move = Open({**head, "kind": kind, "sign": giving.head["reason"]}, giving.began, giving.began)
    move.phase("decide", now)
    return move


def _opened_by_peer(c: Situation, decision: Decision) -> str | None:
    """Return the peer if our copy is of a term that it opened and it has not agreed: it served when last seen."""
    stamp, peer = c.view.server.stamp, c.view.settings.peer
    agreed = decision.rule.name == "granted"
    return peer if stamp is not None and stamp.node == peer and not agreed else None


def _sign(c: Situation) -> str:
    """Say what showed first that the other side was not well."""
    if c.view.source.closed:
        return "its ovsdb-server closed our session"
    if not c.alive:
        return _SILENT
    if c.peer.life in (Life.DOWN, Life.HUNG):
        return f"its agent said that ovsdb-server is {c.peer.life.value}"
    return "its agent said that it does not serve"


def _who(c: Situation, kind: str, here: bool, rule: str) -> dict[str, Any]:
    """Say whether an operator wanted the move, and the reason given `here` or on the other side."""
    ordered = kind in (Kind.SWITCHOVER.value, Kind.RESOLVE.value) or rule in _BY_ORDER
    ordered = ordered or (kind == Kind.RESTORE.value and c.restore_ordered)
    said = (c.memory.reason if here else c.peer.reason) or c.memory.reason if ordered else ""
    return {"operator": ordered, "said": said}
