"""Show what was recorded of the last day: a strip of this side's roles, and a list of what happened.

A side is between two roles for a moment in each move; what leads there and away within a
few seconds is shown as one move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from ovsha.core.words import span
from ovsha.page.markup import Markup, element, join

Event = dict[str, Any]

DAY = 86400.0
MOST = 40
"""Entries of the list; what is older is counted only."""

_AT_ONCE = 5.0
_SAME_MOVE = 20.0
_WIDTH, _STRIP = 960, 26
_KINDS = {
    "move": "move", "service": "move", "alarm": "alarm", "incident": "alarm", "collision": "alarm", "order": "order",
    "pause": "order", "backup": "quiet", "start": "quiet", "stop": "quiet",
}  # fmt: skip
_STYLES = {"active": "active", "backup": "backup", "init": "idle", "fault": "bad", "needs-decision": "bad"}


def moves(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events, with a move by way of init, or of the start, made one that has the reason of its beginning."""
    held: Event | None = None
    for event in events:
        is_move = event["kind"] == "move" and "to" in event
        if held is not None and is_move and event["at"] - held["at"] <= _AT_ONCE:
            reason = event["reason"] if held["from"] == "start" else held["reason"]
            event = {**event, "from": held["from"], "reason": reason}
        elif held is not None:
            yield held
        held = None
        if is_move and event["to"] == "init":
            held = event
        elif not is_move or event["from"] != event["to"]:
            yield event
    if held is not None:
        yield held


def listed(events: Sequence[Event]) -> list[Event]:
    """Return what the list shows: not how this side began or ceased to serve, where a move of the service says it."""
    served = [event["at"] for event in events if event["kind"] == "service"]
    return [
        event
        for event in events
        if event["kind"] != "move"
        or "active" not in (event.get("from"), event.get("to"))
        or not any(abs(event["at"] - at) <= _SAME_MOVE for at in served)
    ]


def timeline(events: Sequence[Event], node: str, state: str, now: float) -> Markup:
    """Return the strip and the list; `events` are those of the last day, `now` is in seconds since 1970."""
    told = list(moves(events))
    all_listed = listed(told)
    shown = all_listed[-MOST:]
    older = len(all_listed) - len(shown)
    entries = [_entry(event, node, now) for event in reversed(shown)]
    if not entries:
        entries = [element("li", element("span", "nothing was recorded in the last 24 hours", class_="why"))]
    if older:
        entries.append(element("li", element("span", f"and {older} earlier ones: ovsha history", class_="why")))
    return join(_strip(told, node, state, now), element("ol", *entries, class_="events"))


def _entry(event: Event, node: str, now: float) -> Markup:
    what, why = _words(event)
    style = _KINDS.get(event["kind"], "quiet")
    if event.get("level") == "degraded":
        style = "order"
    if event.get("over"):
        style = "cleared"
    if event["kind"] == "service":
        style = "active" if event.get("to") == node else "backup"
    if event["kind"] == "move":
        style = _STYLES.get(str(event.get("to")), "quiet")
    return element(
        "li",
        element("time", _when(event["at"], now), datetime=_moment(event["at"]).isoformat(timespec="milliseconds")),
        element("span", class_=f"dot {style}"),
        element(
            "span",
            element("span" if style == "quiet" else "b", what),
            element("span", why, class_="why") if why else None,
            class_="said",
        ),
        class_=style,
    )


def _words(event: Event) -> tuple[str, str]:
    """Return what happened, and why or how."""
    if event["kind"] == "move" and "to" in event:
        term = f" (term {event['term']})" if event.get("term") is not None else ""
        return f"{event['from']} → {event['to']}", f"{event.get('reason', '')}{term}"
    if event["kind"] == "service" and "move" in event:
        return f"{event['move']}: {event['from'] or 'nobody'} → {event['to'] or 'nobody'}", _passage(event)
    what, _, why = event["text"].partition(": ")
    return (what, why) if why and len(what) < 24 else (event["text"], "")


def _passage(event: Event) -> str:
    """Return why the service moved, how long that took, and in which term."""
    times = [
        f"{words} after {span(event[name])}"
        for name, words in (("serving", "served"), ("controller", "first controller"))
        if isinstance(event.get(name), (int, float))
    ]
    failed = [f"not completed: {event['failed']}"] if event.get("failed") else []
    said = [f"“{event['said']}”"] if event.get("said") else []
    return "; ".join([*said, str(event.get("reason", "")), *failed, *times]) + f" (term {event.get('term')})"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at).astimezone()


def _when(at: float, now: float) -> str:
    moment, today = _moment(at), _moment(now)
    return f"{moment:%H:%M:%S}" if moment.date() == today.date() else f"{moment:%a %H:%M:%S}"


# -- the strip -----------------------------------------------------------------------------------------------------


def _strip(events: Sequence[Event], node: str, state: str, now: float) -> Markup:
    """Draw this side's role through the last 24 hours; what is not known is left empty."""
    start = now - DAY
    drawn: list[Markup] = []
    for begin, end, role in spans(events, state, now):
        left = (max(begin, start) - start) / DAY * _WIDTH
        width = max(1.5, (end - max(begin, start)) / DAY * _WIDTH)
        name = element("title", f"{role}, {_when(begin, now)} to {_when(end, now)}")
        drawn.append(
            element("rect", name, x=f"{left:.1f}", y="0", width=f"{width:.1f}", height=_STRIP,
                    class_=f"span {_STYLES.get(role, 'idle')}")
        )  # fmt: skip
    ticks = [
        element(
            "line", x1=f"{_WIDTH * hour / 24:.1f}", x2=f"{_WIDTH * hour / 24:.1f}", y1="0", y2=_STRIP, class_="tick"
        )
        for hour in range(6, 24, 6)
    ]
    label = f"The role of {node} through the last 24 hours"
    svg = element(
        "svg", element("title", label), *drawn, *ticks,
        viewBox=f"0 0 {_WIDTH} {_STRIP}", preserveAspectRatio="none", role="img", class_="strip",
    )  # fmt: skip
    hours = [element("span", f"{hours} h ago") for hours in (24, 18, 12, 6)] + [element("span", "now")]
    meaning = (
        ("active", "active"),
        ("backup", "backup"),
        ("bad", "fault"),
        ("idle", "between"),
        ("none", "not known"),
    )
    keys = [element("span", element("span", class_=f"key {style}"), words) for style, words in meaning]
    return join(svg, element("div", *hours, class_="hours", aria_hidden="true"), element("p", *keys, class_="keys"))


def spans(events: Sequence[Event], state: str, now: float) -> list[tuple[float, float, str]]:
    """Return from when to when this side had which role; nothing while its agent was stopped."""
    found: list[tuple[float, float, str]] = []
    since, role = None, ""
    for event in events:
        if event["kind"] == "move" and "to" in event:
            if since is not None:
                found.append((since, event["at"], role))
            elif event["from"] != "start":
                found.append((now - DAY, event["at"], event["from"]))
            since, role = event["at"], event["to"]
        elif event["kind"] == "stop" and since is not None:
            found.append((since, event["at"], role))
            since = None
    if since is not None:
        found.append((since, now, role))
    elif not found and not any(event["kind"] == "stop" for event in events):
        found.append((now - DAY, now, state))
    return found
