"""The status document as text: `ovsha status`, `ovsha sync-status` and `ovsha peer show`.

What is wrong and what to do comes first and once more last, the gravest nearest to the
prompt; a line that says only that something is as it should be is left out.  It is given
the document and nothing else, so a client can print what an agent of its own schema sent.

Lines are `key: value`, as ovs-appctl(8) prints them: what ovsdb-server says of itself on each
side, and then whether it is true.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from ovsha.words import ago, span, yes

Side = dict[str, Any]
NONE = "-"

_OLD = 15.0
"""Seconds from which on the age of clagd's answer is told."""

_ALIVE = {True: "alive", False: "not alive", None: "perhaps not alive"}
_PATH = {True: "active", False: "inactive", None: "unknown"}


def how(side: Side) -> str:
    """Return what ovs-appctl(8) calls the way in which a backup stands to its source."""
    return "parked" if side["parked"] else "replicating" if side["replicating"] else "connecting"


def lineage_cell(side: Side) -> str:
    """Return the term that the side's database was last opened in, and by whom."""
    stamp = side["stamp"]
    return missing(side) if stamp is None else f"{stamp['term']}, opened by {stamp['node']}"


def missing(side: Side) -> str:
    """Return what to say of a key that was not read: a server that does not answer may well have it."""
    return "none in the database" if side["life"] == "up" else "unknown"


def synced(side: Side) -> str:
    """Return since when the side's copy is in sync."""
    return "no" if side["in_sync_for"] is None else f"yes, for {span(side['in_sync_for'])}"


def session(source: dict[str, Any]) -> str:
    """Return how our session to the peer's server is, which is not ovsdb-server's own and so a second witness."""
    if source["closed"]:
        return "closed"
    if source["host_silent_for"] is None:
        return "not established"
    if source["host_silent_for"] >= 1.0:
        return f"the host has been silent for {span(source['host_silent_for'])}"
    if (source["unanswered_for"] or 0.0) >= 1.0:
        return f"the server has not answered for {span(source['unanswered_for'])}"
    return "alive"


def path_cell(report: dict[str, Any], presence: str) -> str:
    """Return how a path of the heartbeats is doing; it need not be cut where only the peer's agent is silent."""
    state = "no heartbeats" if report["state"] == "down" and presence == "silent" else report["state"]
    text = f"{state}, heard {ago(report['heard_age'])}"
    if report["round_trip"] is not None and report["state"] not in ("down", "never"):
        text += f", round trip {report['round_trip'] * 1000:.1f} ms"
    return text + (f", {report['trouble']}" if report["trouble"] else "")


def clag(told: dict[str, Any]) -> str:
    """Return what clagd says, and how old that is."""
    age = "" if told["age"] is None or told["age"] < _OLD else f"; asked {ago(told['age'])}"
    if told["role"] is None:
        return f"role unknown: {told['trouble']}{age}"
    peer = f"peer {told['peer_role'] or 'of unknown role'}, {_ALIVE[told['peer_alive']]}"
    return f"{told['role']}; {peer}; backup path {_PATH[told['backup_active']]}{age}"


def handover(going: dict[str, Any]) -> str:
    """Return how far a planned move of the service is."""
    text = f"{going['kind']} to {going['to']}: "
    if not going["granted"]:
        return text + (f"refused, because {going['refusal']}" if going["refusal"] else "asked for")
    barrier = f", barrier {going['barrier']}" if going["barrier"] else ""
    return text + ("drained" if going["drained"] else "draining") + barrier


_LABEL = 18
_USUAL = ("we-serve", "peer-serves", "standalone")
"""The rules of a pair at rest: what they say is in the table already."""


