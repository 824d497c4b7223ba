"""Say what a move of the service is as one side sees it, and what its phases are.

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

`ovsha.core.movewatch` follows the moves and measures them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ovsha.core.words import span


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a move: from `begin` seconds after its beginning on, it took `took` seconds."""

    name: str
    begin: float
    took: float


@dataclass(frozen=True, slots=True)
class Passage:
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

    def passage(self, now: float, **more: Any) -> Passage:
        """Return what is known of it."""
        since = {"serving": self.served, "controller": self.controller}
        times = {name: None if at is None else at - self.began for name, at in since.items()}
        age = max(now, self.at, self.controller or now) - self.began
        return Passage(**{**self.head, **times, **more}, age=age, phases=tuple(self.phases))
