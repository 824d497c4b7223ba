"""The local server's role and remotes are read from what it answers, and changed by orders that never block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsha.core import lineage as schemas
from ovsha.core.facts import Life, Role, Server, Stamp
from ovsha.core.lineage import PARKED
from ovsha.core.stamps import written, written_token
from tests.support.child import child, end
from tests.support.recorded_server import (
    ACTIVE,
    AS_COPY,
    AS_PARKED,
    CELLS,
    LISTENER,
    MANAGERS,
    NEW_COPY,
    PEER,
    SCHEMA,
    STATUS,
    V31,
    V33,
    Rig,
    local_server,
    parked_rig,
    refused,
    sockets,
)


def order(verb: str, *words: str) -> tuple[str, list[str]]:
    """Return an order as it is recorded."""
    return verb, [*words]


ROW = "6b1c2c54-0000-4000-8000-000000000001"
SET, CONNECT = order("set-active-ovsdb-server", PEER), order("connect-active-ovsdb-server")
ALL = order("set-sync-exclude-tables", "")
LEAVE, EVICT = order("disconnect-active-ovsdb-server"), order("reconnect")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with parked_rig(tmp_path) as rig:
        yield rig


# ------------------------------------------------------------------------------------------- what is seen


def test_without_a_process_the_server_is_down_and_nothing_else_is_known(tmp_path: Path) -> None:
    server = local_server(tmp_path)
    server.run(1.0)
    assert server.facts(1.0) == Server(life=Life.DOWN)
    assert server.trouble
    server.close(1.0)


def test_safe_start_is_seen_as_backup_of_the_address_that_cannot_answer(rig: Rig) -> None:
    now = rig.known()
    schema = schemas.describe_schema(SCHEMA)
    parked = Server(life=Life.UP, role=Role.BACKUP, source=PARKED, loaded=True, cells=CELLS, schema=schema)
    facts = rig.server.facts(now)
    assert replace(facts, process="") == parked
    assert f":{rig.server.pid}:" in facts.process
    assert (rig.server.pid, rig.server.trouble) == (rig.process.pid, "")
    assert rig.server.status_line == f"connecting: {PARKED}"


def test_before_its_first_answer_the_role_is_unknown_and_so_is_its_life(rig: Rig) -> None:
    del rig.control.answers[STATUS]
    now = rig.until(lambda: rig.control.asked)
    assert (rig.server.facts(now).role, rig.server.facts(now).life) == (None, Life.UNKNOWN)


def test_open_remotes_are_those_that_the_server_lists(rig: Rig) -> None:
    rig.tell(ACTIVE, PEER, f"{MANAGERS}\n{LISTENER}\n")
    facts = rig.server.facts(rig.known())
    assert (facts.role, facts.source) == (Role.ACTIVE, None), "a source of old means nothing to an active server"
    assert (facts.managers_open, facts.listener_open) == (True, True)
    assert rig.server.incidents == []


@pytest.mark.parametrize(("status", "version"), [(AS_COPY, V31), (NEW_COPY, V33)])
def test_copying_backup_is_seen_in_the_words_of_every_release(rig: Rig, status: str, version: str) -> None:
    rig.tell(status, PEER, version=version)
    facts = rig.server.facts(rig.known())
    assert (facts.role, facts.source, facts.replicating) == (Role.BACKUP, PEER, True)


@pytest.mark.parametrize(("status", "controllers"), [(ACTIVE, 1), (AS_COPY, 0)])
def test_controllers_are_counted_on_the_active_side_only(rig: Rig, status: str, controllers: int) -> None:
    rig.tell(status, PEER)
    connected = {"target": "ssl:192.0.2.1:6640", "is_connected": True}
    waiting = {"target": "ssl:192.0.2.2:6640", "is_connected": False}
    rig.database.answers["monitor"] = lambda params: {"Manager": {"m1": {"new": connected}, "m2": {"new": waiting}}}
    assert rig.server.facts(rig.known()).controllers == controllers


def test_lineage_is_read_from_the_database(rig: Rig) -> None:
    config = ["map", [list(pair) for pair in written(Stamp(7, "sw2", chosen=True), (7, 0)).items()]]
    rig.database.answers["monitor"] = lambda params: {"Global": {ROW: {"new": {"other_config": config}}}}
    facts = rig.server.facts(rig.known())
    assert (facts.stamp, facts.token) == (Stamp(7, "sw2", chosen=True), (7, 0))


def test_database_that_is_not_there_is_named(rig: Rig) -> None:
    rig.database.answers["monitor"] = refused("unknown database")
    rig.until(lambda: "hardware_vtep cannot be monitored" in rig.server.trouble)


def test_answer_that_cannot_be_read_leaves_the_role_unknown(rig: Rig) -> None:
    rig.tell("something new\n", PARKED)
    now = rig.until(lambda: rig.server.status_line)
    assert (rig.server.facts(now).role, rig.server.status_line) == (None, "something new")


# ------------------------------------------------------------------------------------------- orders


def test_promotion_is_known_as_soon_as_it_is_answered(rig: Rig) -> None:
    rig.known()
    assert rig.carry_out(rig.server.promote) is None
    assert rig.server.facts(0.0).role is Role.ACTIVE
    assert rig.orders() == [("disconnect-active-ovsdb-server", [])]


@pytest.mark.parametrize(
    ("status", "version", "orders"),
    [
        (AS_PARKED, V31, [ALL, SET, CONNECT]),
        (AS_PARKED, V33, [ALL, LEAVE, SET, CONNECT]),
        (ACTIVE, V31, [ALL, SET, CONNECT, EVICT]),
        (ACTIVE, V33, [ALL, SET, CONNECT, EVICT]),
    ],
)
def test_following_leaves_the_old_source_where_it_must_and_evicts_sessions_on_demotion(
    rig: Rig, status: str, version: str, orders: list[tuple[str, list[str]]]
) -> None:
    rig.tell(status, PARKED, version=version)
    rig.known()
    assert rig.carry_out(lambda done: rig.server.follow(PEER, done)) is None
    assert rig.orders() == orders
    facts = rig.server.facts(0.0)
    assert (facts.role, facts.source, facts.replicating) == (Role.BACKUP, PEER, False)


def test_backup_that_does_not_copy_all_tables_is_an_incident_until_it_does(rig: Rig) -> None:
    rig.tell(AS_COPY, PEER)
    rig.known()
    rig.tell(AS_COPY + "exclude: hardware_vtep:Manager\n", PEER)
    rig.until(lambda: rig.server.incidents)
    (incident,) = rig.server.incidents
    assert incident == (
        f"ovsdb-server was found backup of {PEER} without hardware_vtep:Manager, but was ordered backup of {PEER}"
    )
    assert rig.server.facts(0.0).source != PEER
    rig.tell(AS_PARKED + "exclude: hardware_vtep:Manager\n", PARKED)
    assert rig.carry_out(rig.server.park) is None
    rig.until(lambda: rig.control.asked.count((STATUS, [])) > 3)
    assert rig.server.facts(0.0).source == PARKED, "it copies nothing there"
    assert len(rig.server.incidents) == 1


def test_parking_follows_the_address_that_cannot_answer(rig: Rig) -> None:
    rig.tell(AS_COPY, PEER)
    rig.known()
    assert rig.carry_out(rig.server.park) is None
    assert rig.orders() == [("set-active-ovsdb-server", [PARKED]), CONNECT]
    assert (rig.server.facts(0.0).source, rig.server.facts(0.0).replicating) == (PARKED, False)


def test_remotes_are_opened_and_shut_by_name(rig: Rig) -> None:
    rig.known()
    assert rig.carry_out(lambda done: rig.server.open(rig.server.managers, done)) is None
    assert rig.carry_out(lambda done: rig.server.open(rig.server.listener, done)) is None
    assert (rig.server.facts(0.0).managers_open, rig.server.facts(0.0).listener_open) == (True, True)
    assert rig.carry_out(lambda done: rig.server.shut(rig.server.managers, done)) is None
    assert (rig.server.facts(0.0).managers_open, rig.server.facts(0.0).listener_open) == (False, True)
    assert rig.orders() == [("add-remote", [MANAGERS]), ("add-remote", [LISTENER]), ("remove-remote", [MANAGERS])]


def test_refused_order_says_why_and_changes_nothing(rig: Rig) -> None:
    rig.known()
    rig.control.answers["ovsdb-server/add-remote"] = refused("bad remote\n")
    assert rig.carry_out(lambda done: rig.server.open(LISTENER, done)) == "bad remote"
    assert not rig.server.facts(0.0).listener_open


def test_first_of_several_refusals_is_the_answer(rig: Rig) -> None:
    rig.known()
    rig.control.answers["ovsdb-server/set-active-ovsdb-server"] = refused("first")
    rig.control.answers["ovsdb-server/connect-active-ovsdb-server"] = refused("second")
    assert rig.carry_out(lambda done: rig.server.follow(PEER, done)) == "first"
    assert rig.server.facts(0.0).source == PARKED


def test_order_to_no_server_fails_at_once(tmp_path: Path) -> None:
    outcomes: list[str | None] = []
    server = local_server(tmp_path)
    server.run(1.0)
    server.follow(PEER, outcomes.append)
    assert len(outcomes) == 1
    assert outcomes[0]
    server.close(1.0)


def test_order_under_way_fails_with_its_server_and_the_next_one_is_polled_as_ever(rig: Rig, tmp_path: Path) -> None:
    rig.known()
    outcomes: list[str | None] = []
    rig.control.answers.clear()
    rig.server.follow(PEER, outcomes.append)
    end(rig.process)
    rig.until(lambda: outcomes)
    assert outcomes == ["ovsdb-server is not running"]
    with child(tmp_path) as process, sockets(tmp_path, process) as (control, database):
        (tmp_path / "ovsdb-server.pid").write_text(str(process.pid))
        successor = Rig(rig.server, process, control, database)
        successor.tell(AS_PARKED, PARKED)
        successor.known()
        assert (rig.server.pid, rig.server.incidents) == (process.pid, [])


def test_stamp_and_token_are_written_into_the_database(rig: Rig) -> None:
    rig.known()
    assert rig.carry_out(lambda done: rig.server.stamp(Stamp(3, "sw1"), done)) is None
    assert rig.carry_out(lambda done: rig.server.commit((3, 9), done)) is None
    sent = [params[1]["row"]["other_config"] for method, params in rig.database.asked if method == "transact"]
    assert [dict(config[1]) for config in sent] == [written(Stamp(3, "sw1"), (3, 0)), written_token((3, 9))]


def test_letting_go_changes_nothing(rig: Rig) -> None:
    rig.known()
    rig.server.close(0.0)
    rig.control.run()
    assert rig.orders() == []


# ------------------------------------------------------------------------------------------- incidents


def test_poll_that_was_under_way_when_an_order_was_given_is_no_incident(rig: Rig) -> None:
    now = rig.known()
    rig.server.run(now + 1.01)

    def become_active(params: list[Any]) -> str:
        rig.tell(ACTIVE, PARKED)
        return ""

    rig.control.answers["ovsdb-server/disconnect-active-ovsdb-server"] = become_active
    assert rig.carry_out(rig.server.promote) is None
    assert (STATUS, []) in rig.control.asked[5:10], "the poll went first"
    assert rig.server.facts(0.0).role is Role.ACTIVE
    rig.poll_again(now + 1.01)
    assert (rig.server.facts(0.0).role, rig.server.incidents) == (Role.ACTIVE, [])


@pytest.mark.parametrize(
    ("status", "source", "words"),
    [(ACTIVE, PARKED, "found active"), (AS_COPY, PEER, f"found backup of {PEER}")],
)
def test_role_that_nobody_ordered_is_one_incident(rig: Rig, status: str, source: str, words: str) -> None:
    now = rig.known()
    rig.tell(status, source)
    rig.poll_again(now)
    rig.poll_again(now + 2)
    (incident,) = rig.server.incidents
    assert words in incident
    assert f"ordered backup of {PARKED}" in incident


def test_replication_that_begins_or_breaks_is_no_incident(rig: Rig) -> None:
    rig.tell(AS_COPY, PEER)
    now = rig.known()
    rig.tell(f"state: backup\nnot connected to {PEER}\n", PEER)
    rig.poll_again(now)
    assert (rig.server.facts(0.0).replicating, rig.server.incidents) == (False, [])
