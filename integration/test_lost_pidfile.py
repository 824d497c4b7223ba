"""A server that is not found where it should be lives on and is driven; only one that is dead is replaced.

Its pidfile is lost, its run directory is emptied, another server is in its place; and then the agent is started anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import history
import rpc
import seed
from lab import Lab
from real_server import running
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_copy,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    begin,
    counter,
    named,
    other,
    seconds_with_two,
    serves,
    status,
    undisturbed,
)
from switch import Switch
from topology import PEER
from watch import Watch


def restart_agent(switch: Switch, how: str = "stop") -> None:
    """End the agent and start it anew."""
    switch.agent.kill() if how == "kill" else switch.agent.stop()
    switch.agent.start()


def await_agent(lab: Lab, switch: Switch) -> None:
    """Wait until the agent has been up for long enough to have decided something."""
    lab.wait_until(lambda: status(switch)["uptime"] > 3.0, LIMIT, f"the agent on {switch.node} runs")


def empty_run_directory(switch: Switch) -> None:
    """Take away all that the server has in its run directory; what the agent and clagd have there stays."""
    for path in switch.run_directory.iterdir():
        if path.name.startswith(("ovsdb-server.", "db.sock")):
            path.unlink()


@contextlib.contextmanager
def the_others_notice_nothing(lab: Lab, switch: Switch, rows: int = 50) -> Iterator[None]:
    """Hold that nobody outside notices what happens on `switch`, whose server cannot be asked where it should be."""

    def seen() -> tuple[object, ...]:
        events = history.read(lab.controller_events_file)
        losses = [sum(e.kind == "lost" for e in history.read(each.vtepd_events_file)) for each in lab.switches]
        return sum(event.kind == "accepted" for event in events), losses, switch.vip_present()

    peer = named(lab, PEER[switch.node])
    before, written = seen(), len(acks(lab))
    with Watch(peer) as watched:
        yield
        await_rows(lab, rows)
    assert seen() == before
    assert {ack.switch for ack in acks(lab)[written:]} == {acks(lab)[written - 1].switch}
    assert not watched.active or serves(lab, peer)
    assert seconds_with_two(lab) == 0


SPOILT: dict[str, Callable[[Lab, Switch], object]] = {
    "removed": lambda lab, switch: pidfile(switch).unlink(),
    "emptied": lambda lab, switch: pidfile(switch).write_text(""),
    "of the other server": lambda lab, switch: pidfile(switch).write_text(str(other(lab, switch).server.pid)),
}


def pidfile(switch: Switch) -> Path:
    return switch.run_directory / "ovsdb-server.pid"


def test_server_whose_pidfile_is_lost_is_driven_as_ever_and_its_death_is_seen_at_once(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        pidfile(pair.sw1).unlink()
        restart_agent(pair.sw1)
        await_agent(pair, pair.sw1)
    assert status(pair.sw1)["sides"]["sw1"]["life"] == "up"
    checked = pair.sw1.ovsha("check", "server")
    assert checked.returncode in (0, 1), checked.stdout
    moved = pair.sw1.ovsha("switchover", "--yes", "--to", "sw2", "--reason", "it is driven")
    assert moved.returncode == 0, moved.stderr
    await_pair(pair, pair.sw2)
    assert seconds_with_two(pair) == 0


def test_server_whose_run_directory_was_emptied_serves_on_and_its_death_is_seen(lab: MakeLab) -> None:
    pair = begin(lab)
    with the_others_notice_nothing(pair, pair.sw1):
        empty_run_directory(pair.sw1)
        restart_agent(pair.sw1)
        await_agent(pair, pair.sw1)
        await_problem(pair, pair.sw1, "takes no orders", "restart ovsdb-server on sw1")
        await_problem(pair, pair.sw2, "sw1 takes no orders", "restart ovsdb-server on sw1")
        refused = pair.sw1.ovsha("switchover", "--yes", "--to", "sw2", "--reason", "impatience")
        assert (refused.returncode, "takes no orders" in refused.stderr) == (1, True)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
    assert seconds_with_two(pair) == 0


def lose_the_lock(switch: Switch) -> None:
    """Take away the run directory's files and the lock."""
    empty_run_directory(switch)
    lock(switch).unlink()


def move_the_database(switch: Switch, copy: bool) -> None:
    """Move the database to another directory, or disk, and put a link in its place; the lock stays where it was."""
    empty_run_directory(switch)
    place = switch.directory / "disk2"
    place.mkdir()
    (shutil.copy if copy else os.rename)(switch.database, place / "conf.db")
    switch.database.unlink(missing_ok=True)
    switch.database.symlink_to(place / "conf.db")


def put_pipes(switch: Switch) -> None:
    """Put pipes that nobody writes to in the place of pidfile, database socket and lock."""
    for path in (pidfile(switch), switch.run_directory / "db.sock", lock(switch)):
        path.unlink(missing_ok=True)
        os.mkfifo(path)


def lock(switch: Switch) -> Path:
    return switch.database.with_name(f".{switch.database.name}.~lock~")


