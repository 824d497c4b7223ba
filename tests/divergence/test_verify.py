"""Laws of comparing two servers that are written to meanwhile: no difference is made up, and none is overlooked."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import pytest

from ovsha.divergence import compare as comparing
from ovsha.errors import DriverError
from ovsha.ovsdb import client
from ovsha.ovsdb.client import Session

SCHEMA: dict[str, Any] = {
    "name": "hardware_vtep",
    "tables": {"Macs": {"columns": {"MAC": {"type": "string"}, "fault": {"type": "string", "ephemeral": True}}}},
}
ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
Rows = Mapping[str, str]


class Side(Session):
    """A server whose rows are other ones at each question: `contents` in order, the last one for ever."""

    def __init__(self, *contents: Rows, schema: dict[str, Any] = SCHEMA) -> None:
        self._contents: Iterator[Rows] = chain(contents, repeat(contents[-1]))
        self._schema = schema

    def schema(self) -> dict[str, Any]:
        return self._schema

    def transact(self, operations: Sequence[Mapping[str, Any]]) -> list[Any]:
        rows, results = next(self._contents), []
        for operation in operations:
            wanted = [operation["where"][0][2][1]] if operation["where"] else [*rows]
            found = [{"_uuid": ["uuid", uuid], "MAC": rows[uuid]} for uuid in wanted if uuid in rows]
            results.append({"rows": [{name: row[name] for name in operation["columns"]} for row in found]})
        return results


def compare(one: Side, other: Side) -> comparing.LiveDifference:
    return comparing.compare_live(one, other, lambda done, total, what: None, pauses=(0.0, 0.0, 0.0))


def test_equal_rows_are_equal() -> None:
    found = compare(Side({ONE: "a", TWO: "b"}), Side({TWO: "b", ONE: "a"}))
    assert (found.entries, found.unsettled, found.late, found.rows) == ([], 0, 0, {"Macs": 2})


@pytest.mark.parametrize("first", [{}, {ONE: "old"}], ids=["inserted", "changed"])
def test_a_row_on_its_way_is_no_difference(first: Rows) -> None:
    found = compare(Side({ONE: "a"}), Side(first, first, {ONE: "a"}))
    assert (found.entries, found.unsettled, found.late) == ([], 0, 1)


@pytest.mark.parametrize("theirs", [{}, {ONE: "other"}], ids=["missing", "another"])
def test_a_row_that_stays_different_is_told(theirs: Rows) -> None:
    (entry,) = compare(Side({ONE: "a"}), Side(theirs)).entries
    assert (entry.table, entry.uuid, entry.changed) == ("Macs", ONE, ("MAC",))
    assert entry.row == {"MAC": "a"}


def test_a_row_that_is_written_at_every_look_is_neither_equal_nor_different() -> None:
    found = compare(Side(*({ONE: str(number)} for number in range(20))), Side({ONE: "behind"}))
    assert (found.entries, found.unsettled, found.late) == ([], 1, 0)


def test_what_only_one_schema_has_is_named() -> None:
    columns = {"MAC": {"type": "string"}, "ipaddr": {"type": "string"}}
    newer = {"name": "hardware_vtep", "tables": {"Macs": {"columns": columns}, "ACL": {"columns": {}}}}
    assert compare(Side({ONE: "a"}), Side({ONE: "a"}, schema=newer)).skipped == ("ACL", "Macs.ipaddr")


def test_a_server_out_of_reach_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_LIMIT", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port, began = full.getsockname()[1], time.monotonic()
        # The queue of the listener is full, so that what comes next is dropped.
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(DriverError) as told:
            Session(f"tcp:127.0.0.1:{port}", "hardware_vtep", 60.0, "sw2")
    assert str(told.value).startswith(f"sw2's ovsdb-server at tcp:127.0.0.1:{port} cannot be reached: ")
    assert time.monotonic() - began < 10.0
