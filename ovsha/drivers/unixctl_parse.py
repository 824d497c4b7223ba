"""Read what ovsdb-server prints for its Active-Backup Commands (ovsdb-server(1)).

Releases up to 3.2 print `state`, then `replicating` or what hinders it, then `database`;
from 3.3 on there is one such block for each database, which begins with `database`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ovsha.core.facts import Role


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """What `ovsdb-server/sync-status` says of one database; `role` None: it could not be read.

    `excluded`: the tables that a backup does not copy, "" when it copies all.
    """

    role: Role | None
    replicating: bool = False
    line: str = ""
    excluded: str = ""


def sync_status(text: str, database: str) -> SyncStatus:
    """Return what the text says of `database`; text that says nothing of it gives role None."""
    block = _block(text.splitlines(), database)
    fields = {key: value for key, colon, value in (line.partition(": ") for line in block) if colon}
    state = fields.get("state", "")
    if state not in ("active", "backup"):
        return SyncStatus(None, line=text.strip().replace("\n", "; ")[:200])
    detail = next((line for line in block if not line.startswith(("state:", "database:", "exclude:"))), "")
    return SyncStatus(Role(state), "replicating" in fields, detail, fields.get("exclude", "").strip())


def version(text: str) -> tuple[int, int]:
    """Return major and minor number from `version`; (0, 0) when they are not there."""
    found = re.search(r"\b(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def cells(text: str) -> int | None:
    """Return the rows times columns of all tables from `memory/show`, None when it does not tell."""
    found = re.search(r"\bcells:(\d+)", text)
    return int(found[1]) if found else None


def _block(lines: list[str], database: str) -> list[str]:
    stripped = [line.strip() for line in lines]
    heads = [number for number, line in enumerate(stripped) if line.startswith("database:")]
    if not heads or heads[0] != 0:
        return stripped
    for start, end in zip(heads, [*heads[1:], len(stripped)], strict=True):
        if stripped[start] == f"database: {database}":
            return stripped[start:end]
    return []
