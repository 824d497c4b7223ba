"""Read the rows of a running server a few at a time, so that it has time for others in between.

ovsdb-server is one thread: a select of 100,000 rows keeps everybody else waiting.  So only the uuids of a table are
read at once, and its rows by their uuids, which the server finds without a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ovsha.errors import DriverError
from ovsha.ledger import content
from ovsha.ledger.session import Session

SIZE = 500
"""Rows in one transaction: some milliseconds of the server."""


def uuids(session: Session, table: str) -> set[str]:
    """Return the uuids of the rows of a table.  Raises DriverError as the session does."""
    (found,) = session.transact([{"op": "select", "table": table, "where": [], "columns": ["_uuid"]}])
    return {row["_uuid"][1] for row in _rows(found)}


def rows(session: Session, table: str, columns: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Return those rows of `wanted` that are there, each as the text that `content` makes of it."""
    one = {"op": "select", "table": table, "columns": ["_uuid", *columns]}
    results = session.transact([{**one, "where": [["_uuid", "==", ["uuid", uuid]]]} for uuid in wanted])
    found = [row for result in results for row in _rows(result)]
    return content.of_results([{"rows": found}], {table: columns})[table]


def _rows(result: Any) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = result["rows"]
    except (TypeError, KeyError):
        raise DriverError(f"ovsdb-server answers a select in a form that is not known: {result!r:.200}") from None
    return found