LOST: dict[str, Callable[[Switch], object]] = {
    "the lock was deleted": lose_the_lock,
    "the database was moved": lambda switch: move_the_database(switch, copy=False),
    "the database was moved to another disk": lambda switch: move_the_database(switch, copy=True),
    "pipes are in their places": put_pipes,
}


@pytest.mark.parametrize(
    "lose",
    [pytest.param(lose, id=name, marks=[pytest.mark.long] * bool(at)) for at, (name, lose) in enumerate(LOST.items())],
)
def test_server_that_only_its_open_files_show_serves_on_and_its_death_is_seen(
    lab: MakeLab, lose: Callable[[Switch], object]
) -> None:
    pair = begin(lab)
    with the_others_notice_nothing(pair, pair.sw1):
        lose(pair.sw1)
        restart_agent(pair.sw1)
        await_agent(pair, pair.sw1)
        assert status(pair.sw1)["sides"]["sw1"]["life"] in ("up", "unknown")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    assert seconds_with_two(pair) == 0


@pytest.mark.long
@pytest.mark.parametrize(("spoilt", "how"), [("removed", "kill"), ("emptied", "stop"), ("of the other server", "kill")])
def test_server_is_driven_on_both_sides_whatever_became_of_its_pidfile(lab: MakeLab, spoilt: str, how: str) -> None:
    pair = begin(lab)
    for switch in pair.switches:
        with undisturbed(pair):
            SPOILT[spoilt](pair, switch)
            restart_agent(switch, how)
            await_agent(pair, switch)
        assert status(switch)["sides"][switch.node]["life"] == "up"
    assert counter(pair.sw2, "incidents") == 0
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)


@pytest.mark.long
def test_backup_whose_run_directory_was_emptied_takes_nothing_over_and_leaves_the_service_to_who_can(
    lab: MakeLab,
) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        empty_run_directory(pair.sw2)
        restart_agent(pair.sw2)
        await_agent(pair, pair.sw2)
        await_problem(pair, pair.sw2, "takes no orders", "cannot take over", "restart ovsdb-server on sw2")
    # Nobody can take over from it; it serves again when it is back, though the other side takes no orders.
    pair.sw1.server.kill()
    pair.sw1.server.start()
    pair.wait_until(lambda: pair.sw1.vip_present() and pair.sw1.role() == "active", LIMIT, "sw1 serves again")
    assert seconds_with_two(pair) == 0
    pair.sw2.server.kill()
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)


@pytest.mark.long
def test_another_server_is_never_driven_in_the_place_of_ours(lab: MakeLab) -> None:
    pair = begin(lab)
    elsewhere = pair.directory / "elsewhere"
    elsewhere.mkdir()
    seed.blank(elsewhere / "conf.db")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    environment = os.environ | {"OVS_RUNDIR": str(pair.sw1.run_directory)}
    command = ["ovsdb-server", "--no-chdir", "-vconsole:off", f"--pidfile={pidfile(pair.sw1)}"]
    command += [f"--remote=punix:{pair.sw1.socket}", str(elsewhere / "conf.db")]
    with running(*command, env=environment) as stranger:
        pair.wait_until(lambda: rpc.call(pair.sw1.socket, "list_dbs", [], 1.0), LIMIT, "the other server answers")
        restart_agent(pair.sw1)
        await_problem(pair, pair.sw1, "ovsdb-server on sw1 is not running", "does not serve")
        await_rows(pair, 50)
        socket = pair.sw1.run_directory / f"ovsdb-server.{stranger.pid}.ctl"
        assert "state: active" in rpc.appctl(socket, "ovsdb-server/sync-status", limit=1.0), "nobody has parked it"
        assert rpc.select(pair.sw1.socket, "Global", "other_config", limit=1.0) == [], "nor written into it"
    pidfile(pair.sw1).unlink(missing_ok=True)
    pair.sw1.server.start()
    await_copy(pair, pair.sw1)
    await_pair(pair, pair.sw1)


@pytest.mark.long
def test_lock_that_ovsdb_tool_holds_is_no_server(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    for _ in range(20):
        assert pair.sw1.run("ovsdb-tool", "compact", str(pair.sw1.database)).returncode == 0
    assert status(pair.sw1)["sides"]["sw1"]["life"] == "down"
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)


@pytest.mark.long
@pytest.mark.parametrize("restarted", [False, True], ids=["", "seen by an agent that is started anew"])
def test_server_that_died_and_whose_parent_does_not_care_is_down_and_taken_over_from(
    lab: MakeLab, restarted: bool
) -> None:
    pair = begin(lab)
    pid = pair.sw1.server.pid
    assert pid is not None
    if restarted:
        pair.sw1.agent.kill()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its status is not taken, and so it stays a zombie
    if restarted:
        pair.sw1.agent.start()
    await_problem(pair, pair.sw1, "ovsdb-server on sw1 is not running")
    pair.wait_until(lambda: pair.sw2.role() == "active" and pair.sw2.vip_present(), LIMIT, "sw2 serves")
    await_rows(pair, 25)
    assert not pair.sw1.vip_present()
    assert "ovsdb-server does not run" in pair.sw1.ovsha("check", "server").stdout
    assert " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="ascii"), "it was a zombie all the time"
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
