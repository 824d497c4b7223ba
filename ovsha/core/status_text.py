"""Turn the document of `ovsha.core.status` into what an operator reads.

Lines are `key: value`, as ovs-appctl(8) prints them.  It is given the document and nothing
else, so a client can print what an agent of its own schema sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ovsha.core.words import ago, span, yes

Side = dict[str, Any]
_NONE = "-"


def sync_text(document: dict[str, Any]) -> str:
    """Return what `ovsha sync-status` prints: the vendor's lines for each side, and whether they are true."""
    lines: list[str] = []
    for node, side in document["sides"].items():
        own = node == document["node"]
        lines += [f"{node}: {_whose(side, own)}"]
        if side is not None:
            lines += _role_lines(side)
            lines += [f"{key}: {value}" for key, value in _truth(side)]
            lines += _session(document["source"], side) if own else []
        lines += [""]
    return "\n".join([*lines, _verdict(document), ""])


def status_text(document: dict[str, Any]) -> str:
    """Return what `ovsha status` prints."""
    lines = [
        *(f"{key}: {value}" for key, value in _head(document)),
        "",
        *_table(document),
        "",
        *_surroundings(document),
        "",
        _verdict(document),
        *_problems(document),
    ]
    return "\n".join([*lines, ""])


def _whose(side: Side | None, own: bool) -> str:
    if own:
        return "this side"
    if side is None:
        return "the peer, never heard"
    if side["current"]:
        return f"the peer, heard {ago(side['age'])}"
    heard = "not heard since this agent slept" if side["age"] is None else f"last heard {ago(side['age'])}"
    return f"the peer, {heard}; what follows was true then"


def _role_lines(side: Side) -> Iterator[str]:
    """Yield what ovs-appctl ovsdb-server/sync-status would print there."""
    # A lost peer's last state must not be taken for a second active side by who reads this line alone.
    yield f"state: {side['role'] or 'unknown'}{'' if side['current'] else ' (when last heard)'}"
    if side["role"] == "backup":
        yield f"{_how(side)}: {side['source'] or 'nobody'}"
        yield f"database: {side['database']}"


def _how(side: Side) -> str:
    return "parked" if side["parked"] else "replicating" if side["replicating"] else "connecting"


def _truth(side: Side) -> Iterator[tuple[str, str]]:
    if side["life"] != "up":
        yield "ovsdb-server", side["life"]
    yield "serving", yes(side["serving"])
    yield "term", _lineage(side)
    yield "last token", side["token"] or _missing(side)
    if side["role"] == "backup":
        yield "in sync", _synced(side)
        yield "lag", "unknown" if side["lag"] is None else span(side["lag"])


def _missing(side: Side) -> str:
    """Return what to say of a key that was not read: a server that does not answer may well have it."""
    return "none in the database" if side["life"] == "up" else "unknown"


def _lineage(side: Side) -> str:
    stamp = side["stamp"]
    if stamp is None:
        return _missing(side)
    return f"{stamp['term']}, opened by {stamp['node']}"


def _synced(side: Side) -> str:
    return "no" if side["in_sync_for"] is None else f"yes, for {span(side['in_sync_for'])}"


def _session(source: dict[str, Any], side: Side) -> list[str]:
    """Return how our session to the source is, which is not ovsdb-server's own and so a second witness."""
    if side["role"] != "backup":
        return []
    return [f"session to {source['address']}: {_session_state(source)}"]


def _session_state(source: dict[str, Any]) -> str:
    if source["closed"]:
        return "closed"
    if source["host_silent_for"] is None:
        return "not established"
    if source["host_silent_for"] >= 1.0:
        return f"the host has been silent for {span(source['host_silent_for'])}"
    if (source["unanswered_for"] or 0.0) >= 1.0:
        return f"the server has not answered for {span(source['unanswered_for'])}"
    return "alive"


def _verdict(document: dict[str, Any]) -> str:
    if document["do"] is None:
        return f"verdict: {document['verdict']}"
    return f"verdict: {document['verdict']}; {document['do']}"


