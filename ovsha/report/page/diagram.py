"""Draw the pair: two switches, the paths and the replication between them, the controllers above, the VTEPs below.

Nothing is told by colour alone.  A side that is not heard keeps what was last known of it,
with a broken outline and its age.
"""

from __future__ import annotations

from typing import Any

from ovsha.report.page.html import Markup, element
from ovsha.words import span

Document = dict[str, Any]

_WIDTH, _HEIGHT = 380, 356
_LEFT, _RIGHT, _CARD = 4, 232, 144
_TOP, _BOTTOM = 84, 260
_MIDDLE = _WIDTH / 2
_LONGEST_NAME, _LONGEST_ADDRESS = 13, 15


def picture(document: Document) -> Markup:
    """Return the picture as SVG, which is as wide as its place."""
    places = dict(zip(sorted(document["sides"]), (_LEFT, _RIGHT), strict=True))
    parts = [
        *_controllers(document, places),
        *_vteps(document, places),
        *_between(document, places),
        *(_card(document, node, x) for node, x in places.items()),
    ]
    title = element("title", _sentence(document))
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    return element("svg", title, *parts, viewBox=box, role="img", class_="picture")


def _sentence(document: Document) -> str:
    """Say what the picture shows, for who cannot see it."""
    said = [f"{node} {role_word(side, node == document['node'])}" for node, side in sorted(document["sides"].items())]
    return f"Pair {document['pair']}: {', '.join(said)}; {document['verdict']}."


def role_word(side: dict[str, Any] | None, own: bool) -> str:
    """Return the one word for what a side is."""
    if side is None:
        return "never heard"
    if not own and not side["current"]:
        return "lost"
    if side["state"] == "init":
        return "serves in part" if side["serving"] else "waits"
    return str(side["state"])


def _kind(word: str) -> str:
    """Return the style for a side."""
    return {"active": "active", "backup": "backup", "waits": "idle", "serves in part": "warn"}.get(word, "bad")


def _text(x: float, y: float, words: str, class_: str, anchor: str = "start") -> Markup:
    return element("text", words, x=f"{x:g}", y=f"{y:g}", class_=class_, text_anchor=anchor)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=f"{x1:g}", y1=f"{y1:g}", x2=f"{x2:g}", y2=f"{y2:g}", class_=class_)


def _rect(x: float, y: float, width: float, height: float, class_: str, radius: float = 8) -> Markup:
    return element(
        "rect", x=f"{x:g}", y=f"{y:g}", width=f"{width:g}", height=f"{height:g}", rx=f"{radius:g}", class_=class_
    )


# -- one switch ----------------------------------------------------------------------------------------------------


def _card(document: Document, node: str, x: int) -> Markup:
    side = document["sides"][node]
    own = node == document["node"]
    word = role_word(side, own)
    kind = _kind(word)
    pill = 16 + 7.8 * len(word)
    mode = "" if side is None or side["mode"] == "active" or word == "lost" else str(side["mode"])
    parts = [
        _rect(x, _TOP, _CARD, _BOTTOM - _TOP, f"card {kind}" + (" lost" if word in ("lost", "never heard") else "")),
        _text(x + 12, _TOP + 25, node if len(node) <= _LONGEST_NAME else f"{node[: _LONGEST_NAME - 1]}…", "name"),
        _rect(x + 12, _TOP + 36, pill, 19, f"pill {kind}", 9.5),
        _text(x + 12 + pill / 2, _TOP + 49.2, word.upper(), "pilltext", "middle"),
    ]
    if mode:
        width = 14 + 7.6 * len(mode)
        parts += [
            _rect(x + _CARD - 8 - width, _TOP - 10, width, 19, "pill warn", 9.5),
            _text(x + _CARD - 8 - width / 2, _TOP + 3.2, mode.upper(), "pilltext", "middle"),
        ]
    for at, words in enumerate(_facts(side, own)):
        parts.append(_text(x + 12, _TOP + 78 + 20 * at, words, "fact"))
    if side is not None and word != "lost":
        parts.append(_text(x + 12, _BOTTOM - 12, *_bottom_line(document, side, kind)))
    return element("g", *parts)


def _bottom_line(document: Document, side: dict[str, Any], kind: str) -> tuple[str, str]:
    """Return what matters most of a side, and its style."""
    if side["vip"]:
        address = document["vip"]["address"]
        return f"VIP {address}" if len(address) <= _LONGEST_ADDRESS else "holds the VIP", f"strong {kind}"
    if side["role"] != "backup" or side["state"] != "backup":
        return "", ""
    return ("in sync", "strong backup") if side["in_sync_for"] is not None else ("not in sync", "strong warn")


