"""Tell from recorded events what happened to a side: each move with its reason, who wanted it, and what it cost.

`rows` gives JSON values, the oldest first; `ovsha.core.history_text` prints them.  Times are
seconds since 1970 by the clock of the side that recorded them, spans are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA = 1

_DECISION = "needs-decision"
_OF_NOTE = ("fault", _DECISION)
_TOGETHER = 1.0
WHY = {
    "restore": "the original primary gets the service back: its copy was in sync for restore.delay",
    "switchover": "an operator ordered it",
    "link-cut": "the peer link is cut, and clagd's primary takes the service",
    "start": "nobody served, and this side came first",
    "resolve": "an operator decided whose data is kept",
}
"""Why a service is handed over, by the kind of the handover."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What exists only in the data of `term`, which were overwritten when the other side went on in `peer_term`.

    `state`: open, replayed, dismissed, or what else is to be said of it.  `exact` as in the ledger: if it is
    false, all its rows are doubts.
    """

    id: str
    term: int
    peer_term: int
    rows: int
    state: str
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Witness:
    """What the side that lost a service knows of it: its events and its ledgers; None: it cannot be asked."""

    events: Sequence[Event]
    ledgers: Sequence[Ledger]


Ask = Callable[[str], Witness | None]
"""Gives what a node knows."""


def chosen(events: Sequence[Event], everything: bool) -> list[Event]:
    """Return the events that are worth a row, in the order in which what they tell began.

    An alarm and its end are one, with `ended`.  `everything`: also changes between init and backup.
    """
    given = [_began(event) for event in events if event["kind"] == "service" and event.get("side") == "given"]
    asked = [float(event["at"]) for event in events if event.get("problem") == _DECISION]
    found: list[Event] = []
    standing: dict[object, dict[str, Any]] = {}
    for event in events:
        if not everything and (not _is_of_note(event) or _told_by_another(event, given, asked)):
            continue
        if event["kind"] == "alarm" and event.get("problem") is not None:
            began = standing.pop(event["problem"], None)
            if event.get("over") and began is not None:
                began["ended"] = event["at"]
                continue
            if not event.get("over"):
                event = standing[event["problem"]] = dict(event)
        found.append(event)
    return sorted(found, key=_began)


def rows(events: Sequence[Event], ask: Ask) -> list[dict[str, Any]]:
    """Return a row for each of the chosen events."""
    return [_row(event, ask) for event in events]


def _began(event: Event) -> float:
    return float(event["at"]) - float(event.get("age") or 0.0)


def _told_by_another(event: Event, given: Sequence[float], asked: Sequence[float]) -> bool:
    """Tell whether a move of the service, or the alarm that a decision is needed, tells of this change of state."""
    if event["kind"] != "move":
        return False
    at = float(event["at"])
    if _DECISION in (event.get("from"), event.get("to")):
        return any(began - _TOGETHER < at for began in asked)
    return event.get("from") == "active" and any(abs(began - at) < _TOGETHER for began in given)


def _is_of_note(event: Event) -> bool:
    """Tell whether an event is worth a row; each arrival at active is told by the move of the service."""
    if event["kind"] != "move":
        return True
    if event.get("from") == "active":
        return event.get("to") in _OF_NOTE
    return event.get("to") in _OF_NOTE or event.get("from") == "needs-decision"


def _row(event: Event, ask: Ask) -> dict[str, Any]:
    row = {"at": float(event["at"]), "kind": event["kind"], "text": event["text"], "run": event.get("run")}
    row["turn"] = event.get("turn")
    if event["kind"] == "service":
        return {**row, **_service(event, ask)}
    if event["kind"] == "move":
        return {**row, "kind": "state", **{key: event.get(key) for key in ("from", "to", "reason", "rule", "term")}}
    known = {key: value for key, value in event.items() if key not in (*row, "schema")}
    return {**row, **known}


def _service(event: Event, ask: Ask) -> dict[str, Any]:
    kept = (
        "move", "from", "to", "side", "term", "rule", "planned", "sign", "serving", "controller", "failed", "phases",
    )  # fmt: skip
    return {
        **{key: event.get(key) for key in kept},
        "at": _began(event),
        "kind": "move",
        "reason": why(str(event.get("move")), bool(event.get("operator")), event.get("reason")),
        "operator": bool(event.get("operator")),
        "operator_reason": event.get("said") or None,
        "at_risk": _at_risk(event, ask),
    }


def why(kind: str, operator: bool, otherwise: Any) -> Any:
    """Return why the service moved; `operator`: one ordered it, `otherwise`: what is said of no kind of handover."""
    if kind == "restore" and operator:
        return WHY["switchover"]
    return WHY.get(kind, otherwise)


def _at_risk(event: Event, ask: Ask) -> dict[str, Any]:
    """Return how many acknowledged writes the move may have lost, None for not known, and what is to be said of it."""
    if event.get("planned"):
        return _risk(0, "none, planned: the last write had arrived before the other side opened")
    loser, winner = event.get("from"), event.get("to")
    if loser is None or loser == winner:
        return _risk(0, "none, the same data are served" if loser else "none, nobody had served")
    if event.get("failed"):
        return _risk(None, "not known, the move was not completed")
    witness = ask(str(loser))
    if witness is None:
        return _risk(None, f"not known until {loser} is back and compared; its agent does not answer")
    ledger = next((each for each in witness.ledgers if each.peer_term == event.get("term")), None)
    if ledger is not None:
        return _of_ledger(ledger, str(loser))
    if _has_followed(witness.events, event):
        return _risk(0, f"none, {loser} had nothing that {winner} lacked")
    return _risk(None, f"not known until {loser} has been compared with {winner}")


def _of_ledger(ledger: Ledger, loser: str) -> dict[str, Any]:
    if not ledger.rows:
        return _risk(None, f"ledger {ledger.id} on {loser} {ledger.state}", ledger.id)
    rows = "1 row" if ledger.rows == 1 else f"{ledger.rows} rows"
    if not ledger.exact:
        text = f"not known; {rows} in doubt, in ledger {ledger.id} on {loser} ({ledger.state}, not exact)"
        return _risk(None, text, ledger.id)
    return _risk(ledger.rows, f"{rows}, in ledger {ledger.id} on {loser} ({ledger.state})", ledger.id)


def _risk(count: int | None, text: str, ledger: str | None = None) -> dict[str, Any]:
    return {"rows": count, "ledger": ledger, "text": text}


def _has_followed(events: Sequence[Event], move: Event) -> bool:
    """Tell whether the side has become a backup since, before which its data were compared."""
    return any(
        each["kind"] == "move" and each.get("to") == "backup" and each.get("term", 0) >= move.get("term", 0)
        for each in events
        if float(each["at"]) > _began(move)
    )
