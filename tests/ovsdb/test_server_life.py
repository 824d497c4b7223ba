"""Whether the local server lives is read from its process, its connections and its silence together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsha.core.facts import Life, Server
from ovsha.core.lineage import PARKED
from tests.support.child import end, stop, work
from tests.support.endpoint import spin
from tests.support.recorded_server import (
    ACTIVE,
    AS_PARKED,
    HANG,
    LISTENER,
    MANAGERS,
    PATIENCE,
    PEER,
    QUESTIONS,
    SCHEMA,
    STALL,
    STATUS,
    Rig,
    parked_rig,
)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with parked_rig(tmp_path) as rig:
        yield rig


def test_death_of_the_process_ends_everything_that_was_known(rig: Rig) -> None:
    rig.tell(ACTIVE, PEER, f"{MANAGERS}\n{LISTENER}\n")
    rig.known()
    end(rig.process)
    now = rig.until(lambda: rig.server.pid is None)
    assert rig.server.facts(now) == Server(life=Life.DOWN)
    assert rig.server.incidents == []


def test_loss_of_both_connections_tells_of_the_death_before_the_process_is_gone(rig: Rig) -> None:
    rig.known()
    for endpoint in (rig.control, rig.database):
        endpoint.close()
    now = spin(rig.server.run, [], lambda: rig.server.facts(0.0).life is Life.DOWN)
    assert rig.server.pid == rig.process.pid
    assert not rig.server.facts(now).loaded


def test_loss_of_one_connection_is_no_death(rig: Rig) -> None:
    rig.known()
    rig.database.hang_up()
    now = spin(rig.server.run, [rig.control], lambda: not rig.server.contents.loaded)
    assert rig.server.facts(now).life is Life.UP
    assert rig.server.facts(rig.known()).loaded


def test_idle_silence_is_busy_at_first_and_hung_when_it_used_no_processor_time(rig: Rig) -> None:
    silent = rig.silence(rig.known())
    assert rig.server.facts(silent + PATIENCE - 0.01).life is Life.UP
    assert rig.server.facts(silent + PATIENCE + 0.01).life is Life.BUSY
    assert rig.server.facts(silent + PATIENCE + HANG - 0.1).life is Life.BUSY
    assert rig.server.facts(silent + PATIENCE + HANG + 0.1).life is Life.HUNG


def test_stopped_process_is_hung_as_soon_as_it_is_silent(rig: Rig) -> None:
    silent = rig.silence(rig.known())
    stop(rig.process)
    assert rig.server.facts(silent + PATIENCE - 0.01).life is Life.UP
    assert rig.server.facts(silent + PATIENCE + 0.01).life is Life.HUNG


def test_silence_with_work_is_busy_until_the_stall_limit(rig: Rig) -> None:
    silent = rig.silence(rig.known())
    for each in range(4):
        assert rig.server.facts(silent + PATIENCE + 0.01 + each * 0.9 * HANG).life is Life.BUSY
        work(rig.process, rig.server._process.cpu_ticks)
    assert rig.server.facts(silent + STALL + 0.1).life is Life.HUNG


def test_answer_ends_the_silence(rig: Rig) -> None:
    silent = rig.silence(rig.known())
    rig.server.facts(silent + PATIENCE + 0.01)
    assert rig.server.facts(silent + PATIENCE + HANG + 0.1).life is Life.HUNG
    rig.control.hang_up()
    rig.database.hang_up()
    rig.tell(AS_PARKED, PARKED)
    rig.database.answers |= {"get_schema": lambda params: SCHEMA, "monitor": lambda params: {}}
    rig.database.answers["list_dbs"] = lambda params: ["_Server", "hardware_vtep"]
    rig.database.answers["echo"] = lambda params: params
    now = rig.known()
    assert rig.server.facts(now).life is Life.UP
    assert rig.server.incidents == []


def test_silent_server_is_asked_one_thing_at_a_time(rig: Rig) -> None:
    rig.database.answers.pop("transact")
    silent = rig.silence(rig.known())

    def methods() -> list[str]:
        return [method for method, _ in rig.database.asked]

    for later in range(1, 30):
        rig.server.run(silent + later)
    rig.until(lambda: "transact" in methods() and rig.control.asked.count((STATUS, [])) == 2)
    assert len(rig.control.asked) == 2 * len(QUESTIONS), "at the beginning, and when it fell silent"
    assert methods() == ["list_dbs", "get_schema", "monitor", "transact"], "a backup is asked whether it takes writes"


def test_fence_leaves_orders_to_close_and_to_park(rig: Rig) -> None:
    rig.tell(ACTIVE, PEER, f"{MANAGERS}\n{LISTENER}\n")
    silent = rig.silence(rig.known())
    rig.server.facts(silent + PATIENCE + 0.01)
    rig.server.fence()
    assert rig.server.facts(silent + PATIENCE + HANG + 0.1).fenced
    rig.control.run()
    assert rig.orders() == [
        ("remove-remote", [MANAGERS]),
        ("remove-remote", [LISTENER]),
        ("set-active-ovsdb-server", [PARKED]),
        ("connect-active-ovsdb-server", []),
        ("reconnect", []),
    ]


def test_fence_opens_with_the_first_answer(rig: Rig) -> None:
    silent = rig.silence(rig.known())
    rig.server.fence()
    assert rig.server.facts(silent + PATIENCE + 0.1).fenced
    end(rig.process)
    now = rig.until(lambda: rig.server.pid is None)
    assert not rig.server.facts(now).fenced


def test_snapshot_counts_only_while_the_server_stays_parked(rig: Rig) -> None:
    now = rig.known()
    rig.server.saved = True
    assert rig.server.facts(now).saved
    rig.carry_out(rig.server.promote)
    assert not rig.server.facts(now).saved
    rig.carry_out(rig.server.park)
    assert not rig.server.facts(now).saved
