"""Say why the peer's data must not be copied over ours.

Connecting an ovsdb-server as a backup erases it.  One table lists what forbids that; the
first row that finds something decides, and its sentence is what an operator reads.  Most
an operator can overrule; a copy that ovsdb-server itself would refuse cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ovsha.core import lineage
from ovsha.core.situation import Situation

GIVEN_UP = 3
"""Copies that ovsdb-server may give up in a row before we stop to ask it for more."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One reason not to copy: `find` says what is wrong, "" when nothing; `final`: no operator can overrule it."""

    name: str
    find: Callable[[Situation], str]
    final: bool = False


def _newer_schema(c: Situation) -> str:
    own, theirs = c.view.server.schema, c.view.source.schema
    if not c.view.schema_gap or own is None or theirs is None:
        return ""
    return (
        f"the peer's schema {theirs.name} {theirs.version} has {c.view.schema_gap}, which ours, {own.version}, lacks"
        f": upgrade ovsdb-server or convert the database on {c.view.settings.node} first"
    )


def _several(c: Situation) -> str:
    others, node = c.view.server.others, c.view.settings.node
    if not others:
        return ""
    return (
        f"ovsdb-server on {node} serves {', '.join(others)} beside our database, and following would overwrite all of"
        f" them: serve them by an ovsdb-server of their own"
    )


def _collapsed(c: Situation) -> str:
    own, theirs, settings = c.view.server.cells, c.peer.cells, c.view.settings
    if own is None or theirs is None or own < settings.min_cells or theirs >= settings.min_share * own:
        return ""
    return f"the peer's database has shrunk to {theirs} cells (rows times columns), ours has {own}"


def _given_up(c: Situation) -> str:
    if c.memory.failed_copies < GIVEN_UP:
        return ""
    return f"ovsdb-server gave up copying it {c.memory.failed_copies} times and made itself active each time"


GUARDS = (
    Guard("several-databases", _several, final=True),
    Guard("newer-schema", _newer_schema, final=True),
    Guard("lineage", lambda c: lineage.refusal(c.view.server, c.view.source)),
    Guard("collapsed", _collapsed),
    Guard("given-up", _given_up),
)


def objection(c: Situation) -> Guard | None:
    """Return the first row that forbids the copy, None when nothing does."""
    overruled = c.keep == c.view.settings.peer and c.view.source.loaded
    return next((row for row in GUARDS if row.find(c) and not (overruled and not row.final)), None)


def refusal(c: Situation) -> str:
    """Say why the peer's data must not be copied over ours, "" when it may be."""
    row = objection(c)
    return row.find(c) if row else ""
