"""Make the page of the status document and of the events of the last day.

A side is between two roles for a moment in each move; what leads there and away within a
few seconds is shown as one move.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from ovsha.report.page.diagram import picture
from ovsha.report.page.html import SCRIPT, STYLE, Markup, element, join
from ovsha.words import ago, span

Document = dict[str, Any]
Side = dict[str, Any]


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


POLICY = (
    f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may load (CSP): this very style and script, and this page again."""


def page(document: Document, events: Sequence[dict[str, Any]], at: float, stuck_for: float | None) -> str:
    """Return the page, as HTML that asks for nothing else; `at` is when the document was true, in seconds since 1970.

    `events` are those of the 24 hours before.  `stuck_for`: for how long the agent's loop has not turned, None
    while it turns.
    """
    title = f"{document['pair']}: {_verdict(document)[1] if stuck_for is None else 'the agent is stuck'}"
    silent = element("div", element("span", "!", class_="sign"), element("span", "", id="said"), id="gone",
                     class_="verdict bad", role="status")  # fmt: skip
    head = join(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<link rel="icon" href="data:,"><noscript><meta http-equiv="refresh" content="5"></noscript>'),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = join(silent, _all(document, events, at, stuck_for), element("script", Markup(SCRIPT)))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _all(document: Document, events: Sequence[dict[str, Any]], at: float, stuck_for: float | None) -> Markup:
    when = datetime.fromtimestamp(at).astimezone()
    lately = timeline(events, document["node"], document["state"], at)
    return element(
        "main",
        element(
            "header",
            element("h1", f"Pair {document['pair']}"),
            element("p", f"as {document['node']} sees it, {when:%Y-%m-%d %H:%M:%S %Z}"),
        ),
        *_banners(document, stuck_for),
        element(
            "div",
            None if document["peer"] is None else element("section", element("h2", "Now"), picture(document)),
            element("div", _problems(document), _sides(document), class_="stack"),
            element("section", element("h2", f"Last 24 hours on {document['node']}"), lately, class_="whole"),
            class_="grid",
        ),
        element("footer", f"ovsha {document['version']} · read only · the same and more: ovsha status"),
        id="all",
    )


def _verdict(document: Document) -> tuple[str, str, str]:
    """Return the style of the verdict, the verdict, and what to do."""
    problems, well = document["problems"], "Serves alone" if document["peer"] is None else "In sync"
    if any(problem["level"] == "broken" for problem in problems):
        return "bad", document["verdict"], document["do"] or ""
    if problems:
        count = f"{len(problems)} problem" + ("" if len(problems) == 1 else "s")
        return "warn", f"{well}, with {count}", "Nothing is interrupted; what is wrong is below."
    return "active", well, f"Nothing is wrong. {_last_move(document)}"


def _last_move(document: Document) -> str:
    moved = document["moved"]
    return f"Last move of {document['node']}: {ago(moved['age'])}." if moved else ""


def _banners(document: Document, stuck_for: float | None) -> list[Markup]:
    """Return the verdict, and above it that nobody vouches for it where that is so."""
    style, words, more = _verdict(document)
    if stuck_for is None:
        return [_banner(style, words, more)]
    stuck = _banner(
        "bad", f"The agent's loop has not turned for {span(stuck_for)}", "What is below was true before that."
    )
    return [stuck, _banner("warn" if style == "active" else style, f"Before that: {words}", more)]


def _banner(style: str, words: str, more: str) -> Markup:
    sign = {"active": "✓", "warn": "!", "bad": "✕"}[style]
    said = element("span", words, element("small", more) if more else None)
    return element("div", element("span", sign, class_="sign", aria_hidden="true"), said, class_=f"verdict {style}")


def _problems(document: Document) -> Markup | None:
    """List what is wrong beside what the verdict says already."""
    broken = any(problem["level"] == "broken" for problem in document["problems"])
    listed = [problem for problem in document["problems"] if not broken or problem["what"] != document["verdict"]]
    items = [
        element("li", element("b", problem["what"]), element("span", problem["do"]), class_=problem["level"])
        for problem in listed
    ]
    name = "Also wrong" if broken else "What is wrong, and what to do"
    return element("section", element("h2", name), element("ul", *items, class_="problems")) if items else None


_NONE = "\N{EN DASH}"

_ROWS: tuple[tuple[str, Callable[[Side], tuple[str, bool]]], ...] = (
    ("state", lambda s: (s["state"], s["state"] in ("fault", "needs-decision"))),
    ("MLAG role", lambda s: (s["mlag"] or "unknown", s["mlag"] is None)),
    ("ovsdb-server", lambda s: (", ".join(filter(None, (s["life"], s["role"]))), s["life"] != "up")),
    ("in sync", lambda s: _synced(s)),
    ("lag", lambda s: (_NONE if s["lag"] is None else span(s["lag"]), False)),
    ("term", lambda s: (str(s["term"]), False)),
    ("last token", lambda s: (s["token"] or _NONE, False)),
    ("VIP", lambda s: ("here" if s["vip"] else _NONE, False)),
    ("controllers", lambda s: (str(s["controllers"]) if s["serving"] else _NONE, False)),
    ("VTEP daemons", lambda s: (str(s["vteps"]) if s["serving"] else _NONE, False)),
    ("active for", lambda s: (_NONE if s["active_for"] is None else span(s["active_for"]), False)),
)
"""What is shown of both sides beside each other, and whether it is bad."""

_OF_A_PAIR = ("MLAG role", "in sync", "lag")


def _synced(side: Side) -> tuple[str, bool]:
    if side["role"] != "backup":
        return _NONE, False
    synced = side["in_sync_for"] is not None
    return (f"yes, for {span(side['in_sync_for'])}" if synced else "no"), not synced


def _sides(document: Document) -> Markup:
    sides = sorted(document["sides"].items())
    heads = [element("th", ""), *(element("th", node, _heard(side, node == document["node"])) for node, side in sides)]
    rows = [
        element("tr", element("th", name, scope="row"), *(_cell(cell, side) for _, side in sides))
        for name, cell in _ROWS
        if not (document["peer"] is None and name in _OF_A_PAIR)
    ]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return element("section", element("h2", "This side" if document["peer"] is None else "Both sides"), table)


def _heard(side: Side | None, own: bool) -> Markup | None:
    if own or (side is not None and side["current"]):
        return None
    return element("span", " never heard" if side is None else f" lost, {ago(side['age'])}", class_="why")


def _cell(cell: Callable[[Side], tuple[str, bool]], side: Side | None) -> Markup:
    if side is None:
        return element("td", "")
    words, bad = cell(side)
    return element("td", words, class_="gone" if not side["current"] else "bad" if bad else None)


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
