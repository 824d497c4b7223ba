"""Laws of the command line: what it prints, what it exits with, and that an error is one line."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsha import __version__
from ovsha.cli import orders
from ovsha.core.facts import Copy
from ovsha.core.view import View
from tests.agent.small_agent import CONFIG, MOVE_HERE, Running, SmallAgent, settings
from tests.support.made_up_pair import ACTIVE_PEER, FOLLOWING

ROOT = Path(__file__).parents[2]
LIMIT = 60


def ovsha(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line as an operator does."""
    defaults = {"capture_output": True, "text": True, "timeout": LIMIT, "cwd": ROOT}
    return subprocess.run([sys.executable, "-m", "ovsha", *map(str, args)], check=False, **{**defaults, **options})


def told(result: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Return the exit status and the one line on the standard error; nothing else may be printed."""
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.returncode, result.stderr.rstrip("\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ovsha.yaml"
    path.write_text(CONFIG.format(directory=tmp_path, timeout=5.0))
    return path


class Asked:
    """An agent that runs here, and the command line that asks it."""

    def __init__(self, directory: Path, file: Path, view: View, stages: tuple[View, ...] = ()) -> None:
        self.running = Running(SmallAgent(settings(directory), view, stages))
        self._file = file

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the agent's configuration."""
        with ThreadPoolExecutor() as pool:
            future = pool.submit(ovsha, *args, "--config", self._file)
            self.running.spin(future, limit=LIMIT)
        return future.result()


@pytest.fixture
def agent(tmp_path: Path, file: Path) -> Iterator[Any]:
    """Start an agent that sees a view and then, once it is ordered to move, others."""
    started: list[Asked] = []

    def start(view: View = FOLLOWING, *stages: View) -> Asked:
        started.append(Asked(tmp_path, file, view, stages))
        return started[-1]

    yield start
    for asked in started:
        asked.running.close()


def test_the_version_is_printed() -> None:
    result = ovsha("--version")
    assert (result.returncode, result.stdout) == (0, f"ovsha {__version__}\n")


def test_sync_status_exits_0_when_the_pair_is_in_sync(agent: Any) -> None:
    result = agent()("sync-status")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nstate: backup\nreplicating: tcp:169.254.0.9:9999\ndatabase: hardware_vtep\n" in result.stdout
    assert result.stdout.endswith("\n\nverdict: in sync\n")


def test_sync_status_exits_1_when_it_is_not(agent: Any) -> None:
    result = agent(replace(FOLLOWING, copy=Copy()))("sync-status")
    assert (result.returncode, result.stderr) == (1, "")
    assert "verdict: sw2 is not in sync: the last token of sw1 has not arrived in time; " in result.stdout


def test_json_is_the_document(agent: Any) -> None:
    here = agent()
    part, whole = (json.loads(here(command, "--json").stdout) for command in ("sync-status", "status"))
    assert (part["schema"], part["in_sync"], part["verdict"]) == (1, True, "in sync")
    assert part["sides"].keys() == whole["sides"].keys() == {"sw1", "sw2"}
    assert whole["rule"] == "peer-serves"


def test_status_exits_1_for_what_only_weakens_the_pair_and_sync_status_does_not(agent: Any) -> None:
    here = agent(replace(FOLLOWING, record=replace(ACTIVE_PEER, vteps=0)))
    assert "DEGRADED: in sync, but no VTEP daemon is attached to sw1" in here("status").stdout
    assert (here("status").returncode, here("sync-status").returncode) == (1, 0)


def test_status_exits_0_when_nothing_is_wrong(agent: Any) -> None:
    result = agent()("status")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nOK: in sync, nothing is wrong\n")


def test_switchover_waits_for_the_end_and_tells_it(agent: Any) -> None:
    here = agent(FOLLOWING, *MOVE_HERE)
    result = here("switchover", "--yes")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("the service moves from sw1 to sw2: ")
    assert "sw1 has drained, its last write is before token 7.156" in result.stdout
    assert re.fullmatch(r"sw2 is active in term 8 after 0\.\d+ s", lines[-4])
    assert lines[-3] == "acknowledged rows missing: 0, sw2 holds all that sw1 had committed up to token 7.156"
    assert re.fullmatch(r"outage: \d\.\d+ s as the agents saw it", lines[-2])
    assert lines[-1] == "sw1 is not in sync yet; ovsha sync-status tells when"
    assert here.running.agent.ordered == ["sw2"]
    assert here("switchover", "--yes", "--to", "sw2").stdout == "sw2 is active already; nothing was moved\n"


def test_switchover_as_json_tells_a_move_from_none(agent: Any) -> None:
    here = agent(FOLLOWING, *MOVE_HERE)
    assert json.loads(here("switchover", "--yes", "--to", "sw2", "--json").stdout)["moved"] is True
    assert json.loads(here("switchover", "--yes", "--to", "sw2", "--json").stdout)["moved"] is False


def test_a_refused_switchover_is_one_line(agent: Any) -> None:
    here = agent()
    here.running.agent.refusal = "sw1 is paused: run `ovsha resume` on sw1 first"
    line = "ovsha: sw1 is paused: run `ovsha resume` on sw1 first"
    assert told(here("switchover", "--yes")) == (1, line)


@pytest.mark.parametrize("more", [(), ("--at", "+1m")])
def test_a_node_of_another_pair_is_wrong_usage(agent: Any, more: tuple[str, ...]) -> None:
    line = "ovsha: node sw3 is not of this pair: it has sw2 and sw1"
    assert told(agent()("switchover", "--yes", "--to", "sw3", *more)) == (2, line)


def test_a_copy_that_is_not_in_sync_is_refused_with_what_is_broken_and_a_plan_says_so(agent: Any) -> None:
    here = agent(replace(FOLLOWING, copy=Copy()))
    here.running.agent.refusal = "the copy on sw2 is not in sync"
    code, line = told(here("switchover", "--yes"))
    assert (code, line[:38]) == (1, "ovsha: the pair is not healthy: sw2 is")
    planned = here("switchover", "--at", "+1m", "--yes")
    assert planned.stdout.endswith(f"\n  note: it would be refused now: {line.removeprefix('ovsha: ')}\n")
    assert here.running.agent.standing.now.plan.to == "sw2", "it is accepted all the same"


def test_a_plan_for_a_healthy_pair_has_no_note(agent: Any) -> None:
    assert "refused" not in agent()("switchover", "--at", "+1m", "--yes").stdout


def test_a_pause_that_is_longer_than_the_configuration_allows_is_wrong_usage(agent: Any) -> None:
    code, line = told(agent()("pause", "--for", "99d", "--yes"))
    assert (code, line.startswith("ovsha: pause.limit of the configuration is ")) == (2, True)


def test_a_second_pause_keeps_the_reason_of_the_first(agent: Any) -> None:
    here = agent()
    here("pause", "--for", "10m", "--reason", "cabling", "--yes")
    here("pause", "--for", "20m", "--yes")
    stands = here.running.agent.standing.now.pause
    assert (stands.reason, round(stands.until - stands.began)) == ("cabling", 1200)


@pytest.mark.parametrize(("before", "words"), [({"at": "10:00"}, "; it was paused until 10:00"), (None, "")])
def test_a_second_pause_tells_the_end_of_the_first(
    before: Any, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = {"peer": "sw1", "sides": {"sw2": {"serving": False}}, "pause": before}
    monkeypatch.setattr(orders, "find", lambda options: None)
    monkeypatch.setattr(orders, "order", lambda *args, **facts: {"node": "sw2", "for": 3600.0})
    monkeypatch.setattr(orders.control_client, "ask_json", lambda *args, **facts: status)
    monkeypatch.setattr(orders, "saved", lambda *args: {"at": "11:00", "saved": True})
    assert orders._pause(argparse.Namespace(span=None, reason="", yes=True, json=False)) == 0
    assert f"\nsw2 is paused until 11:00{words}; `ovsha resume` ends it\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "sync-status"])
def test_where_no_agent_runs_it_is_said_first_and_last_and_what_can_be_seen_between(
    command: str, file: Path, tmp_path: Path
) -> None:
    result = ovsha(command, "--config", file)
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[0] == lines[-2] == "BROKEN: no agent runs on sw2, so it neither takes over nor gives way"
    assert f"agent: no agent runs here: {tmp_path}/ovsha.pid does not exist" in lines
    assert lines[lines.index("sw2: this side, as it is now") + 2 :][:2] == ["state: unknown", "ovsdb-server: down"]
    assert "also BROKEN: ovsdb-server on sw2 is not running" in lines
    document = json.loads(ovsha(command, "--config", file, "--json").stdout)
    assert (document["schema"], document["agent"], document["in_sync"], document["healthy"]) == (1, "down", None, False)
    assert document["sides"]["sw2"]["life"] == "down"


def test_a_command_that_needs_the_agent_is_one_line_without_it(file: Path, tmp_path: Path) -> None:
    expected = f"ovsha: no agent runs here: {tmp_path}/ovsha.pid does not exist; start ovsha"
    for command in (["counters"], ["peer", "forget", "--yes"]):
        assert told(ovsha(*command, "--config", file)) == (1, expected)


def test_an_agent_that_died_is_told_with_the_place_that_was_tried(file: Path, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "ovsha.pid").write_text(f"{dead.pid}\n")
    path = tmp_path / f"ovsha.{dead.pid}.ctl"
    shown = ovsha("status", "--config", file).stdout
    assert f"\nagent: no agent answers at {path}: No such file or directory\n" in shown
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    expected = f"ovsha: no agent answers at {path}: Connection refused; start ovsha"
    assert told(ovsha("status", "--target", path)) == (1, expected)


def test_the_peers_agent_that_cannot_be_asked_is_one_line(file: Path, tmp_path: Path) -> None:
    status, line = told(ovsha("status", "--peer", "--config", file))
    assert (status, line.startswith("ovsha: /etc/ovsha/pair.key: the pair key cannot be read: ")) == (2, True)


def test_a_pidfile_without_a_pid_is_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "ovsha.pid").write_text("soon\n")
    assert told(ovsha("status", "--config", file)) == (
        1,
        f"ovsha: {tmp_path}/ovsha.pid: cannot be read: no pid is in it",
    )


def test_an_agent_that_is_just_being_restarted_is_waited_for(tmp_path: Path, file: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "ovsha.pid").write_text(f"{dead.pid}\n")
    command = [sys.executable, "-m", "ovsha", "sync-status", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as client, ThreadPoolExecutor() as pool:
        here = Asked(tmp_path, file, FOLLOWING)
        ended = pool.submit(client.communicate, timeout=LIMIT)
        here.running.spin(ended, limit=LIMIT)
        here.running.close()
    assert ended.result()[0].endswith("verdict: in sync\n")


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[socket.socket]:
    """A control socket on which nobody ever answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "hangs.ctl"))
        sock.listen()
        yield sock


def test_an_agent_that_hangs_is_one_line_and_not_waited_for(hanging: socket.socket) -> None:
    target = hanging.getsockname()
    status, line = told(ovsha("switchover", "--target", target))
    assert status == 1
    assert line == (
        f"ovsha: the agent at {target} has not answered within 3 s; see its log, and restart ovsha if it hangs"
    )


def test_an_agent_that_ends_instead_of_answering_is_one_line(hanging: socket.socket) -> None:
    with ThreadPoolExecutor() as pool:
        future = pool.submit(ovsha, "status", "--target", hanging.getsockname())
        connection = hanging.accept()[0]
        connection.recv(1)
        connection.close()
        status, line = told(future.result())
    assert (status, "did not answer status: it ended; see its log" in line) == (1, True)


def test_an_answer_of_another_release_is_one_line(hanging: socket.socket) -> None:
    with ThreadPoolExecutor() as pool:
        future = pool.submit(ovsha, "status", "--target", hanging.getsockname())
        connection = hanging.accept()[0]
        request = json.loads(connection.recv(65536))
        reply = {"id": request["id"], "error": None, "result": json.dumps({"schema": 2})}
        connection.sendall(json.dumps(reply).encode())
        assert told(future.result()) == (
            1,
            "ovsha: the agent answers status in a form of another release; restart ovsha after an upgrade",
        )
        connection.close()


def test_an_interrupt_is_one_line(hanging: socket.socket) -> None:
    command = [sys.executable, "-m", "ovsha", "switchover", "--target", hanging.getsockname()]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # A job in the background of a shell ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    ) as client:
        connection = hanging.accept()[0]
        connection.recv(1)
        client.send_signal(signal.SIGINT)
        error = client.communicate(timeout=LIMIT)[1]
        connection.close()
    assert (client.returncode, error) == (1, "ovsha: interrupted; what was ordered may go on, see ovsha status\n")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = ovsha("config", "check", ROOT / "etc" / "ovsha.yaml", capture_output=False, stdout=writing,
                   stderr=subprocess.PIPE)  # fmt: skip
    os.close(writing)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_a_full_disk_is_one_line(file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = ovsha("config", "check", file, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr.endswith("ovsha: standard output: No space left on device\n")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk_under_the_help_is_one_line(option: str) -> None:
    with Path("/dev/full").open("w") as full:
        result = ovsha(option, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (1, "ovsha: standard output: No space left on device\n")


@pytest.mark.parametrize("command", ["sync-status", "status", "switchover", "agent"])
def test_a_missing_configuration_is_the_operators_mistake(command: str) -> None:
    expected = "ovsha: /nowhere/ovsha.yaml: cannot be read: No such file or directory"
    assert told(ovsha(command, "--config", "/nowhere/ovsha.yaml")) == (2, expected)


def test_the_common_options_may_stand_before_the_command() -> None:
    assert told(ovsha("--config", "/nowhere/a", "status"))[1].startswith("ovsha: /nowhere/a: ")
    assert told(ovsha("--config", "/nowhere/a", "status", "--config", "/nowhere/b"))[1].startswith(
        "ovsha: /nowhere/b: "
    )


def test_an_agent_that_cannot_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "ovsha.yaml"
    path.write_text(CONFIG.format(directory=tmp_path / "file" / "run", timeout=5.0) + f"state_directory: {tmp_path}\n")
    result = ovsha("agent", "--config", path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"ovsha: {tmp_path}/file/run: cannot be made: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "ovsha: the following arguments are required: COMMAND; see ovsha --help"),
        (["promote"], "ovsha: argument COMMAND: invalid choice: 'promote'"),
        (["status", "--jsn"], "ovsha: unrecognized arguments: --jsn; see ovsha status --help"),
        (["status", "--js"], "ovsha: unrecognized arguments: --js; see ovsha status --help"),
        (["switchover", "--to"], "ovsha: argument --to: expected one argument; see ovsha switchover --help"),
        (["config"], "ovsha: config needs an ACTION, one of check; see ovsha config --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(args: list[str], said: str) -> None:
    status, line = told(ovsha(*args))
    assert (status, line[: len(said)]) == (2, said)


def test_a_file_that_can_be_used_is_valid() -> None:
    result = ovsha("config", "check", ROOT / "etc" / "ovsha.yaml")
    assert (result.returncode, result.stdout) == (0, f"{ROOT}/etc/ovsha.yaml: is valid\n")


def test_the_file_that_is_checked_is_the_one_that_was_named() -> None:
    named = ("--config", "/nowhere/a")
    for words in ((*named, "config", "check"), ("config", *named, "check"), ("config", "check", *named)):
        assert told(ovsha(*words)) == (2, "ovsha: /nowhere/a: cannot be read: No such file or directory")
    assert told(ovsha(*named, "config", "check", "/nowhere/b"))[1].startswith("ovsha: /nowhere/b: ")


def test_a_group_without_an_action_names_its_actions() -> None:
    said = "ovsha: ledger needs an ACTION, one of dismiss, list, replay, show; see ovsha ledger --help"
    for words in (("ledger",), ("ledger", "--config", "/nowhere/a"), ("--target", "/nowhere/a", "ledger")):
        assert told(ovsha(*words)) == (2, said)


def test_what_is_doubtful_in_a_file_is_a_warning(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace("preferred: sw1", f"preferred: sw1, key_file: {tmp_path}/no.key"))
    result = ovsha("config", "check", file)
    assert (result.returncode, result.stdout) == (0, f"{file}: is valid\n")
    assert f"ovsha: warning: {file}: pair.key_file: {tmp_path}/no.key: the pair key cannot be read: " in result.stderr


def test_a_file_that_cannot_be_used_is_not_valid(file: Path) -> None:
    file.write_text(file.read_text() + "vpi: {}\n")
    status, line = told(ovsha("config", "check", file))
    assert status == 2
    assert line.startswith(f"ovsha: {file}: vpi: there is no such key; ")


def test_a_question_imports_neither_the_agent_nor_its_drivers() -> None:
    code = "import sys, ovsha.cli.main; print(*(m for m in sys.modules if m.split('.')[0] in ('ovsha', 'pyroute2')))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(result.stdout.split())
    assert "ovsha.control_client" in loaded
    assert "pyroute2" not in loaded
    drivers = ("ovsha.agent.", "ovsha.ovsdb.", "ovsha.net.", "ovsha.mlag.")
    assert not {name for name in loaded if name.startswith(drivers)}


def test_the_peer_is_shown_by_its_identity_and_forgotten_once(agent: Any) -> None:
    asked = agent()
    shown = asked("peer", "show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "sw2, this side: without an identity\nsw1, the peer: not learned yet\n"
    assert json.loads(asked("peer", "show", "--json").stdout)["identity"]["estranged"] is False
    forgotten = asked("peer", "forget", "--yes")
    assert (forgotten.returncode, forgotten.stderr) == (0, "")
    assert forgotten.stdout.endswith(
        f"sw1 is forgotten ({'ab' * 16}); the next switch that has its name and the pair's key is learned\n"
    )
    again = asked("peer", "forget", "--yes", "--json")
    assert json.loads(again.stdout) == {"schema": 1, "peer": "sw1", "forgotten": None}


def test_a_peer_that_takes_us_for_a_stranger_is_told_and_exits_1(agent: Any) -> None:
    shown = agent(replace(FOLLOWING, record=replace(ACTIVE_PEER, estranged=True)))("peer", "show")
    assert shown.returncode == 1
    assert "sw1 takes this switch for a stranger\n  do: " in shown.stdout
    assert "`ovsha peer forget` on sw1" in shown.stdout