def _facts(side: dict[str, Any] | None, own: bool) -> list[str]:
    if side is None:
        return []
    heard = "this side" if own else f"heard {_short(side['age'])}"
    if not own and not side["current"]:
        return [heard, f"was {side['state']}", f"term {side['term']}"]
    return [f"MLAG {side['mlag'] or 'unknown'}", f"server {side['life']}", f"term {side['term']}", heard]


def _short(age: float | None) -> str:
    return "not since a gap" if age is None else "just now" if age < 1 else f"{span(age)} ago"


# -- above and below -----------------------------------------------------------------------------------------------


def _serving(document: Document) -> list[str]:
    """Return the sides that serve, as far as is known now."""
    own = document["node"]
    return [
        node
        for node, side in document["sides"].items()
        if side is not None and side["serving"] and (node == own or side["current"])
    ]


def _controllers(document: Document, places: dict[str, int]) -> list[Markup]:
    """Draw the controllers, and lines from them to who is in session with one."""
    connected = {node: document["sides"][node]["controllers"] for node in _serving(document)}
    count = sum(connected.values())
    known = len(document["managers"])
    words = _count(count, "session") if count else "no session" if known else "none configured"
    drawn = [
        _line(_MIDDLE, 44, places[node] + _CARD / 2, _TOP, "wire good" if connected[node] else "wire bad")
        for node in connected
        if known or connected[node]
    ]
    style = "" if count or not known else "bad"
    return [*drawn, *_box(4, "NSX controller" + ("s" if known > 1 else ""), words, style)]


def _vteps(document: Document, places: dict[str, int]) -> list[Markup]:
    attached = {node: document["sides"][node]["vteps"] for node in _serving(document)}
    count = sum(attached.values())
    drawn = [
        _line(_MIDDLE, _HEIGHT - 44, places[node] + _CARD / 2, _BOTTOM, "wire good" if attached[node] else "wire bad")
        for node in attached
    ]
    words = f"{count} attached to the VIP" if count else "none attached"
    return [*drawn, *_box(_HEIGHT - 44, "VTEP daemons", words, "" if count else "bad")]


def _box(y: float, name: str, words: str, style: str) -> list[Markup]:
    return [
        _rect(_MIDDLE - 72, y, 144, 40, f"box {style}"),
        _text(_MIDDLE, y + 17, name, "boxname", "middle"),
        _text(_MIDDLE, y + 32, words, f"small {style}", "middle"),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


# -- between the two -----------------------------------------------------------------------------------------------


def _between(document: Document, places: dict[str, int]) -> list[Markup]:
    """Draw the replication and the paths of the heartbeats."""
    left, right = _LEFT + _CARD, _RIGHT
    parts = _replication(document, places, left, right)
    paths = {"peer-link": "peer link", "backup-path": "backup path"}
    for at, (name, path) in enumerate(document["paths"].items()):
        y = _TOP + 96 + 50 * at
        good = path["state"] == "up" and not path["trouble"]
        style = "good" if good else "warn" if path["state"] == "degraded" else "bad"
        parts += [
            _text(_MIDDLE, y - 6, paths.get(name, name), "small", "middle"),
            _line(left, y, right, y, f"wire {style}"),
            _text(_MIDDLE, y + 14, _path_words(path), f"small {'' if good else style}", "middle"),
        ]
    return parts


def _path_words(path: dict[str, Any]) -> str:
    if path["trouble"]:
        return "cannot be used"
    if path["state"] == "up" and path["round_trip"] is not None:
        return f"{path['round_trip'] * 1000:.1f} ms"
    return str(path["state"])


def _replication(document: Document, places: dict[str, int], left: int, right: int) -> list[Markup]:
    """Draw an arrow from the active side to its copy, if there is one."""
    y = _TOP + 44
    own = document["node"]
    for node, side in document["sides"].items():
        known = side is not None and (node == own or side["current"])
        if not known or side["role"] != "backup" or side["parked"] or not side["replicating"]:
            continue
        towards_right = places[node] > _LEFT
        start, end = (left + 3, right - 3) if towards_right else (right - 3, left + 3)
        tip = -7 if towards_right else 7
        synced = side["in_sync_for"] is not None
        style = "good" if synced else "warn"
        lag = side["lag"]
        words = ("copy" if lag is None else f"lag {span(lag)}") if synced else "not in sync"
        head = f"M{end + tip} {y - 4.5} L{end} {y} L{end + tip} {y + 4.5} Z"
        return [
            _text(_MIDDLE, y - 7, "replication", "small", "middle"),
            _line(start, y, end + tip, y, f"wire {style}"),
            element("path", d=head, class_=f"head {style}"),
            _text(_MIDDLE, y + 15, words, f"small {'' if synced else style}", "middle"),
        ]
    return [
        _text(_MIDDLE, y - 7, "replication", "small", "middle"),
        _line(left, y, right, y, "wire bad"),
        _text(_MIDDLE, y + 15, "none", "small bad", "middle"),
    ]
