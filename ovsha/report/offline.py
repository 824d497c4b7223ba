"""Say what can be said of the pair on a switch where no agent answers.

The facts are read at this moment, by the command itself: the role of our own ovsdb-server and
the lineage of its database, what the peer's server shows, the VIP.  Whether the copy is in
sync is not among them, since only an agent that watches the tokens can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ovsha import SCHEMA
from ovsha.core.facts import Life, Record, Role
from ovsha.core.lineage import PARKED, copied
from ovsha.core.view import View
from ovsha.report import status, status_text
from ovsha.report.diagnosis import Level, Problem
from ovsha.report.status_text import broken
from ovsha.words import yes

_NOT_SEEN = ("state", "term", "in_sync_for", "lag", "mlag", "lapsed", "cut_off", "active_for", "uptime", "mode",
             "mode_left", "upgrade", "upgraded")  # fmt: skip
_NOT_SEEN_THERE = ("serving", "vip", "listener", "managers", "link_up", "replicating", "controllers", "vteps", "cells")


@dataclass(frozen=True, slots=True)
class OfflineView:
    """What the command knows beside the view.

    `why`: what became of the question to our agent.  `hangs`: it is there and does not answer.  `told`: the status of
    the peer's agent, None when that one does not answer either; then `peer_trouble` says why.
    """

    pair: str
    database: str
    vip: str
    vip_interface: str
    vip_port: int
    why: str
    hangs: bool
    server_trouble: str = ""
    source_trouble: str = ""
    vip_trouble: str = ""
    told: dict[str, Any] | None = None
    peer_trouble: str = ""


def document(view: View, around: OfflineView) -> dict[str, Any]:
    """Return what `ovsha status --json` prints there; its keys are those of the agent's own, but fewer."""
    settings = view.settings
    problems = [status.plain_problem(each) for each in _problems(view, around)]
    sides = {settings.node: _own(view, around)}
    if settings.peer:
        sides[settings.peer] = _peer(view, around)
    told = around.told
    return {
        "schema": SCHEMA,
        "node": settings.node,
        "peer": settings.peer or None,
        "standalone": not settings.peer,
        "pair": around.pair,
        "agent": "hangs" if around.hangs else "down",
        "agent_trouble": around.why,
        "peer_agent": {
            "answers": told is not None,
            "verdict": told["verdict"] if told else None,
            "do": told["do"] if told else None,
            "trouble": around.peer_trouble or None,
        },
        "sides": dict(sorted(sides.items())),
        "source": {
            "address": settings.source,
            "loaded": view.source.loaded,
            "trouble": around.source_trouble or None,
        },
        "vip": {"address": around.vip, "interface": around.vip_interface, "port": around.vip_port},
        "in_sync": None,
        "healthy": False,
        "verdict": problems[0]["what"],
        "do": problems[0]["do"],
        "problems": problems,
    }


def text(told: dict[str, Any], width: int | None = None) -> str:
    """Return what is printed of it, in lines of at most `width` columns; None does not break them."""
    head = [f"BROKEN: {told['verdict']}", f"  do: {told['do']}"]
    lines = [*head, ""]
    for node, side in told["sides"].items():
        lines += [*(_own_lines if node == told["node"] else _peer_lines)(told, node, side), ""]
    for problem in reversed(told["problems"][1:]):
        lines += [f"also {problem['level'].upper()}: {problem['what']}", f"  do: {problem['do']}"]
    return "\n".join(part for line in [*lines, *head] for part in broken(line, width)) + "\n"


def _own_lines(told: dict[str, Any], node: str, side: dict[str, Any]) -> Iterator[str]:
    yield f"{node}: this side, as it is now"
    yield f"agent: {told['agent_trouble']}"
    yield from status_text.role_lines(side)
    if side["life"] != "up":
        yield f"ovsdb-server: {side['life']}"
    vip = told["vip"]
    if vip["address"]:
        yield f"VIP {vip['address']} on {vip['interface']}: {yes(side['vip'])}"
    yield f"managers' remote open: {yes(side['managers'])}"
    yield f"term: {status_text.lineage_cell(side)}"
    yield f"last token: {side['token'] or status_text.missing(side)}"


def _peer_lines(told: dict[str, Any], node: str, side: dict[str, Any]) -> Iterator[str]:
    yield f"{node}: the peer, its ovsdb-server asked at {told['source']['address']}"
    if not told["source"]["loaded"]:
        yield f"does not answer: {told['source']['trouble'] or 'no session'}"
    yield from status_text.role_lines(side)
    yield f"term: {status_text.lineage_cell(side)}"
    yield f"last token: {side['token'] or status_text.missing(side)}"
    agent = told["peer_agent"]
    says = f"says: {agent['verdict']}" if agent["answers"] else f"does not answer: {agent['trouble']}"
    yield f"agent: {says}"


