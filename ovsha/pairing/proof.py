"""Wait until this switch is a copy of the other one, telling how far it is, and prove it row by row."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.ledger import verify
from ovsha.ledger.session import Session
from ovsha.ledger.verify import Progress
from ovsha.pairing import agent, making
from ovsha.pairing.agent import Document
from ovsha.remotes import own_database, peer_server

_LIMIT = 60.0
_LOOK_LIMIT = 0.5
_PATIENCE = 10.0
"""Seconds for which an agent may wait for an operator: one that has just started has not heard the other side yet."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that both sides are equal: rows compared, in how many tables, in which term, after how long a copy."""

    rows: int
    tables: int
    term: int
    seconds: float
    status: Document


def in_sync(config: Config, total: int, limit: float, say: Say, progress: Progress) -> Document:
    """Wait until our agent says that its copy is in sync, telling each phase once.

    `total`: rows that are to come.  Raises DriverError when the agent waits for an operator, or after `limit` s.
    """
    phase, stuck_since = "", 0.0

    def holds(found: Document) -> bool:
        nonlocal phase, stuck_since
        now = _phase(found)
        if now != phase:
            phase = now
            say(now)
        stuck_since = (stuck_since or time.monotonic()) if found["state"] == "needs-decision" else 0.0
        if stuck_since and time.monotonic() - stuck_since > _PATIENCE:
            raise DriverError(f"{config.node} cannot copy {config.peer}, because {found['why']}; see ovsha status")
        copied = _copied(config)
        if copied is not None:
            progress(min(copied, total), max(total, 1), f"{copied:,} of {total:,} rows")
        return bool(found["in_sync"] and found["sides"][config.node]["in_sync_for"] is not None)

    return agent.until(config, holds, limit, f"{config.node} is not in sync with {config.peer}")


def prove(config: Config, progress: Progress) -> Proof:
    """Compare both sides row by row.  Raises DriverError when they differ."""
    began = time.monotonic()
    database = config.server.database
    with (
        Session(own_database(config), database, _LIMIT) as own,
        Session(peer_server(config), database, _LIMIT, config.peer) as peer,
    ):
        found = verify.compare(own, peer, progress)
    if found.entries:
        raise DriverError(f"{config.node} and {config.peer} differ in {len(found.entries):,} rows: see ovsha verify")
    status: dict[str, Any] | None = agent.status(config)
    if status is None or not status["in_sync"]:
        raise DriverError(f"the pair is not in sync any more: {status['verdict'] if status else 'no agent runs'}")
    rows, tables = sum(found.rows.values()), sum(1 for count in found.rows.values() if count)
    return Proof(rows, tables, status["sides"][config.peer]["stamp"]["term"], time.monotonic() - began, status)


def _phase(found: Document) -> str:
    step = f" ({found['step']})" if found["step"] else ""
    side = found["sides"][found["node"]]
    if side["in_sync_for"] is not None:
        return "in sync"
    if side["role"] == "backup" and side["replicating"] and not found["step"]:
        return "the copy is filled, and waits for the next token"
    return f"{found['why']}{step}"


def _copied(config: Config) -> int | None:
    """Return how many rows our server has, None when it is too busy to tell."""
    try:
        with Session(own_database(config), config.server.database, _LOOK_LIMIT) as session:
            return sum(making.rows_of(session).values())
    except DriverError:
        return None
