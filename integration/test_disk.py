"""A disk is full, read-only or closed: the agent says so, makes nothing worse, and goes on when that is mended."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import disk
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_copy,
    await_every_row,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    counter,
    is_read_only,
    log,
    lost,
    serves,
    snapshots,
    standing,
    undisturbed,
)
from switch import PARKED, Switch

NO_POWER_OVER_FILES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Runs a program as a root whom permissions bind."""

MANUAL = {"restore": {"mode": "manual"}}


def source(switch: Switch) -> str:
    return switch.appctl("ovsdb-server/get-active-ovsdb-server").strip()


def snapshot_directory(switch: Switch) -> Path:
    return switch.directory / "state" / "snapshots"


def restart_server(switch: Switch) -> None:
    switch.server.kill()
    switch.server.start()


def test_backup_without_a_usable_disk_erases_nothing_and_rejoins_when_it_is_mended(
    lab: MakeLab, stack: ExitStack
) -> None:
    pair = lab(overrides={"replication": {"token_interval": 0.3}})
    state, database = disk.for_state(stack, pair.sw2), disk.for_database(stack, pair.sw2)
    pair.start_controller(rate=200.0)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    place = str(pair.sw2.directory)

    # No room for the snapshot.
    held = snapshots(pair.sw2)
    state.fill()
    with undisturbed(pair):
        restart_server(pair.sw2)
        rows = pair.sw2.rows()
        await_problem(pair, pair.sw2, "cannot take a snapshot", f"{place}/state/snapshots", "free some there")
        await_problem(pair, pair.sw2, "disk", f"the disk of {place}/state", "free some there")
    assert (source(pair.sw2), pair.sw2.rows(), snapshots(pair.sw2)) == (PARKED, rows, held)
    await_word(pair, pair.sw2, "nothing is erased without one")
    state.free()
    await_copy(pair, pair.sw2)

    # The disk of the state and of the snapshots is read-only when the switch has booted.
    with undisturbed(pair):
        pair.sw2.agent.kill()
        state.make_read_only()
        pair.sw2.agent.start()
        restart_server(pair.sw2)
        rows = pair.sw2.rows()
        await_problem(pair, pair.sw2, "cannot take a snapshot", f"{place}/state", "Read-only file system")
        await_problem(pair, pair.sw2, "disk", f"{place}/state", "is read-only", "make it writable")
    assert (source(pair.sw2), pair.sw2.rows()) == (PARKED, rows)
    state.make_writable(pair.sw2.agent)
    await_copy(pair, pair.sw2)

    # The agent may not write there.
    snapshot_directory(pair.sw2).chmod(0)
    with undisturbed(pair):
        pair.sw2.agent.kill()
        pair.sw2.agent_under = NO_POWER_OVER_FILES
        pair.sw2.agent.start()
        restart_server(pair.sw2)
        rows = pair.sw2.rows()
        await_problem(pair, pair.sw2, "cannot take a snapshot", f"{place}/state/snapshots", "Permission denied")
    assert (source(pair.sw2), pair.sw2.rows()) == (PARKED, rows)
    snapshot_directory(pair.sw2).chmod(0o700)
    await_copy(pair, pair.sw2)

    # The disk of the database is full while it is being copied to: ovsdb-server makes itself active.
    before = counter(pair.sw2, "incidents")
    with undisturbed(pair):
        rows = pair.sw2.rows()
        database.fill()
        pair.wait_until(lambda: counter(pair.sw2, "incidents") == before + 1, LIMIT, "it is noticed")
        await_problem(pair, pair.sw2, "cannot take a snapshot", f"{place}/disk/conf.db", "free some there")
    assert is_read_only(pair.sw2)
    assert source(pair.sw2) == PARKED
    assert rows <= pair.sw2.rows(), "the copy it had was not erased for one that it could not have kept"
    database.free()
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def test_active_side_without_a_usable_disk_keeps_the_service_and_loses_nothing(lab: MakeLab, stack: ExitStack) -> None:
    pair = lab(overrides={"replication": {"token_interval": 0.3}, **MANUAL})
    state, database = disk.for_state(stack, pair.sw1), disk.for_database(stack, pair.sw1)
    other_state = disk.for_state(stack, pair.sw2)
    pair.start_controller(rate=200.0)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    place = str(pair.sw1.directory)

    # The agent cannot write its state: that is no reason to touch the service, not even when it starts anew.
    state.fill()
    with undisturbed(pair):
        await_problem(pair, pair.sw1, "disk", f"the disk of {place}/state", "free some there")
        said = len(log(pair.sw1))
        pair.sw1.agent.kill()
        pair.sw1.agent.start()
        await_word(pair, pair.sw1, "we are the active side", since=said)
    state.free()
    with undisturbed(pair):
        pair.sw1.agent.kill()
        state.make_read_only()
        pair.sw1.agent.start()
        await_problem(pair, pair.sw1, "disk", f"{place}/state", "is read-only")
    state.make_writable(pair.sw1.agent)

    # The database's disk is full: no write is acknowledged, and none that was is lost.
    sessions = standing(pair).controller_sessions
    database.fill()
    await_problem(pair, pair.sw1, "ovsdb-server acknowledges no write", "No space left on device", "conf.db")
    await_problem(pair, pair.sw1, "disk", f"{place}/disk/conf.db", "free some there")
    acknowledged = len(acks(pair))
    assert serves(pair, pair.sw1), "the service was not moved"
    database.free()
    await_rows(pair, 100)
    await_pair(pair, pair.sw1)
    assert standing(pair).controller_sessions == sessions
    assert len(acks(pair)) >= acknowledged + 100
    assert lost(pair, pair.sw1) == []
    await_every_row(pair, pair.sw2)

    # The backup takes over even when its own state cannot be written: the term was reserved before.
    other_state.fill()
    await_problem(pair, pair.sw2, "disk", str(pair.sw2.directory / "state"), "free some there")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 50)
    await_problem(pair, pair.sw2, "state.json", "cannot be written", "free space there")
    other_state.free()
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
