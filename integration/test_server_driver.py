"""The driver of the local server against real ones: its roles, its remotes, its life and its death."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

import rpc
import seed
from driven import AT_ONCE, HANG, HEARTBEAT, PATIENCE, STAMP, Local, ended, local
from ovsha.core.facts import Life, Role, Stamp
from ovsha.core.facts import Server as Facts
from ovsha.core.lineage import PARKED
from real_server import LIMIT, needs_ovs

pytestmark = needs_ovs


@pytest.fixture
def server(stack: ExitStack, tmp_path: Path) -> Local:
    """Start one as a pair's server is started."""
    made = local(stack, tmp_path / "sw1")
    made.start()
    return made


def test_safe_start_is_seen_as_backup_of_the_address_that_cannot_answer(server: Local) -> None:
    known = server.known()
    assert known.schema is not None
    assert known.schema.name == "hardware_vtep"
    assert known == Facts(
        life=Life.UP, role=Role.BACKUP, source=PARKED, loaded=True, cells=known.cells, schema=known.schema,
        process=known.process,
    )  # fmt: skip
    assert f":{server.driver.pid}:" in known.process
    assert server.driver.incidents == []


def test_promoted_server_is_stamped_opened_and_shut_again(server: Local) -> None:
    server.known()
    server.order(server.driver.promote)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        server.real.fill(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
        server.until(lambda: server.driver.contents.managers)
        server.order(lambda done: server.driver.stamp(STAMP, done))
        server.order(lambda done: server.driver.commit((3, 1), done))
        server.order(lambda done: server.driver.open(server.driver.managers, done))
        controller = listener.accept()[0]
    server.order(lambda done: server.driver.open(server.driver.listener, done))
    client = server.client()
    server.until(lambda: server.facts.controllers == 1)
    facts = server.facts
    assert (facts.role, facts.stamp, facts.token) == (Role.ACTIVE, STAMP, (3, 1))
    assert (facts.managers_open, facts.listener_open) == (True, True)
    assert {server.driver.managers, server.driver.listener} <= set(server.remotes())
    server.order(lambda done: server.driver.shut(server.driver.managers, done))
    server.order(lambda done: server.driver.shut(server.driver.listener, done))
    assert ended(controller)
    assert ended(client)
    assert (server.facts.managers_open, server.facts.listener_open) == (False, False)
    assert not {server.driver.managers, server.driver.listener} & set(server.remotes())
    assert server.driver.incidents == []


def test_stamp_and_tokens_can_follow_each_other_on_a_blank_database(server: Local) -> None:
    server.known()
    server.order(server.driver.promote)
    outcomes: list[str | None] = []
    server.driver.stamp(STAMP, outcomes.append)
    server.until(lambda: outcomes)
    server.driver.commit((3, 1), outcomes.append)
    server.driver.commit((3, 2), outcomes.append)
    server.until(lambda: len(outcomes) == 3)
    assert outcomes == [None] * 3
    assert (server.facts.stamp, server.facts.token) == (STAMP, (3, 2))
    assert len(rpc.select(server.real.socket, "Global", "other_config")) == 1


def test_a_backup_refuses_to_be_stamped_and_says_why(server: Local) -> None:
    outcomes: list[str | None] = []
    server.known()
    server.driver.stamp(STAMP, outcomes.append)
    server.until(lambda: outcomes)
    assert "read only" in (outcomes[0] or "")


def test_demotion_evicts_every_session_and_keeps_the_data(server: Local) -> None:
    server.serve()
    client = server.client()
    server.order(server.driver.park)
    assert ended(client)
    facts = server.known()
    assert (facts.role, facts.source, facts.stamp) == (Role.BACKUP, PARKED, STAMP)
    assert "state: backup" in server.roles()
    assert server.driver.incidents == []


def test_backup_copies_whom_it_follows_and_keeps_that_when_it_is_parked(
    server: Local, stack: ExitStack, tmp_path: Path
) -> None:
    server.serve()
    other = local(stack, tmp_path / "sw2")
    other.start()
    assert other.known().stamp is None
    other.order(lambda done: other.driver.follow(server.address, done))
    other.until(lambda: other.facts.replicating and other.facts.stamp == STAMP)
    assert other.facts.source == server.address
    server.order(lambda done: server.driver.commit((3, 5), done))
    other.until(lambda: other.facts.token == (3, 5))
    other.order(other.driver.park)
    server.order(lambda done: server.driver.commit((3, 6), done))
    other.until(lambda: other.driver.status_line == f"connecting: {PARKED}")
    assert (other.facts.source, other.facts.token) == (PARKED, (3, 5))
    assert (server.driver.incidents, other.driver.incidents) == ([], [])


def test_backup_can_be_pointed_at_another_source_and_back(server: Local, stack: ExitStack, tmp_path: Path) -> None:
    server.serve()
    third, other = local(stack, tmp_path / "sw3"), local(stack, tmp_path / "sw2")
    third.start()
    third.known()
    third.order(third.driver.promote)
    third.order(lambda done: third.driver.stamp(Stamp(9, "sw3"), done))
    other.start()
    other.known()
    for source, stamp in ((server, STAMP), (third, Stamp(9, "sw3")), (server, STAMP)):
        other.order(lambda done, source=source: other.driver.follow(source.address, done))  # type: ignore[misc]
        other.until(lambda stamp=stamp: other.facts.replicating and other.facts.stamp == stamp)  # type: ignore[misc]
    assert other.driver.incidents == []


def test_role_changed_by_hand_is_one_incident_however_often_it_is_polled(server: Local) -> None:
    server.known()
    server.real.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    server.until(lambda: server.driver.incidents)
    assert server.facts.role is Role.ACTIVE
    for verb, opened in (("add-remote", True), ("remove-remote", False)):  # each is seen by a later poll
        server.real.appctl(f"ovsdb-server/{verb}", server.driver.listener)
        server.until(lambda opened=opened: server.facts.listener_open is opened)  # type: ignore[misc]
    (incident,) = server.driver.incidents
    assert incident == f"ovsdb-server was found active, but was ordered backup of {PARKED}"


def test_backup_that_cannot_copy_and_makes_itself_active_is_found_at_once(
    server: Local, stack: ExitStack, tmp_path: Path
) -> None:
    server.serve()
    newer = seed.newer_schema(tmp_path / "newer.ovsschema")
    subprocess.run(["ovsdb-client", "convert", f"unix:{server.real.socket}", str(newer)], check=True)
    other = local(stack, tmp_path / "sw2")
    other.start()
    other.known()
    other.order(lambda done: other.driver.follow(server.address, done))
    assert other.until(lambda: other.driver.incidents) < AT_ONCE / 2
    assert other.facts.role is Role.ACTIVE
    assert "state: active" in other.roles()


def test_backup_that_takes_writes_is_found_before_its_role_is_asked_for_again(server: Local) -> None:
    server.known()
    server.order(server.driver.park)  # and the role is asked for at once
    server.until(lambda: server.driver.status_line == f"connecting: {PARKED}")
    server.real.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    assert server.until(lambda: server.driver.incidents) < AT_ONCE * 0.8


def test_killed_server_is_down_at_once(server: Local) -> None:
    server.serve()
    server.real.signal(signal.SIGKILL)
    assert server.until(lambda: server.facts.life is Life.DOWN, heartbeat=LIMIT) < AT_ONCE
    server.until(lambda: server.driver.pid is None, heartbeat=LIMIT)
    assert server.facts == Facts(life=Life.DOWN)
    assert [life for _, life in server.lives[-2:]] == [Life.UP, Life.DOWN]


def test_server_started_again_is_found_by_its_new_pid_in_its_new_role(server: Local) -> None:
    server.serve()
    before = server.driver.pid
    server.real.kill()
    server.until(lambda: server.facts.life is Life.DOWN)
    server.start()
    server.until(lambda: server.facts.life is Life.UP and server.facts.loaded)
    assert server.driver.pid == server.real.pid != before
    facts = server.facts
    assert (facts.role, facts.source, facts.stamp) == (Role.BACKUP, PARKED, STAMP)
    assert (facts.managers_open, facts.listener_open) == (False, False)
    assert server.driver.incidents == []


def test_server_replaced_between_two_turns_is_taken_for_a_new_one(server: Local) -> None:
    server.serve()
    server.real.kill()
    server.start()
    server.until(lambda: server.driver.pid == server.real.pid and server.facts.life is Life.UP)
    assert (server.facts.role, server.driver.incidents) == (Role.BACKUP, [])


def test_stopped_server_is_hung_and_up_again_when_it_goes_on(server: Local) -> None:
    server.serve()
    server.real.signal(signal.SIGSTOP)
    assert server.until(lambda: server.facts.life is Life.HUNG) >= PATIENCE - HEARTBEAT
    facts = server.facts
    assert (facts.role, facts.managers_open) == (Role.ACTIVE, True), "what was known stays known"
    server.real.signal(signal.SIGCONT)
    assert server.until(lambda: server.facts.life is Life.UP) < LIMIT
    assert (server.facts.role, server.facts.loaded, server.driver.incidents) == (Role.ACTIVE, True, [])


def test_server_that_works_on_a_big_transaction_is_busy_and_never_hung(server: Local) -> None:
    server.known()
    server.order(server.driver.promote)
    server.real.fill(rows=20_000)
    busy, scans = 0.0, 50
    while busy <= HANG:
        # Twice the work, until the server is silent for long enough to prove anything, however fast the machine is.
        scans *= 2
        busy = longest_busy(server, scans)
    assert server.driver.incidents == []


def longest_busy(server: Local, scans: int) -> float:
    """Have the server look through all its rows so many times; return for how many seconds it was busy in a row."""
    scan = {"op": "select", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", "none"]], "columns": ["MAC"]}
    server.known()
    server.lives.clear()
    work = threading.Thread(
        target=rpc.transact, args=(server.real.socket, *[scan] * scans), kwargs={"limit": 10 * LIMIT}
    )
    work.start()
    try:
        server.until(lambda: not work.is_alive() and server.facts.life is Life.UP, limit=10 * LIMIT)
    finally:
        work.join()
    assert {life for _, life in server.lives} <= {Life.UP, Life.BUSY}
    return max((end - begin for (begin, life), (end, _) in pairwise(server.lives) if life is Life.BUSY), default=0.0)


def test_orders_left_by_the_fence_are_carried_out_before_anything_else_when_a_hung_server_wakes(server: Local) -> None:
    server.serve()
    client = server.client()
    server.real.signal(signal.SIGSTOP)
    server.until(lambda: server.facts.life is Life.HUNG)
    server.driver.fence()
    assert server.facts.fenced
    server.until(lambda: server.facts.life is Life.HUNG)
    client.sendall(b'{"method": "echo", "params": [], "id": 0}')
    server.real.signal(signal.SIGCONT)
    assert ended(client), "the driver has had no turn since"
    assert "state: backup" in server.roles()
    assert not {server.driver.managers, server.driver.listener} & set(server.remotes())
    facts = server.known()
    assert (facts.role, facts.source, facts.fenced, facts.stamp) == (Role.BACKUP, PARKED, False, STAMP)
    assert (facts.managers_open, facts.listener_open) == (False, False)
    assert server.driver.incidents == []
