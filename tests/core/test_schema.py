"""Two schemas are compared as ovsdb-server compares them before it copies."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ovsha.core import lineage

OLD: dict[str, Any] = {
    "name": "hardware_vtep",
    "version": "1.7.0",
    "cksum": "1 2",
    "tables": {"Global": {"columns": {"managers": {"type": "uuid"}, "other_config": {"type": "string"}}}},
}


def test_a_schema_lacks_nothing_of_itself_or_of_an_older_one() -> None:
    new = deepcopy(OLD)
    new["tables"]["Global"]["columns"]["colour"] = {"type": "string"}
    assert lineage.schema_gap(OLD, OLD) == ""
    assert lineage.schema_gap(new, OLD) == ""


def test_what_is_missing_is_named() -> None:
    new = deepcopy(OLD)
    new["tables"]["Global"]["columns"]["colour"] = {"type": "string"}
    assert lineage.schema_gap(OLD, new) == "a column Global.colour"
    new["tables"] = {"Paint": {"columns": {}}, **OLD["tables"]}
    assert lineage.schema_gap(OLD, new) == "a table Paint"
    new["tables"] = deepcopy(OLD["tables"])
    new["tables"]["Global"]["columns"]["managers"]["type"] = "integer"
    assert lineage.schema_gap(OLD, new) == "another type of column Global.managers"


def test_the_checksum_is_of_the_tables_and_not_what_the_author_wrote() -> None:
    renamed = {**OLD, "cksum": "3 4"}
    assert lineage.describe_schema(renamed) == lineage.describe_schema(OLD)
    changed = deepcopy(OLD)
    changed["tables"]["Global"]["columns"]["colour"] = {"type": "string"}
    assert lineage.describe_schema(changed).checksum != lineage.describe_schema(OLD).checksum
    assert lineage.describe_schema({}) == lineage.Schema("", "", lineage.describe_schema({}).checksum)
