"""Turn the rows of `ovsha.core.history` into what an operator reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ovsha.core.words import span

Row = Mapping[str, Any]
When = Callable[[float], str]
"""Prints seconds since 1970 as local time."""

_INDENT = "    "


def text(document: Mapping[str, Any], when: When) -> str:
    """Return what `ovsha history` prints."""
    lines = [line for row in document["rows"] for line in _row(row, when)]
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


def _row(row: Row, when: When) -> list[str]:
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
