"""Turn the document of `ovsha.core.status` into what `ovsha sync-status` prints.

Lines are `key: value`, as ovs-appctl(8) prints them: what ovsdb-server says of itself on each
side, and then whether it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ovsha.core import status_cells as cells
from ovsha.core.status_cells import Side
from ovsha.core.words import ago, span, yes


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
        yield f"{cells.how(side)}: {side['source'] or 'nobody'}"
        yield f"database: {side['database']}"
        yield f"exclude: {side['exclude'] or 'none'}"


def _truth(side: Side) -> Iterator[tuple[str, str]]:
    if side["life"] != "up":
        yield "ovsdb-server", side["life"]
    if side.get("upgrade") is not None:
        yield "upgrade", f"in one for {span(side['upgrade'])}; it takes nothing over"
    yield "serving", yes(side["serving"])
    yield "term", cells.lineage(side)
    yield "last token", side["token"] or cells.missing(side)
    if side["role"] == "backup":
        yield "in sync", cells.synced(side)
        if side.get("behind") is not None:
            yield "behind", f"it has lacked something for {span(side['behind'])}"
        yield "lag", "unknown" if side["lag"] is None else span(side["lag"])


def _own(document: dict[str, Any], side: Side) -> Iterator[str]:
    """Yield what only this side's agent can tell: our own session to the source, and rows that only one side has."""
    if side["role"] == "backup":
        yield f"session to {document['source']['address']}: {cells.session(document['source'])}"
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
