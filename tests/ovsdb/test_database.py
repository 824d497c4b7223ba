"""The Global and Manager rows are read by a monitor, and only our own keys are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsha.core.facts import Role, Stamp
from ovsha.core.stamps import written, written_token
from ovsha.ovsdb.database import Database, Manager
from tests.support.endpoint import Endpoint, Refusal, spin

ROW = "6b1c2c54-0000-4000-8000-000000000001"


def rows(config: dict[str, str], switches: list[Any] | None = None) -> dict[str, Any]:
    row = {"other_config": ["map", [list(pair) for pair in config.items()]], "managers": ["set", []],
           "switches": ["set", switches or []]}  # fmt: skip
    return {"Global": {ROW: {"new": row}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.sock"


@pytest.fixture
def server(path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(path, {"monitor": lambda params: {}, "transact": lambda params: [{"count": 1}, {}]})
    yield endpoint
    endpoint.close()


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(f"unix:{path}", "hardware_vtep", retry=0.01)
    yield database
    database.channel.close(0.0, "over")


def test_nothing_is_loaded_before_the_server_has_answered(server: Endpoint, database: Database) -> None:
    server.answers.pop("monitor")
    spin(database.run, [server], lambda: server.asked)
    assert not database.contents.loaded


def test_database_without_a_row_is_loaded_empty_and_of_unknown_lineage(server: Endpoint, database: Database) -> None:
    spin(database.run, [server], lambda: database.contents.loaded)
    assert (database.contents.stamp, database.contents.token, database.contents.empty) == (None, None, True)


def test_stamp_and_token_are_read_back_as_they_are_written(server: Endpoint, database: Database) -> None:
    stamp = Stamp(7, "sw2", chosen=True)
    server.answers["monitor"] = lambda params: rows(written(stamp, (7, 41)), [["uuid", ROW]])
    spin(database.run, [server], lambda: database.contents.loaded)
    assert (database.contents.stamp, database.contents.token, database.contents.empty) == (stamp, (7, 41), False)


@pytest.mark.parametrize(
    "config",
    [{"ovsha:term": "-1", "ovsha:node": "sw1"}, {"ovsha:term": "x", "ovsha:node": "sw1"}, {"ovsha:term": "3"},
     {"ovsha:term": "³", "ovsha:node": "sw1"}, {"ovsha:term": "0", "ovsha:node": "sw1"}],
)  # fmt: skip
def test_scribbled_stamp_is_unknown_lineage(server: Endpoint, database: Database, config: dict[str, str]) -> None:
    server.answers["monitor"] = lambda params: rows(config)
    spin(database.run, [server], lambda: database.contents.loaded)
    assert database.contents.stamp is None


@pytest.mark.parametrize("token", ["7", "7.", ".1", "a.b", "7.-1", ""])
def test_scribbled_token_is_no_token(server: Endpoint, database: Database, token: str) -> None:
    server.answers["monitor"] = lambda params: rows({"ovsha:token": token})
    spin(database.run, [server], lambda: database.contents.loaded)
    assert database.contents.token is None


def test_managers_follow_the_updates(server: Endpoint, database: Database) -> None:
    spin(database.run, [server], lambda: database.contents.loaded)
    new = {"target": "ssl:192.0.2.1:6640", "is_connected": True}
    server.notify("update", ["ovsha", {"Manager": {"m1": {"new": new}}}])
    spin(database.run, [server], lambda: database.contents.managers)
    assert database.contents.managers == (Manager("ssl:192.0.2.1:6640", True),)
    server.notify("update", ["ovsha", {"Manager": {"m1": {"old": new}}}])
    spin(database.run, [server], lambda: not database.contents.managers)


def test_lost_session_forgets_what_was_read_and_a_new_one_reads_again(server: Endpoint, database: Database) -> None:
    spin(database.run, [server], lambda: database.contents.loaded)
    server.hang_up()
    spin(database.run, [server], lambda: not database.contents.loaded)
    spin(database.run, [server], lambda: database.contents.loaded)


def test_rubbish_from_the_server_ends_the_session_and_nothing_else(server: Endpoint, database: Database) -> None:
    spin(database.run, [server], lambda: database.contents.loaded)
    server.raw(b"]]rubbish")
    spin(database.run, [server], lambda: not database.contents.loaded)
    spin(database.run, [server], lambda: database.contents.loaded)


def test_missing_database_is_named(server: Endpoint, database: Database) -> None:
    def unknown(params: list[Any]) -> Any:
        raise Refusal("unknown database")

    server.answers["monitor"] = unknown
    spin(database.run, [server], lambda: database.trouble)
    assert "hardware_vtep" in database.trouble
    assert not database.contents.loaded


def test_first_commit_makes_the_row_and_a_later_one_replaces_only_our_keys(
    server: Endpoint, database: Database
) -> None:
    outcomes: list[str | None] = []
    spin(database.run, [server], lambda: database.contents.loaded)
    database.commit(written_token((1, 1)), outcomes.append)
    spin(database.run, [server], lambda: outcomes)
    server.notify("update", ["ovsha", rows({"other": "kept"})])
    spin(database.run, [server], lambda: not database.contents.token and database._rows.get("Global"))
    database.commit(written_token((1, 2)), outcomes.append)
    spin(database.run, [server], lambda: len(outcomes) == 2)
    first, second = (params[1] for method, params in server.asked if method == "transact")
    assert first["op"] == "insert"
    assert second["op"] == "mutate"
    assert second["mutations"][0] == ["other_config", "delete", ["set", ["ovsha:token"]]]
    assert outcomes == [None, None]


def test_refused_commit_says_why(server: Endpoint, database: Database) -> None:
    outcomes: list[str | None] = []
    server.answers["transact"] = lambda params: [{"error": "not allowed", "details": "read only mode"}]
    spin(database.run, [server], lambda: database.contents.loaded)
    database.commit(written_token((1, 1)), outcomes.append)
    spin(database.run, [server], lambda: outcomes)
    assert outcomes == ["not allowed: read only mode"]


@pytest.mark.parametrize(
    ("answer", "role"),
    [
        ([{"count": 0}], Role.ACTIVE),
        ([{"error": "not allowed", "details": "operation not allowed when database server is in read only mode"}],
         Role.BACKUP),
        ([{"error": "syntax error"}], None),
    ],
)  # fmt: skip
def test_write_that_changes_nothing_tells_the_role_of_a_server(
    server: Endpoint, database: Database, answer: Any, role: Role | None
) -> None:
    found: list[Role | None] = []
    server.answers["transact"] = lambda params: answer
    spin(database.run, [server], lambda: database.contents.loaded)
    database.probe_role(found.append)
    spin(database.run, [server], lambda: found)
    assert found == [role]


def test_request_without_a_session_fails_at_once(database: Database) -> None:
    outcomes: list[str | None] = []
    database.commit(written_token((1, 1)), outcomes.append)
    assert outcomes == ["not connected yet"]
