"""The difference of two contents is exactly what makes the one into the other."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ovsha.divergence.compare import Entry, Kind, difference
from ovsha.ovsdb import contents
from ovsha.ovsdb.contents import Rows, line
from tests.support.ledger_files import SCHEMA

UUIDS = st.sampled_from([f"u{number}" for number in range(6)])
ROW = st.fixed_dictionaries({"MAC": st.sampled_from("ab"), "ipaddr": st.sampled_from("xyz")})
CONTENT = st.dictionaries(st.sampled_from(["Ucast_Macs_Remote", "Global"]), st.dictionaries(UUIDS, ROW.map(line)))


def applied(base: Rows, entries: list[Entry]) -> Rows:
    """Return the content with the entries done to it, each of which must be possible."""
    result = {table: dict(rows) for table, rows in base.items()}
    for entry in entries:
        rows = result.setdefault(entry.table, {})
        held = rows.pop(entry.uuid, None)
        assert (None if held is None else json.loads(held)) == entry.base
        if entry.row is not None:
            rows[entry.uuid] = line(entry.row)
    return {table: rows for table, rows in result.items() if rows}


@given(CONTENT, CONTENT)
def test_the_difference_done_to_the_base_gives_ours(base: Rows, ours: Rows) -> None:
    entries = list(difference(base, ours))
    assert applied(base, entries) == {table: rows for table, rows in ours.items() if rows}
    assert len({(entry.table, entry.uuid) for entry in entries}) == len(entries)
    assert all(entry.changed for entry in entries), "every entry differs in something"


@given(CONTENT)
def test_what_is_the_same_has_no_difference(rows: Rows) -> None:
    assert list(difference(rows, rows)) == []


@given(CONTENT, CONTENT)
def test_the_kinds_turn_round_with_the_sides(base: Rows, ours: Rows) -> None:
    turned = {Kind.INSERTED: Kind.DELETED, Kind.DELETED: Kind.INSERTED, Kind.CHANGED: Kind.CHANGED}
    there = {(entry.table, entry.uuid, entry.kind) for entry in difference(base, ours)}
    back = {(entry.table, entry.uuid, turned[entry.kind]) for entry in difference(ours, base)}
    assert there == back


COLUMNS = {name: table.columns for name, table in contents.tables(SCHEMA).items()}


def answer(**rows: dict[str, object]) -> str:
    """Return what ovsdb-tool prints for `selects(COLUMNS)`, with one row of each table that is named."""
    results = [
        {"rows": [{"_uuid": ["uuid", "u1"], **rows[table]}] if table in rows else []} for table in COLUMNS
    ]
    return json.dumps(results)


def test_ephemeral_columns_are_not_asked_for() -> None:
    assert COLUMNS["Manager"] == ("target",)


def test_sets_and_maps_are_the_same_in_any_order() -> None:
    one = contents.read(answer(Manager={"target": ["set", ["a", "b"]]}), COLUMNS)
    assert one == contents.read(answer(Manager={"target": ["set", ["b", "a"]]}), COLUMNS)
    assert contents.read(answer(Manager={"target": ["set", ["a"]]}), COLUMNS) == contents.read(
        answer(Manager={"target": "a"}), COLUMNS
    )


def test_what_ovsha_itself_writes_is_no_difference() -> None:
    plain = answer(Global={"other_config": ["map", [["colour", "red"]]]})
    stamped = answer(Global={"other_config": ["map", [["colour", "red"], ["ovsha:term", "7"], ["ovsha:token", "7.1"]]]})
    assert contents.read(plain, COLUMNS) == contents.read(stamped, COLUMNS)