def _own(view: View, around: OfflineView) -> dict[str, Any]:
    server, vip = view.server, view.vip
    held = not around.vip_trouble and vip.present
    record = Record(
        view.settings.node, life=server.life, role=server.role, source=server.source, replicating=server.replicating,
        serving=held or server.listener_open or server.managers_open, vip=held, listener=server.listener_open,
        managers=server.managers_open, stamp=server.stamp, token=server.token, empty=server.empty,
        controllers=server.controllers, cells=server.cells, link_up=vip.link_up,
    )  # fmt: skip
    seen = status.side(record, around.database, 0.0, True)
    unknown = [*_NOT_SEEN, "vteps", *(["vip", "link_up"] if around.vip_trouble else [])]
    if server.role is None:
        unknown += ["listener", "managers", "controllers", "serving", "replicating"]
    return seen | dict.fromkeys(unknown)


def _peer(view: View, around: OfflineView) -> dict[str, Any]:
    """Return the peer as its own agent tells it or, where that does not answer, as its server shows it."""
    if around.told is not None:
        told: dict[str, Any] = around.told["sides"][view.settings.peer]
        return told
    source = view.source
    record = Record(
        view.settings.peer, life=Life.UP if source.loaded else Life.UNKNOWN, role=source.role, stamp=source.stamp,
        token=source.token, empty=source.empty,
    )  # fmt: skip
    return status.side(record, around.database, 0.0, True) | dict.fromkeys([*_NOT_SEEN, *_NOT_SEEN_THERE])


def _problems(view: View, around: OfflineView) -> Iterator[Problem]:
    """Yield what is wrong; after two active sides, that no agent answers, without which nothing is mended."""
    node, peer, server = view.settings.node, view.settings.peer, view.server
    if server.role is Role.ACTIVE and view.source.role is Role.ACTIVE:
        do = "start the agents: both come to one verdict, and the other side's data is kept"
        yield Problem("two-active", Level.BROKEN, f"ovsdb-server is active on {node} and on {peer}", do)
    if around.hangs:
        what, do = f"the agent on {node} hangs", "restart it: `systemctl restart ovsha`; the service stays as it is"
    else:
        undone = "what stops is not served again" if not peer else "it neither takes over nor gives way"
        what = f"no agent runs on {node}, so {undone}"
        do = "start it: `systemctl start ovsha`; if it does not stay, see `journalctl -u ovsha`"
    yield Problem("no-agent", Level.BROKEN, what, do)
    if server.life is Life.DOWN:
        what = f"ovsdb-server on {node} is not running"
        damaged = "start it blank" if peer else "`ovsha backup restore --offline`"
        do = f"`systemctl start ovsha-ovsdb-server`, or {damaged} if its file is damaged; then the agent"
        yield Problem("server-down", Level.BROKEN, what, do)
    elif server.role is None:
        what = f"ovsdb-server on {node} does not answer: {around.server_trouble or 'it may be busy, or hang'}"
        yield Problem("server-hung", Level.BROKEN, what, f"see its log on {node}")
    if not peer and server.role is Role.BACKUP:
        yield Problem("not-served", Level.BROKEN, f"ovsdb-server on {node} is not active", "start the agent")
    if view.source.role is not Role.ACTIVE and server.role is not Role.ACTIVE and view.source.loaded:
        do = "start the agents on both switches; they agree on who serves"
        yield Problem("not-served", Level.BROKEN, "ovsdb-server is active on neither side", do)
    yield from _copy(view) if peer else ()
    if peer and not view.source.loaded:
        what = f"ovsdb-server on {peer} does not answer at {view.settings.source}"
        what += f": {around.source_trouble}" if around.source_trouble else ""
        yield Problem("peer-server", Level.DEGRADED, what, f"see whether {peer} runs, and `ovsha status` there")


def _copy(view: View) -> Iterator[Problem]:
    node, server = view.settings.node, view.server
    if server.role is not Role.BACKUP or server.source in (None, PARKED):
        return
    target, exclude = copied(server.source)
    if exclude:
        what, do = f"the copy on {node} leaves out {exclude}", "start the agent, which has all of it copied"
        yield Problem("exclude", Level.DEGRADED, what, do)
    if not server.replicating:
        what = f"ovsdb-server on {node} has no session with {target}"
        yield Problem("connecting", Level.DEGRADED, what, "see whether that address is reached from here")
    elif view.source.loaded and view.source.stamp != server.stamp:
        what = f"{node} and its source are not of the same term"
        yield Problem("copy-behind", Level.DEGRADED, what, "the copy may be under way: ask again in a moment")
