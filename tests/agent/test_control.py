"""Laws of the control socket, held by a real unixctl server, real clients, and a small agent that behaves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import ovs.unixctl
import pytest
from ovs.poller import Poller

from ovsha import __version__
from ovsha.agent.control import Control
from ovsha.core.facts import State
from ovsha.core.view import View
from ovsha.errors import DriverError
from ovsha.report import status_text
from tests.agent.small_agent import MOVE_AWAY, MOVE_HERE, Running, SmallAgent, settings
from tests.support.made_up_pair import ACTIVE_PEER, BACKUP_PEER, FOLLOWING, OUTSIDE, SERVING, document


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    """Start a control socket for a view; every one is closed again."""
    running: list[Running] = []

    def start(view: View | None, *stages: View, timeout: float = 5.0) -> Running:
        running.append(Running(SmallAgent(settings(tmp_path, timeout), view, stages)))
        return running[-1]

    yield start
    for each in running:
        each.close()


def test_status_is_the_document_and_its_text(run: Any) -> None:
    here = run(FOLLOWING)
    told = json.loads(here.ask("status", "json"))
    assert told["sides"] == document()["sides"] | {"sw1": told["sides"]["sw1"]}
    assert here.ask("status").rstrip() == status_text.status_text(told).rstrip()
    assert here.ask("sync-status").rstrip() == status_text.sync_text(told).rstrip()
    assert json.loads(here.ask("sync-status", "json"))["verdict"] == "in sync"
    assert here.ask("counters") == "moves: 1\nincidents: 0\nforged: 0\n"
    assert json.loads(here.ask("counters", "json")) == {"schema": 1, "counters": dict(OUTSIDE.counters)}


def test_a_peer_is_forgotten_on_the_control_socket_too(run: Any) -> None:
    here = run(FOLLOWING)
    assert here.ask("peer-forget").startswith("sw1 is forgotten (abab")
    assert json.loads(here.ask("peer-forget", "json"))["forgotten"] is None
    with pytest.raises(DriverError, match='"yaml" is no form'):
        here.ask("peer-forget", "yaml")


def test_every_command_is_listed_and_the_version_is_ours(run: Any) -> None:
    here = run(FOLLOWING)
    listed = here.ask("list-commands")
    for name in ("counters", "list-commands", "peer-forget", "status", "switchover", "sync-status", "version"):
        assert f"\n  {name}" in listed
    assert here.ask("version") == f"ovsha {__version__}\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["status", "xml"], '"xml" is no form; it is json or nothing'),
        (["switchover", "sw1", "xml"], '"xml" is no form; it is json or nothing'),
        (["status", "json", "json"], '"status" command takes at most 1 arguments'),
        (["promote"], '"promote" is not a valid command'),
    ],
)
def test_a_wrong_command_is_a_unixctl_error(run: Any, command: list[str], error: str) -> None:
    with pytest.raises(DriverError, match=f"^{error}$"):
        run(FOLLOWING).ask(*command)


@pytest.mark.parametrize("command", ["status", "sync-status", "counters", "switchover"])
def test_before_the_first_turn_every_question_gets_an_error(run: Any, command: str) -> None:
    with pytest.raises(DriverError, match="only just started"):
        run(None).ask(command)


def test_a_switchover_is_answered_when_it_is_over(run: Any) -> None:
    here = run(FOLLOWING, *MOVE_HERE)
    answer = here.ask("switchover", "sw2")
    assert here.agent.ordered == ["sw2"]
    assert answer.startswith("sw2 is active in term 8 after 0.")
    assert answer.endswith("; it holds all that sw1 had committed up to token 7.156\n")


def test_without_a_node_the_service_goes_to_the_side_that_does_not_serve(run: Any) -> None:
    here = run(FOLLOWING, *MOVE_HERE)
    told = json.loads(here.ask("switchover", "", "json"))
    assert 0 <= told.pop("outage") <= told.pop("duration") < 10
    phases = told.pop("phases")
    assert [each["phase"] for each in phases] == ["asked", "closed", "drained", "promoted", "serving"]
    assert phases[2]["text"] == "sw1 has drained, its last write is before token 7.156"
    assert told.pop("missing") == 0
    assert told == {"schema": 1, "moved": True, "from": "sw1", "to": "sw2", "term": 8, "barrier": "7.156"}


def test_the_service_can_be_sent_to_the_peer(run: Any) -> None:
    here = run(SERVING, *MOVE_AWAY)
    told = json.loads(here.ask("switchover", "", "json"))
    assert here.agent.ordered == ["sw1"]
    assert (told["from"], told["to"], told["term"]) == ("sw2", "sw1", 8)


def test_a_switchover_to_where_the_service_is_moves_nothing(run: Any) -> None:
    here = run(SERVING)
    assert here.ask("switchover", "sw2") == "sw2 is active already; nothing was moved\n"
    assert json.loads(here.ask("switchover", "sw2", "json"))["moved"] is False
    assert here.agent.ordered == []


def test_what_the_agent_refuses_is_the_error(run: Any) -> None:
    here = run(FOLLOWING)
    here.agent.refusal = "the copy on sw2 is not in sync"
    with pytest.raises(DriverError, match=r"^the copy on sw2 is not in sync$"):
        here.ask("switchover")


def test_where_nobody_serves_the_node_must_be_named(run: Any) -> None:
    nobody = replace(FOLLOWING, record=replace(ACTIVE_PEER, state=State.INIT, serving=False))
    with pytest.raises(DriverError, match=r"^which side serves is not clear now; see ovsha status$"):
        run(nobody).ask("switchover")


def test_a_switchover_that_does_not_come_to_its_end_is_an_error_with_the_reason(run: Any) -> None:
    refusing = replace(FOLLOWING, record=replace(ACTIVE_PEER, refusal="this side is the preferred one"))
    here = run(FOLLOWING, refusing, timeout=0.1)
    with pytest.raises(DriverError) as raised:
        here.ask("switchover", "sw2")
    assert str(raised.value) == (
        "the service did not get to sw2 within 1.10 s: sw1 refused, because this side is the preferred one"
    )


def test_a_peer_lost_during_a_switchover_is_named(run: Any) -> None:
    gone = replace(FOLLOWING, heard_age=3.0, link_silent_for=3.0)
    with pytest.raises(DriverError, match=r"the peer's agent is no longer heard; see ovsha status$"):
        run(FOLLOWING, gone, timeout=0.1).ask("switchover", "sw2")


def test_a_move_that_stops_half_way_says_that_the_old_side_has_drained(run: Any) -> None:
    with pytest.raises(DriverError, match=r"within 1.10 s, though sw1 has drained; see ovsha status$"):
        run(FOLLOWING, MOVE_HERE[0], timeout=0.1).ask("switchover", "sw2")


def test_there_is_one_switchover_at_a_time_and_the_others_are_still_answered(run: Any) -> None:
    here = run(FOLLOWING, timeout=1.0)
    first = here.start("switchover", "sw2")
    while not here.agent.ordered:
        here.turn()
    with pytest.raises(DriverError, match=r"^a switchover to sw2 is under way; wait for its end$"):
        here.ask("switchover", "sw2")
    assert "verdict: in sync" in here.ask("sync-status")
    here.spin(first)
    with pytest.raises(DriverError, match="sw2 did not ask for it or sw1 did not drain"):
        first.result()


def test_a_reload_ends_a_switchover_with_an_error(run: Any) -> None:
    here = run(FOLLOWING)
    moving = here.start("switchover", "sw2")
    while not here.agent.ordered:
        here.turn()
    here.control.serve(SmallAgent(here.agent.config, FOLLOWING))
    here.spin(moving)
    with pytest.raises(DriverError, match="the configuration was read anew"):
        moving.result()


def test_an_agent_that_stops_tells_who_waits(run: Any) -> None:
    here = run(FOLLOWING)
    moving = here.start("switchover", "sw2")
    while not here.agent.ordered:
        here.turn()
    here.close()
    with pytest.raises(DriverError, match="the agent was told to stop"):
        moving.result(10)


@pytest.mark.parametrize("ident", [0, 1])  # python-ovs takes a request 0 for none
def test_a_client_that_goes_away_neither_keeps_the_loop_awake_nor_ends_it(run: Any, ident: int) -> None:
    here = run(FOLLOWING, *MOVE_HERE[:1], timeout=0.3)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(here.find()))
        sock.sendall(b'{"id":%d,"method":"switchover","params":["sw2"]}' % ident)
        while not here.agent.ordered:
            here.turn()
    turns, end = 0, time.monotonic() + 1.0
    while time.monotonic() < end:
        here.control.run()
        poller = Poller()
        here.control.wait(poller)
        poller.timer_wait(1000)
        poller.block()
        turns += 1
    assert turns < 50
    here.agent.refusal = "it may be ordered again"
    with pytest.raises(DriverError, match="it may be ordered again"):
        _ask_when_free(here)


def _ask_when_free(here: Running) -> str:
    """Order a switchover as soon as none is under way."""
    while True:
        try:
            return here.ask("switchover", "sw2")
        except DriverError as error:
            if "under way" not in str(error):
                raise


def test_only_the_owner_may_use_the_socket(run: Any) -> None:
    path = run(FOLLOWING).find()
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_sockets_of_dead_agents_are_removed_and_those_of_living_ones_left(run: Any, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    stale, living = tmp_path / f"ovsha.{dead.pid}.ctl", tmp_path / f"ovsha.{os.getppid()}.ctl"
    other = tmp_path / f"ovsdb-server.{dead.pid}.ctl"
    for path in (stale, living, other):
        path.touch()
    run(FOLLOWING)
    assert [path.exists() for path in (stale, living, other)] == [False, True, True]


def test_a_socket_that_cannot_be_made_is_the_outsides_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = settings(tmp_path / "missing")
    with pytest.raises(DriverError, match=r"ovsha\.\d+\.ctl: the control socket cannot be made: No such file"):
        Control(SmallAgent(missing, FOLLOWING), missing, lambda agent, now: OUTSIDE)


def test_a_closed_control_leaves_nothing_behind(run: Any) -> None:
    here = run(FOLLOWING)
    path = here.find()
    here.close()
    assert not path.exists()
    assert "switchover" not in ovs.unixctl.commands


@pytest.mark.skipif(shutil.which("ovs-appctl") is None, reason="ovs-appctl is not installed")
def test_ovs_appctl_speaks_to_it(run: Any) -> None:
    here = run(FOLLOWING)
    command = ["ovs-appctl", "-t", str(here.find()), "sync-status"]
    with ThreadPoolExecutor() as pool:
        future = pool.submit(subprocess.run, command, capture_output=True, text=True, timeout=20)
        here.spin(future)
    assert "replicating: tcp:169.254.0.9:9999\ndatabase: hardware_vtep\n" in future.result().stdout


def test_the_service_is_not_said_to_have_moved_while_both_sides_serve(run: Any) -> None:
    both = replace(SERVING, record=replace(ACTIVE_PEER, lapsed=True))
    with pytest.raises(DriverError, match="did not get to sw2"):
        run(FOLLOWING, both, timeout=0.1).ask("switchover", "sw2")


def test_a_backup_peer_is_where_the_service_goes_by_default(run: Any) -> None:
    here = run(replace(SERVING, record=BACKUP_PEER))
    here.agent.refusal = "seen"
    with pytest.raises(DriverError, match="seen"):
        here.ask("switchover")
