"""Turn the document of `ovsha.core.explanation` into what an operator reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ovsha.core import exposure

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
        *(exposure.text(document["timers"]) if document["timers"] else []),
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