def status_text(document: dict[str, Any], width: int | None = None) -> str:
    """Return what is printed, in lines of at most `width` columns; None does not break them."""
    blocks = [
        [*_headline(document), *_more(document)],
        _table(document, width),
        list(_between(document)),
        list(_here(document)),
        [*_others(document), *_headline(document)],
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return "\n".join(line for each in text.split("\n") for line in broken(each, width)) + "\n"


def _headline(document: dict[str, Any]) -> Iterator[str]:
    """Yield the verdict and what to do."""
    problems = document["problems"]
    if not problems:
        yield f"OK: {document['verdict']}, nothing is wrong"
        return
    gravest = problems[0]
    yield f"{gravest['level'].upper()}: {'in sync, but ' if document['in_sync'] else ''}{gravest['what']}"
    yield f"  do: {gravest['do']}"


def _more(document: dict[str, Any]) -> Iterator[str]:
    count = len(document["problems"]) - 1
    if count > 0:
        yield f"  and {count} more below" if count > 1 else "  and one more below"


def _others(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lesser problems, the gravest of them last."""
    for problem in reversed(document["problems"][1:]):
        yield f"also {problem['level'].upper()}: {problem['what']}"
        yield f"  do: {problem['do']}"


Row = tuple[str, Callable[[Side], str]]

_ROWS: tuple[Row, ...] = (
    ("operational", lambda s: str(s["state"])),
    ("MLAG role", lambda s: s["mlag"] or "unknown"),
    ("ovsdb-server", lambda s: s["role"] or "unknown" if s["life"] == "up" else s["life"]),
    ("source", lambda s: f"{how(s)} {_address(s['source'])}" if s["role"] == "backup" else NONE),
    ("in sync", lambda s: synced(s) if s["role"] == "backup" else NONE),
    ("lag", lambda s: NONE if s["lag"] is None else span(s["lag"])),
    ("term", lineage_cell),
    ("last token", lambda s: s["token"] or NONE),
    ("VIP", lambda s: yes(s["vip"])),
    ("controllers", lambda s: str(s["controllers"])),
    ("VTEP sessions", lambda s: str(s["vteps"])),
    ("active for", lambda s: NONE if s["active_for"] is None else span(s["active_for"])),
    ("agent up for", lambda s: NONE if s["uptime"] is None else span(s["uptime"])),
)
"""What is shown of both sides beside each other, whatever it is."""


def _mode(side: Side) -> str:
    left = side["mode_left"]
    return str(side["mode"]) + ("" if left is None else f" for another {span(left)}")


def _upgrade(side: Side) -> str:
    return NONE if side.get("upgrade") is None else f"UPGRADE, for {span(side['upgrade'])}"


_LINK = {True: "up", False: "no carrier"}
_ODD: tuple[tuple[str, Callable[[Side], str], Callable[[Side], bool]], ...] = (
    ("behind", lambda s: NONE if s.get("behind") is None else f"for {span(s['behind'])}",
     lambda s: s.get("behind") is not None),
    ("upgrade", _upgrade, lambda s: s.get("upgrade") is not None),
    ("mode", _mode, lambda s: s["mode"] not in ("active", None)),
    ("VIP listener", lambda s: yes(s["listener"]), lambda s: s["listener"] is not s["vip"]),
    ("managers' remote", lambda s: yes(s["managers"]), lambda s: s["managers"] is not s["vip"]),
    ("peer link", lambda s: _LINK.get(s["link_up"], "unknown"), lambda s: s["link_up"] is not True),
    ("exclude", lambda s: s["exclude"] or "none", lambda s: bool(s["exclude"])),
)
"""What is shown when it is not as it should be on one of the sides."""


_OF_A_PAIR = ("MLAG role", "in sync", "lag", "peer link")
_OF_A_VIP = ("VIP", "VIP listener", "managers' remote", "VTEP sessions")
"""What a switch that stands alone has not, and what it has not without a VIP."""


def _address(source: str | None) -> str:
    return "nobody" if source is None else source.removeprefix("tcp:").removeprefix("ssl:").partition(" ")[0]


def _table(document: dict[str, Any], width: int | None) -> list[str]:
    """Return the two sides beside each other; what is not known of a side is left blank."""
    sides = document["sides"]
    known = [side for side in sides.values() if side is not None]
    rows = [["", *(_head(document, node, side) for node, side in sides.items())]]
    if document["peer"] is not None:
        rows += [["administrative", *(_administrative(document, node) for node in sides)]]
    odd = [(key, cell) for key, cell, is_odd in _ODD if any(is_odd(side) for side in known)]
    rows += [[key, *("" if side is None else cell(side) for side in sides.values())] for key, cell in (*_ROWS, *odd)]
    if document["peer"] is None:
        hidden = _OF_A_PAIR if document["vip"]["address"] else (*_OF_A_PAIR, *_OF_A_VIP)
        return [line for row in rows if row[0] not in hidden for line in _cells([*row, ""], width or 999, 1)]
    first, second = (max(len(row[column]) for row in rows) for column in (1, 2))
    if width is not None and _LABEL + first + 2 + second > width:
        first = max(20, min(first, (width - _LABEL - 2) // 2))
        second = max(20, width - _LABEL - 2 - first)
    return [line for row in rows for line in _cells(row, first, second)]


def _cells(row: list[str], *widths: int) -> Iterator[str]:
    """Yield a row of the table: a cell that is too long goes on below."""
    cells = [textwrap.wrap(cell, width) for cell, width in zip(row[1:], widths, strict=True)]
    for number, (left, right) in enumerate(zip_longest(*cells, fillvalue="")):
        label = "" if number else row[0]
        yield f"{label:<{_LABEL}}{left:<{widths[0]}}  {right}".rstrip()


def _head(document: dict[str, Any], node: str, side: Side | None) -> str:
    if node == document["node"]:
        return f"{node}, this side" if "asked_by" not in document else f"{node}, asked from {document['asked_by']}"
    if side is None:
        return f"{node}, never heard"
    if side["current"]:
        return f"{node}, heard {ago(side['age'])}"
    return f"{node}, LOST" + ("" if side["age"] is None else f": as it was {ago(side['age'])}")


def _administrative(document: dict[str, Any], node: str) -> str:
    """Return whether the side should serve when both can, and who says so."""
    preferred = document["preferred"]
    if preferred["node"] is None:
        return "unknown"
    if preferred["node"] != node:
        return "not preferred"
    by = "operator" if preferred["chosen"] else "clagd" if preferred["configured"] == "clag" else "configuration"
    return f"preferred, by {by}"


def _between(document: dict[str, Any]) -> Iterator[str]:
    """Yield what is between the sides, and around them."""
    for name, path in document["paths"].items():
        yield _line(f"path {name}", path_cell(path, document["presence"]))
    source, vip = document["source"], document["vip"]
    if document["peer"] is not None:
        yield _line("session to peer", f"{source['address']}: {session(source)}")
        yield _line("clagd", clag(document["clag"]))
    if vip["address"] is not None:
        yield _line("VIP", f"{vip['address']} port {vip['port']} on {vip['interface']}")
    for manager in document["managers"]:
        yield _line("controller", manager["target"] + (", connected" if manager["connected"] else ""))
    if not document["managers"] and document["sides"][document["node"]]["life"] == "up":
        yield _line("controller", "none in table Manager")
    for each in document["collisions"]["seen"]:
        times = f"{each['count']} times, " if each["count"] > 1 else ""
        seen = f"{times}first {ago(each['first_age'])}, last {ago(each['last_age'])}"
        yield _line("collision", f"{each['what']}; {seen}" + (", and over" if each.get("over") else ""))


def _here(document: dict[str, Any]) -> Iterator[str]:
    """Yield what this side does and why."""
    now, moved = f"{document['state']}, because {document['why']}", document["moved"]
    usual = document["rule"] in _USUAL and document["state"] in ("active", "backup")
    if not usual and not (moved and moved["what"].endswith(now) and not document["service"]):
        yield _line("this side", now)
    if document["step"]:
        going = " (under way)" if document["under_way"] == document["step"] else ""
        yield _line("next step", document["step"] + going)
    if document["handover"] is not None:
        yield _line("handover", handover(document["handover"]))
    service = document["service"]
    if service:
        yield _line("last move", f"{ago(service['age'])}: {service['move']}, {_way(service)}")
        if service["operator_reason"]:
            yield _line("reason given", service["operator_reason"])
    elif moved:
        yield _line("last move", f"{ago(moved['age'])}: {moved['what']}")
    plan = document["planned_switchover"]
    if plan:
        by = f", ordered by {plan['who']}" if plan["who"] else ""
        why = f": {plan['reason']}" if plan["reason"] else ""
        yield _line("planned", f"switchover to {plan['to']} at {plan['at']}, in {span(plan['left'])}{by}{why}")
    yield from _restore(document)
    whose = f"node {document['node']} of pair {document['pair']}" + (", standalone" if document["peer"] is None else "")
    yield _line("agent", f"ovsha {document['version']}, {whose}")


def _way(service: dict[str, Any]) -> str:
    return f"{service['from'] or 'nobody'} -> {service['to'] or 'nobody'}, because {service['reason']}"


def _restore(document: dict[str, Any]) -> Iterator[str]:
    """Yield how the service gets back, when it is not where it should be."""
    preferred = document["preferred"]
    side = document["sides"].get(preferred["node"])
    if side is None or side["serving"] or document["peer"] is None:
        return
    manual = preferred["restore"] == "manual"
    delay = span(document["settings"]["restore_delay"])
    itself = f"to {preferred['node']} by itself, once it has been in sync for {delay}"
    yield _line("restore", "by hand, with `ovsha restore-primary`" if manual else itself)


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def broken(line: str, width: int | None) -> list[str]:
    """Break a line that is too long, indenting what goes on below."""
    if width is None or len(line) <= width:
        return [line]
    indent = " " * (_LABEL if line[_LABEL - 1 : _LABEL] == " " and not line.startswith(_WORDS) else 6)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) or [line]


_WORDS = ("OK", "BROKEN", "DEGRADED", "also", "  do:")


def sync_text(document: dict[str, Any]) -> str:
    """Return the vendor's lines for each side, and whether they are true."""
    lines: list[str] = []
    for node, side in document["sides"].items():
        own = node == document["node"]
        lines += [f"{node}: {_whose(side, own, document.get('asked_by'))}"]
        if side is not None:
            lines += role_lines(side)
            lines += [f"{key}: {value}" for key, value in _truth(side)]
        if own:
            lines += _own(document, side)
        lines += [""]
    return "\n".join([*lines, verdict(document), ""])


def verdict(document: dict[str, Any]) -> str:
    """Return in one line whether the pair is in sync and, when it is not, what to do."""
    if document["do"] is None:
        return f"verdict: {document['verdict']}"
    return f"verdict: {document['verdict']}; {document['do']}"


def _whose(side: Side | None, own: bool, asked_by: str | None) -> str:
    if own:
        return "this side" if asked_by is None else f"the side that was asked, from {asked_by}"
    if side is None:
        return "the peer, never heard"
    if side["current"]:
        return f"the peer, heard {ago(side['age'])}"
    heard = "not heard since this agent slept" if side["age"] is None else f"last heard {ago(side['age'])}"
    return f"the peer, {heard}; what follows was true then"


def role_lines(side: Side) -> Iterator[str]:
    """Yield what ovs-appctl ovsdb-server/sync-status would print there."""
    # A lost peer's last state must not be taken for a second active side by who reads this line alone.
    yield f"state: {side['role'] or 'unknown'}{'' if side['current'] else ' (when last heard)'}"
    if side["role"] == "backup":
        if side["replicating"] is None:
            return
        yield f"{how(side)}: {side['source'] or 'nobody'}"
        yield f"database: {side['database']}"
        yield f"exclude: {side['exclude'] or 'none'}"


def _truth(side: Side) -> Iterator[tuple[str, str]]:
    if side["life"] != "up":
        yield "ovsdb-server", side["life"]
    if side.get("upgrade") is not None:
        yield "upgrade", f"in one for {span(side['upgrade'])}; it takes nothing over"
    yield "serving", yes(side["serving"])
    yield "term", lineage_cell(side)
    yield "last token", side["token"] or missing(side)
    if side["role"] == "backup":
        yield "in sync", synced(side)
        if side.get("behind") is not None:
            yield "behind", f"it has lacked something for {span(side['behind'])}"
        yield "lag", "unknown" if side["lag"] is None else span(side["lag"])


def _own(document: dict[str, Any], side: Side) -> Iterator[str]:
    """Yield what only this side's agent can tell: our own session to the source, and rows that only one side has."""
    if side["role"] == "backup":
        yield f"session to {document['source']['address']}: {session(document['source'])}"
    if document["peer"] is None and not document["divergences"]:
        return
    for each in document["divergences"]:
        yield f"divergence: {_divergence(each)}"
    if not document["divergences"]:
        yield "divergence: none known"


def _divergence(each: dict[str, Any]) -> str:
    if each["failed"]:
        return f"of snapshot {each['snapshot']} not known: {each['failed']}"
    rows = "1 row" if each["rows"] == 1 else f"{each['rows']} rows"
    if not each["exact"]:
        return f"{rows} in doubt in ledger {each['ledger']}, not exact"
    return f"{rows} only in ledger {each['ledger']}"


def peer_text(document: dict[str, Any]) -> str:
    """Return what `ovsha peer show` prints."""
    node, peer, identity = document["node"], document["peer"], document["identity"]
    if peer is None:
        known = f"; the former one, {identity['peer']}, is known until ovsha peer forget" if identity["peer"] else ""
        return f"{node}, this side: {identity['own'] or 'without an identity'}\nit stands alone, without a peer{known}"
    lines = [
        f"{node}, this side: {identity['own'] or 'without an identity'}",
        f"{peer}, the peer: {identity['peer'] or 'not learned yet'}",
    ]
    stranger = identity["stranger"]
    if stranger:
        heard = f"heard {ago(stranger['age'])}"
        lines += [
            f"a stranger by the name of {peer}: {stranger['identity'] or 'without an identity'}, {heard}",
            f"  do: if {peer} was replaced or lost its state directory, run `ovsha peer forget` on {node}",
        ]
    if identity["estranged"]:
        lines += [
            f"{peer} takes this switch for a stranger",
            f"  do: if this switch was replaced or lost its state directory, run `ovsha peer forget` on {peer}",
        ]
    return "\n".join(lines)


def forget_text(document: dict[str, Any]) -> str:
    """Return what `ovsha peer forget` prints; `forgotten` None: there was nothing to forget."""
    peer, forgotten = document["peer"] or "the former peer", document["forgotten"]
    which = f"is forgotten ({forgotten})" if forgotten else "was not known"
    return f"{peer} {which}; the next switch that has its name and the pair's key is learned"
