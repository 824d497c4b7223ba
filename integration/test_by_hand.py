"""Somebody changes by hand what the agents look after: it is put right, and counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import history
import rpc
import settings
from lab import Lab
from service import Service
from story import (
    LIMIT,
    LISTENER,
    MANAGERS,
    MakeLab,
    acks,
    await_every_row,
    await_one,
    await_pair,
    await_rows,
    begin,
    counter,
    is_read_only,
    open_here,
    serves,
    undisturbed,
)
from switch import HERE, PARKED, Switch
from topology import CTL, MANAGEMENT_ADDRESS


def source_of(switch: Switch) -> str:
    return f"tcp:{switch.address}:{settings.REPLICATION_PORT}"


def make_active(switch: Switch) -> None:
    switch.appctl("ovsdb-server/disconnect-active-ovsdb-server")


def make_backup(switch: Switch, source: str) -> None:
    switch.appctl("ovsdb-server/set-active-ovsdb-server", source)
    switch.appctl("ovsdb-server/connect-active-ovsdb-server")


def incidents(pair: Lab) -> list[int]:
    return [counter(switch, "incidents") for switch in pair.switches]


def test_a_vip_that_was_deleted_is_put_back_and_the_daemons_are_back(lab: MakeLab) -> None:
    pair = begin(lab)
    sessions = {ack.session for ack in acks(pair)}
    for _ in range(3):
        pair.sw1.run("ip", "address", "del", f"{settings.VIP}/32", "dev", "peerlink.4094")
        pair.wait_until(pair.sw1.vip_present, LIMIT, "the VIP is put back")
        await_pair(pair, pair.sw1)
    assert {ack.session for ack in acks(pair)} == sessions, "the controller noticed nothing"


def test_a_vip_that_was_added_to_the_backup_too_is_taken_away(lab: MakeLab) -> None:
    pair = begin(lab)
    for interface in ("peerlink.4094", "lo"):
        pair.sw2.run("ip", "address", "add", f"{settings.VIP}/32", "dev", interface)
        pair.wait_until(lambda: not pair.sw2.vip_present(), LIMIT, "the second VIP is gone")
    await_pair(pair, pair.sw1)


@pytest.mark.parametrize("remote", [MANAGERS, LISTENER], ids=["managers", "listener"])
def test_a_remote_that_was_removed_from_the_active_side_is_put_back(lab: MakeLab, remote: str) -> None:
    pair = begin(lab)
    pair.sw1.appctl("ovsdb-server/remove-remote", remote)
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)


def test_a_remote_that_was_added_to_the_backup_is_taken_away(lab: MakeLab) -> None:
    pair = begin(lab)
    for remote in (MANAGERS, "ptcp:9998:0.0.0.0"):
        pair.sw2.appctl("ovsdb-server/add-remote", remote)
        if remote == MANAGERS:
            pair.wait_until(lambda: not open_here(pair.sw2), LIMIT, "it is taken away")
    await_pair(pair, pair.sw1)


def test_a_backup_that_was_made_active_becomes_a_copy_again_and_nobody_notices(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        make_active(pair.sw2)
        rpc.transact(pair.sw2.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "by-hand"}})
        pair.wait_until(lambda: is_read_only(pair.sw2), LIMIT, "it is read-only again")
        pair.wait_until(lambda: pair.sw2.replicates_from() == source_of(pair.sw1), LIMIT, "it follows again")
        assert "by-hand" not in {row["name"] for row in rpc.select(pair.sw2.socket, "Logical_Switch", "name")}
    assert incidents(pair) == [0, 1]
    await_every_row(pair, pair.sw2)


def test_a_backup_that_was_pointed_elsewhere_is_pointed_back(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        make_backup(pair.sw2, PARKED)
        pair.wait_until(lambda: counter(pair.sw2, "incidents") == 1, LIMIT, "it is noticed")
        pair.wait_until(lambda: pair.sw2.replicates_from() == source_of(pair.sw1), LIMIT, "it follows again")
    await_pair(pair, pair.sw1)


def test_an_active_server_that_was_made_a_backup_of_nobody_serves_again(lab: MakeLab) -> None:
    pair = begin(lab)
    make_backup(pair.sw1, PARKED)
    pair.wait_until(lambda: incidents(pair) == [1, 0], LIMIT, "it is noticed")
    serving = await_one(pair)
    await_rows(pair, 25)
    await_every_row(pair, serving)


def test_two_servers_that_were_made_to_follow_each_other_are_taken_apart(lab: MakeLab) -> None:
    pair = begin(lab)
    make_backup(pair.sw1, source_of(pair.sw2))
    pair.wait_until(lambda: counter(pair.sw1, "incidents") == 1, LIMIT, "it is noticed")
    serving = await_one(pair)
    await_rows(pair, 25)
    assert pair.seeded <= serving.rows()


def test_the_sessions_follow_the_manager_rows_on_the_active_side_only(lab: MakeLab) -> None:
    pair = begin(lab)
    record = pair.directory / "second.events"
    second = second_controller(pair, record)
    second.start()
    with undisturbed(pair):
        add_manager(pair.sw1, f"tcp:{SECOND[0]}:{SECOND[1]}")
        pair.wait_until(lambda: history.read(record)[-1].kind == "dumped", LIMIT, "the second controller has its dump")
    accepted = [event.fields["switch"] for event in history.read(record) if event.kind == "accepted"]
    assert accepted == [pair.sw1.management_address]
    remove_manager(pair.sw1, pair.manager)
    pair.wait_until(lambda: not pair.sw1.manager_sessions(), LIMIT, "the session with the first controller is closed")
    assert serves(pair, pair.sw1)
    before = len(acks(pair))
    add_manager(pair.sw1, pair.manager)
    pair.wait_until(lambda: len(acks(pair)) > before, LIMIT, "the first controller writes again")
    await_pair(pair, pair.sw1)
    second.kill()


SECOND = (MANAGEMENT_ADDRESS[CTL], 6641)


def second_controller(pair: Lab, record: Path) -> Service:
    """Return a controller on another port, which as good as never writes."""
    command = [*pair.network.entering(CTL), sys.executable, str(HERE / "nsx.py"), "--rate", "0.0001"]
    command += ["--listen", f"{SECOND[0]}:{SECOND[1]}", "--events", str(record)]
    command += ["--control", str(pair.directory / "second.control")]
    return Service("the second controller", lambda: command, pair.directory / "second.log", {}, record.exists)


def add_manager(switch: Switch, target: str) -> None:
    insert = {"op": "insert", "table": "Manager", "uuid-name": "new", "row": {"target": target}}
    mutation = ["managers", "insert", ["set", [["named-uuid", "new"]]]]
    rpc.transact(switch.socket, insert, {"op": "mutate", "table": "Global", "where": [], "mutations": [mutation]})


def remove_manager(switch: Switch, target: str) -> None:
    (row,) = (row for row in rpc.select(switch.socket, "Manager", "_uuid", "target") if row["target"] == target)
    mutation = ["managers", "delete", ["set", [row["_uuid"]]]]
    rpc.transact(switch.socket, {"op": "mutate", "table": "Global", "where": [], "mutations": [mutation]})
