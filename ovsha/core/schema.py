"""Compare two schemas as ovsdb-server does before it copies: a backup must have all that the active side has.

A backup whose schema lacks something of the active side's gives replication up and makes
itself active; the other way round it works (since ovsdb-server 2.13).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ovsha.core.facts import Schema


def describe(schema: Mapping[str, Any]) -> Schema:
    """Return the name, version and checksum of a schema as get_schema of RFC 7047 section 4.1.2 gives it.

    The checksum is over tables and columns; the one that stands in a schema is only what its author wrote there.
    """
    tables = json.dumps(schema.get("tables", {}), sort_keys=True)
    digest = hashlib.sha256(tables.encode()).hexdigest()[:12]
    return Schema(str(schema.get("name", "")), str(schema.get("version", "")), digest)


def gap(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Say what `theirs` has and `own` lacks or has in another type, "" when nothing."""
    here = own.get("tables", {})
    for table, definition in theirs.get("tables", {}).items():
        if table not in here:
            return f"a table {table}"
        columns = here[table].get("columns", {})
        for column, kind in definition.get("columns", {}).items():
            if column not in columns:
                return f"a column {table}.{column}"
            if columns[column].get("type") != kind.get("type"):
                return f"another type of column {table}.{column}"
    return ""