def _head(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "node", f"{document['node']} of pair {document['pair']}"
    yield "agent", f"ovsha {document['version']}, pid {document['pid']}, up {span(document['uptime'])}"
    yield "state", f"{document['state']}, because {document['why']} (rule {document['rule']})"
    if document["step"]:
        yield "next step", document["step"] + (" (under way)" if document["under_way"] == document["step"] else "")
    moved = document["moved"]
    yield "last move", f"{moved['what']}, {ago(moved['age'])}" if moved else "none"
    yield "preferred", _preferred(document["preferred"])
    yield "handover", _handover(document["handover"])


def _preferred(preferred: dict[str, Any]) -> str:
    configured = preferred["configured"]
    by_clag = "whoever clagd elects" if configured == "clag" else configured
    who = preferred["node"] or "unknown"
    reason = "chosen by an operator over" if preferred["chosen"] else "configured as"
    return f"{who} ({reason} {by_clag}), restore {preferred['restore']}"


def _handover(handover: dict[str, Any] | None) -> str:
    if handover is None:
        return "none"
    text = f"{handover['kind']} to {handover['to']}: "
    if not handover["granted"]:
        return text + (f"refused, because {handover['refusal']}" if handover["refusal"] else "asked for")
    barrier = f", barrier {handover['barrier']}" if handover["barrier"] else ""
    return text + ("drained" if handover["drained"] else "draining") + barrier


_ROWS: tuple[tuple[str, Callable[[Side], str]], ...] = (
    ("state", lambda s: str(s["state"])),
    ("MLAG role", lambda s: s["mlag"] or "unknown"),
    ("ovsdb-server", lambda s: s["life"] + (f", {s['role']}" if s["role"] else "")),
    ("source", lambda s: f"{_how(s)} {s['source'] or 'nobody'}" if s["role"] == "backup" else _NONE),
    ("in sync", lambda s: _synced(s) if s["role"] == "backup" else _NONE),
    ("lag", lambda s: _NONE if s["lag"] is None else span(s["lag"])),
    ("term", _lineage),
    ("last token", lambda s: s["token"] or _NONE),
    ("serving", lambda s: yes(s["serving"])),
    ("active for", lambda s: _NONE if s["active_for"] is None else span(s["active_for"])),
    ("VIP", lambda s: yes(s["vip"])),
    ("VIP listener", lambda s: yes(s["listener"])),
    ("managers' remote", lambda s: yes(s["managers"])),
    ("controllers", lambda s: str(s["controllers"])),
    ("VTEP sessions", lambda s: str(s["vteps"])),
    ("peer link", lambda s: {True: "up", False: "no carrier"}.get(s["link_up"], "unknown")),
)
"""What `ovsha status` shows of both sides beside each other."""


def _table(document: dict[str, Any]) -> list[str]:
    """Return the two sides beside each other; what is not known of a side is left blank."""
    sides = list(document["sides"].items())
    head = ["", *(node for node, _ in sides)]
    heard = ["heard", *(_heard(side, node == document["node"]) for node, side in sides)]
    rows = [[f"{key}:", *("" if side is None else cell(side) for _, side in sides)] for key, cell in _ROWS]
    cells = [head, [f"{heard[0]}:", *heard[1:]], *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in cells]


def _heard(side: Side | None, own: bool) -> str:
    if own:
        return "this side"
    if side is None:
        return "never"
    if side["current"]:
        return ago(side["age"])
    return "LOST" if side["age"] is None else f"LOST, {ago(side['age'])}"


def _surroundings(document: dict[str, Any]) -> Iterator[str]:
    yield f"peer: {document['presence']}"
    for name, path in document["paths"].items():
        yield f"path {name}: {_path(path)}"
    source = document["source"]
    yield f"session to {source['address']}: {_session_state(source)}"
    yield f"clagd: {_clag(document['clag'])}"
    vip = document["vip"]
    yield f"VIP: {vip['address']} port {vip['port']} on {vip['interface']}"
    for manager in document["managers"]:
        yield f"manager: {manager['target']}" + (", connected" if manager["connected"] else "")
    if not document["managers"]:
        yield "manager: none in the database"
    for each in document["collisions"]["seen"]:
        times = f"{each['count']} times, " if each["count"] > 1 else ""
        yield f"collision: {each['what']}; {times}first {ago(each['first_age'])}, last {ago(each['last_age'])}"
    if document["collisions"]["missed"]:
        yield f"collisions: {document['collisions']['missed']} more sightings found no room in this list"
    counted = {name: count for name, count in document["counters"].items() if count}
    yield "counters: " + (", ".join(f"{name} {count}" for name, count in counted.items()) or "all zero")


def _path(path: dict[str, Any]) -> str:
    text = f"{path['state']}, heard {ago(path['heard_age'])}"
    if path["round_trip"] is not None:
        text += f", round trip {path['round_trip'] * 1000:.1f} ms"
    return text + (f", {path['trouble']}" if path["trouble"] else "")


def _clag(clag: dict[str, Any]) -> str:
    age = "" if clag["age"] is None else f", asked {ago(clag['age'])}"
    if clag["role"] is None:
        return f"role unknown: {clag['trouble']}{age}"
    peer = f"peer {clag['peer_role'] or 'of unknown role'}, alive {yes(clag['peer_alive'])}"
    return f"{clag['role']}, {peer}, backup active {yes(clag['backup_active'])}{age}"


def _problems(document: dict[str, Any]) -> Iterator[str]:
    for problem in document["problems"]:
        yield f"problem ({problem['level']}): {problem['what']}"
        yield f"  do: {problem['do']}"
    if not document["problems"]:
        yield "problems: none"
