"""Tell from recorded events what happened to a side: each move with its reason, who wanted it, and its cost.

`rows` gives JSON values, the oldest first; `ovsha.report.history` prints them.  Times are
seconds since 1970 by the clock of the side that recorded them, spans are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ovsha.words import span

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


Row = Mapping[str, Any]
When = Callable[[float], str]
"""Prints seconds since 1970 as local time."""

_INDENT = "    "


def text(document: Mapping[str, Any], when: When) -> str:
    """Return what `ovsha history` prints."""
    lines = [line for row in document["rows"] for line in _row_lines(row, when)]
    if not lines:
        lines = [f"{document['node']} has recorded nothing" + (" since then" if document["since"] else " yet")]
    if document["earlier"]:
        more, every = document["earlier"], len(document["rows"]) + document["earlier"]
        lines.append(f"{more} more before these: --last {every}")
    lines += [f"note: {trouble}" for trouble in document["troubles"]]
    return "\n".join(lines)


def milliseconds(seconds: float) -> str:
    """Return a phase's length: in ms below ten seconds."""
    if seconds >= 10:
        return span(seconds)
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def phases(found: Sequence[Row]) -> str:
    """Return the phases of a move in one line."""
    return ", ".join(f"{each['name']} {milliseconds(each['took'])}" for each in found)


def _row_lines(row: Row, when: When) -> list[str]:
    head = when(row["at"])
    if row["kind"] == "move":
        return [f"{head}  {_way(row)}", *(f"{_INDENT}{line}" for line in _move(row))]
    if row["kind"] == "state":
        return [f"{head}  state {row['from']} -> {row['to']}, because {row['reason']}"]
    if row["kind"] == "alarm" and row.get("ended") is not None:
        return [f"{head}  {row['text']}", f"{_INDENT}over after {span(row['ended'] - row['at'])}"]
    if row["kind"] == "alarm" and row.get("do"):
        return [f"{head}  {row['text']}", f"{_INDENT}do: {row['do']}"]
    return [f"{head}  {row['text']}"]


def _way(row: Row) -> str:
    way = f"{row['to']} serves again" if row["from"] == row["to"] else f"{row['from'] or 'nobody'} -> {row['to']}"
    kind = "failover" if row["move"] == "missed" else row["move"]
    return f"{kind.upper()} {way}, term {row['term']}, {_who(row)}"


def _who(row: Row) -> str:
    if not row["operator"]:
        return "automatic"
    return f"by an operator: {row['operator_reason']}" if row["operator_reason"] else "by an operator, without a reason"


def _move(row: Row) -> list[str]:
    lines = [] if row["move"] == "switchover" else [f"because {row['reason']}"]
    lines += [f"first sign: {row['sign']}"] if row["sign"] else []
    if row["failed"]:
        lines.append(f"not completed: {row['failed']}")
    if row["side"] == "missed":
        lines.append(f"phases: see ovsha history on {row['to']}")
    else:
        lines += [line for line in (_times(row),) if line]
        lines += [f"phases: {phases(row['phases'])}"] if row["phases"] else []
    return [*lines, f"writes at risk: {row['at_risk']['text']}"]


def _times(row: Row) -> str:
    if row["serving"] is None:
        return ""
    if row["move"] == "split-brain" and row["side"] == "given":
        return f"{row['from']} served no more after {milliseconds(row['serving'])}"
    if row["side"] == "given":
        return f"{row['to']} was heard to serve after {milliseconds(row['serving'])}"
    connected = row["controller"]
    controller = "no controller seen" if connected is None else f"first controller after {milliseconds(connected)}"
    return f"clients accepted after {milliseconds(row['serving'])}, {controller}"
