"""A server is found by the lock of its database, and its death, its standstill and its work are seen at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ovs.poller import Poller

from ovsha.ovsdb import process as processes
from ovsha.ovsdb.process import Places, Process
from tests.support.child import child, end, locking, stop, work

LIMIT_MS = 10_000


@pytest.fixture
def pidfile(tmp_path: Path) -> Path:
    return tmp_path / "ovsdb-server.pid"


def places(pidfile: Path) -> Places:
    return Places(pidfile.parent / "conf.db", pidfile, pidfile.parent / "db.sock")


@pytest.fixture
def process(pidfile: Path) -> Iterator[Process]:
    process = Process(places(pidfile))
    yield process
    process.close()


@pytest.fixture
def running(tmp_path: Path, pidfile: Path) -> Iterator[subprocess.Popen[bytes]]:
    with child(tmp_path) as running:
        pidfile.write_text(f"{running.pid}\n")
        yield running


def woken_after(process: Process, now: float) -> float:
    """Block as the loop does; return for how many seconds."""
    poller = Poller()
    process.wait(poller, now)
    poller.timer_wait(LIMIT_MS)
    begun = time.monotonic()
    poller.block()
    return time.monotonic() - begun


def test_process_named_by_the_pidfile_is_found(process: Process, running: subprocess.Popen[bytes]) -> None:
    process.run(0.0)
    assert process.pid == running.pid


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "4194305", "99999999999999999999", "²", "12 13", "\0"])
def test_pidfile_without_a_living_pid_is_no_process(process: Process, pidfile: Path, text: str) -> None:
    assert process.pid is None
    process.run(0.0)
    pidfile.write_text(text)
    process.run(1.0)
    assert (process.pid, process.stopped(), process.cpu_ticks()) == (None, False, None)


def test_pidfile_that_is_not_text_is_no_process(process: Process, pidfile: Path) -> None:
    pidfile.write_bytes(b"\xff\xfe12")
    process.run(0.0)
    assert process.pid is None


def test_old_pidfile_does_not_make_another_program_the_server(process: Process, pidfile: Path) -> None:
    pidfile.write_text(str(os.getpid()))
    process.run(0.0)
    assert process.pid is None


def test_name_is_compared_as_far_as_the_kernel_keeps_it(tmp_path: Path, pidfile: Path) -> None:
    with child(tmp_path, "a-server-with-a-long-name") as running:
        pidfile.write_text(str(running.pid))
        process = Process(places(pidfile), "a-server-with-a-long-name")
        process.run(0.0)
        assert process.pid == running.pid
        process.close()


def test_death_wakes_the_loop_and_is_seen_in_the_next_turn(process: Process, running: subprocess.Popen[bytes]) -> None:
    process.run(0.0)
    end(running)
    assert woken_after(process, 0.0) < LIMIT_MS / 2000
    process.run(0.0)
    assert process.pid is None


def test_dead_process_whose_status_nobody_took_is_not_found_again(
    process: Process, running: subprocess.Popen[bytes]
) -> None:
    end(running)
    process.run(0.0)
    assert process.pid is None


def test_successor_is_found_in_the_turn_that_sees_the_death(
    process: Process, running: subprocess.Popen[bytes], tmp_path: Path, pidfile: Path
) -> None:
    process.run(0.0)
    with child(tmp_path) as successor:
        pidfile.write_text(str(successor.pid))
        process.run(0.0)
        assert process.pid == running.pid, "it lives, whatever the pidfile says"
        end(running)
        process.run(0.0)
        assert process.pid == successor.pid


def test_while_there_is_no_process_the_loop_wakes_to_look_for_one(process: Process, pidfile: Path) -> None:
    process.run(5.0)
    assert woken_after(process, 5.0) < LIMIT_MS / 2000


def test_standstill_is_seen(process: Process, running: subprocess.Popen[bytes]) -> None:
    process.run(0.0)
    assert not process.stopped()
    stop(running)
    assert process.stopped()


def test_name_that_looks_like_a_state_deceives_nobody(tmp_path: Path, pidfile: Path) -> None:
    with child(tmp_path, "x) T 1 (") as running:
        pidfile.write_text(str(running.pid))
        process = Process(places(pidfile), "x) T 1 (")
        process.run(0.0)
        assert process.pid == running.pid
        assert not process.stopped()
        stop(running)
        assert process.stopped()
        process.close()


def test_work_shows_as_processor_time_and_idleness_does_not(process: Process, running: subprocess.Popen[bytes]) -> None:
    process.run(0.0)
    stop(running)
    assert process.cpu_ticks() == process.cpu_ticks()
    running.send_signal(signal.SIGCONT)
    work(running, process.cpu_ticks)


def test_processor_time_of_a_process_that_is_gone_is_unknown(
    process: Process, running: subprocess.Popen[bytes]
) -> None:
    process.run(0.0)
    running.kill()
    running.wait()
    assert (process.cpu_ticks(), process.stopped()) == (None, False)


def test_closing_leaves_no_descriptor(pidfile: Path, running: subprocess.Popen[bytes]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    process = Process(places(pidfile))
    process.run(0.0)
    process.close()
    assert process.pid is None
    assert sorted(os.listdir("/proc/self/fd")) == before


# ------------------------------------------------------------------------------------------- by its lock


def make_directory(pidfile: Path) -> None:
    pidfile.mkdir()


def make_unreadable(pidfile: Path) -> None:
    pidfile.symlink_to(pidfile)


def make_a_pipe(pidfile: Path) -> None:
    os.mkfifo(pidfile)


PIDFILES: dict[str, Callable[[Path], object]] = {
    "gone": lambda pidfile: None,
    "emptied": lambda pidfile: pidfile.write_text(""),
    "scribbled over": lambda pidfile: pidfile.write_bytes(b"\xff\x00 none"),
    "of a dead process": lambda pidfile: pidfile.write_text("4194304"),
    "of another program": lambda pidfile: pidfile.write_text(str(os.getpid())),
    "a directory": make_directory,
    "unreadable": make_unreadable,
    "a pipe without an end": make_a_pipe,
}


@pytest.mark.parametrize("spoil", PIDFILES.values(), ids=PIDFILES)
def test_server_is_found_by_its_lock_whatever_became_of_the_pidfile(
    pidfile: Path, process: Process, spoil: Callable[[Path], object]
) -> None:
    spoil(pidfile)
    with locking(places(pidfile).file) as running:
        process.run(0.0)
        assert process.pid == running.pid
        assert not process.ended()
        end(running)
        assert process.ended()
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (None, "")


def test_lock_counts_more_than_a_pidfile_that_names_another_server(process: Process, pidfile: Path) -> None:
    elsewhere = pidfile.parent / "other"
    elsewhere.mkdir()
    with child(elsewhere) as other:
        pidfile.write_text(str(other.pid))
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (None, "")
        assert process.sight.stranger.startswith(f"{pidfile} is of ovsdb-server {other.pid}, which does not serve")
        assert process.other(other.pid)
        with locking(places(pidfile).file) as running:
            process.run(1.0)
            assert process.pid == running.pid
            assert not process.other(running.pid)


def test_lock_held_by_ovsdb_tool_is_no_server(process: Process, pidfile: Path) -> None:
    with locking(places(pidfile).file, "ovsdb-tool"):
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (None, "")


def test_lock_is_found_through_symbolic_links_and_in_a_directory_with_a_long_name(
    process: Process, pidfile: Path
) -> None:
    deep = pidfile.parent / ("d" * 120)
    deep.mkdir()
    file = places(pidfile).file
    file.symlink_to(deep / "real.db")
    assert processes.lock_of(file) == deep / ".real.db.~lock~"
    with locking(file) as running:
        process.run(0.0)
        assert process.pid == running.pid


def test_who_accepts_is_told_on_a_socket_with_a_long_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    assert processes.listener(deep / "db.sock") is None
    assert processes.listener(deep / "none" / "db.sock") is None
    with socket.socket(socket.AF_UNIX) as accepting:
        descriptor = os.open(deep, os.O_PATH)
        accepting.bind(f"/proc/self/fd/{descriptor}/db.sock")
        os.close(descriptor)
        assert processes.listener(deep / "db.sock") is None
        accepting.listen()
        assert processes.listener(deep / "db.sock") == os.getpid()


def test_to_look_at_a_lock_does_not_take_it(tmp_path: Path) -> None:
    file = tmp_path / "conf.db"
    processes.lock_of(file).touch()
    assert processes.lock_holder(file) is None
    with locking(file) as running:
        assert [processes.lock_holder(file) for _ in range(3)] == [running.pid] * 3


def lose_the_name(file: Path) -> None:
    """Rename a file; another one takes its name."""
    file.rename(file.with_name("old.db"))
    file.write_text("")


def link_from_another_disk(file: Path) -> None:
    """Copy a file to another place, and put a link to it in its place: what a server has open is deleted."""
    (file.parent / "disk2").mkdir()
    (file.parent / "disk2" / "conf.db").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(file.parent / "disk2" / "conf.db")


def pipes(file: Path) -> None:
    """Put pipes that nobody writes to in the place of lock, pidfile and socket."""
    for path in (processes.lock_of(file), file.with_name("ovsdb-server.pid"), file.with_name("db.sock")):
        os.mkfifo(path)


LOST: dict[str, Callable[[Path], object]] = {
    "nothing more": lambda file: None,
    "the file was deleted": lambda file: file.unlink(),
    "the file was moved, and a new one is there": lose_the_name,
    "the file was moved to another disk": link_from_another_disk,
    "pipes are in their places": pipes,
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_server_lives_whatever_became_of_lock_and_pidfile_and_socket(
    tmp_path: Path, pidfile: Path, process: Process, lose: Callable[[Path], object]
) -> None:
    with child(tmp_path) as server:
        lose(tmp_path / "conf.db")
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (server.pid, "")
        end(server)
        process.run(0.05)
        assert process.pid is None


@pytest.mark.parametrize("lose", [lose for lose in LOST.values() if lose is not lose_the_name])
def test_server_whose_command_line_says_nothing_is_known_by_the_file_that_it_has_open(
    tmp_path: Path, process: Process, lose: Callable[[Path], object]
) -> None:
    with child(tmp_path, says=False) as server:
        lose(tmp_path / "conf.db")
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (server.pid, "")


def searched(file: Path, *under: str) -> str:
    """Return what the search of a process finds that runs `under` a command; skips where that cannot be."""
    words = (sys.executable, "-c", "import sys; from pathlib import Path; from ovsha.ovsdb import process as search\n"
             "print(search.server_of(Path(sys.argv[1]), 'ovsdb-server'))", str(file))  # fmt: skip
    seen = subprocess.run((*under, *words), capture_output=True, text=True, check=False)
    if seen.returncode:
        pytest.skip(f"{' '.join(under)} cannot be had here: {seen.stderr}")
    return seen.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, of which something is taken away")
def test_server_whose_files_are_hidden_may_be_ours(tmp_path: Path) -> None:
    hidden = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
    with child(tmp_path, says=False) as server:
        why = f"ovsdb-server {server.pid} runs, whose files cannot be seen: Permission denied"
        assert searched(tmp_path / "conf.db", *hidden) == str((None, why))
    with child(tmp_path) as server:
        assert searched(tmp_path / "conf.db", *hidden) == str((server.pid, "")), "its command line tells"
        assert searched(tmp_path / "other.db", *hidden) == str((None, "")), "and that it is another's"


def test_server_of_another_database_is_not_found_by_the_search(tmp_path: Path, process: Process) -> None:
    (tmp_path / "elsewhere").mkdir()
    with child(tmp_path / "elsewhere"):
        process.run(0.0)
        assert (process.pid, process.sight.unsure) == (None, "")


def test_same_path_in_another_network_namespace_is_another_server(tmp_path: Path) -> None:
    file = tmp_path / "conf.db"
    with child(tmp_path) as server:
        file.unlink()
        assert processes.server_of(file, "ovsdb-server") == (server.pid, "")
        assert searched(file, "unshare", "--net") == str((None, ""))
