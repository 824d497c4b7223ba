"""A real server is found, driven and seen to die however it was started and whatever became of what names it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import seed
from driven import HANG, PATIENCE, STALL, Local, local
from ovsha.core.facts import Life, Role
from ovsha.ovsdb.process import Places
from ovsha.ovsdb.server import LocalServer
from real_server import Server, needs_ovs, running, wait_until

pytestmark = needs_ovs


def remove(server: Server) -> None:
    server.pidfile.unlink()


def empty(server: Server) -> None:
    server.pidfile.write_text("")


def scribble(server: Server) -> None:
    server.pidfile.write_bytes(b"\xff\xfe\x00\n")


def name_another_program(server: Server) -> None:
    server.pidfile.write_text(str(os.getpid()))


def name_nobody(server: Server) -> None:
    server.pidfile.write_text("4194304\n")


def make_a_directory(server: Server) -> None:
    server.pidfile.unlink()
    server.pidfile.mkdir()


def make_a_loop(server: Server) -> None:
    server.pidfile.unlink()
    server.pidfile.symlink_to(server.pidfile)


SPOILT = (remove, empty, scribble, name_another_program, name_nobody, make_a_directory, make_a_loop)


def dies_seen(server: Local) -> None:
    """Kill it, and wait until that is seen."""
    server.real.kill()
    server.until(lambda: server.facts.life is Life.DOWN)
    assert server.driver.pid is None


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_server_is_driven_and_dies_whatever_became_of_its_pidfile(
    stack: ExitStack, tmp_path: Path, spoil: Callable[[Server], None]
) -> None:
    server = local(stack, tmp_path / "sw1")
    server.start()
    spoil(server.real)
    server.serve()
    assert server.facts.role is Role.ACTIVE
    dies_seen(server)


def test_server_is_found_whose_file_and_sockets_have_long_names_and_whose_file_is_a_link(
    stack: ExitStack, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 110)
    deep.mkdir()
    server = local(stack, deep / "sw1")
    file = deep / "real.db"
    server.real.database.rename(file)
    server.real.database.symlink_to(file)
    server.start()
    remove(server.real)
    server.serve()
    dies_seen(server)


def test_server_whose_lock_was_deleted_is_found_by_its_file(stack: ExitStack, tmp_path: Path) -> None:
    server = local(stack, tmp_path / "sw1")
    server.start()
    (server.real.directory / ".conf.db.~lock~").unlink()
    server.serve()
    dies_seen(server)


def test_server_whose_sockets_are_gone_takes_no_orders_and_its_death_is_seen(stack: ExitStack, tmp_path: Path) -> None:
    server = local(stack, tmp_path / "sw1")
    server.start()
    server.serve()
    server.driver.close(time.monotonic())
    for path in server.real.directory.iterdir():
        if path.suffix in (".pid", ".ctl", ".sock"):
            path.unlink()
    real = server.real
    anew = LocalServer(
        Places(real.database, real.pidfile, real.socket), "hardware_vtep", "", patience=PATIENCE, hang_interval=HANG,
        stall_limit=STALL, elsewhere=server.address,
    )  # fmt: skip
    stack.callback(anew.close, 0.0)
    found = Local(real, anew, server.vip_port, server.replication_port)
    found.until(lambda: found.facts.undriven and found.facts.loaded and found.facts.role)
    facts = found.facts
    assert (facts.life, facts.role) == (Life.UNKNOWN, Role.ACTIVE)
    assert facts.stamp is not None, "its rows are read at the address for the peer"
    dies_seen(found)


def test_another_server_is_neither_watched_nor_driven_where_ours_should_be(stack: ExitStack, tmp_path: Path) -> None:
    server, elsewhere = local(stack, tmp_path / "sw1"), tmp_path / "elsewhere.db"
    seed.blank(elsewhere)
    real = server.real
    command = ["ovsdb-server", "--no-chdir", "-vconsole:off", f"--pidfile={real.pidfile}"]
    command += [f"--remote=punix:{real.socket}", str(elsewhere)]
    environment = os.environ | {"OVS_RUNDIR": str(real.directory)}
    stranger = stack.enter_context(running(*command, env=environment))
    wait_until(real.socket.exists, "the other server")
    server.until(lambda: "does not serve" in server.facts.stranger)
    assert (server.facts.life, server.driver.pid, server.facts.loaded) == (Life.DOWN, None, False)
    assert str(elsewhere) in server.facts.stranger
    assert stranger.poll() is None
