"""Make the page of a document of the status and of the events of the last day."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ovsha.core.words import ago, span
from ovsha.page.assets import SCRIPT, STYLE
from ovsha.page.markup import Markup, element, join
from ovsha.page.picture import picture
from ovsha.page.timeline import timeline

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
