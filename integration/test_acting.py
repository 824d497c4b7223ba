"""What an operator orders is done, proven and recorded, or refused with the reason; and it stands while it should."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import pairwise
from typing import Any

import pytest

import history
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_every_row,
    await_one,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    begin,
    log,
    status,
    strike,
    undisturbed,
)
from switch import Switch

MANUAL: dict[str, Any] = {"restore": {"mode": "manual"}}
HANDOVER_TIMEOUT = 5.0
"""The default of handover.timeout."""
FORCE = ("failover", "--force", "--accept-data-loss", "--yes", "--reason", "its agent does not come back")


@pytest.fixture
def pair(lab: MakeLab) -> Lab:
    """Give a pair that serves on sw1 and gives nothing back by itself."""
    return synced(begin(lab, overrides=MANUAL))


def synced(pair: Lab) -> Lab:
    pair.wait_until(lambda: status(pair.sw1)["in_sync"], LIMIT, "the pair is in sync")
    return pair


def await_silence(pair: Lab, switch: Switch) -> None:
    pair.wait_until(lambda: status(switch)["presence"] == "silent", LIMIT, f"{switch.node} hears its peer no more")


def done(switch: Switch, *command: str) -> str:
    """Run a command that must succeed; return what it printed."""
    ran = switch.ovsha(*command, limit=60.0)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    return ran.stdout


def refused(switch: Switch, *command: str, status: int = 1) -> str:
    """Run a command that must be refused in one line, 2 for wrong usage; return the line."""
    ran = switch.ovsha(*command, limit=60.0)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (status, "", 1), ran.stdout + ran.stderr
    return ran.stderr


def test_a_switchover_says_what_it_will_do_shows_its_phases_and_proves_itself(pair: Lab) -> None:
    await_rows(pair, 50)
    text = done(pair.sw1, "switchover", "--yes", "--reason", "kernel of sw1")
    await_pair(pair, pair.sw2)
    assert text.startswith("the service moves from sw1 to sw2: ")
    for phase in ("sw2 has asked", "sw1 lets nobody write", "sw1 has drained", "sw2 holds all", "sw2 serves"):
        assert f" s  {phase}" in text
    assert "acknowledged rows missing: 0, sw2 holds all that sw1 had committed up to token 1." in text
    assert " as the agents saw it\n" in text
    assert text.endswith("sw1 follows sw2 and is in sync\n")
    await_every_row(pair, pair.sw2)
    assert "root (uid 0)" in log(pair.sw1)
    assert "moves the service to sw2: kernel of sw1" in log(pair.sw1)


def test_the_outage_that_is_told_is_one_that_the_controller_saw(pair: Lab) -> None:
    ordered = time.monotonic()
    told = json.loads(pair.sw1.ovsha("switchover", "--yes", "--json").stdout)
    await_pair(pair, pair.sw2)
    await_rows(pair, 50)
    seen = history.controller_outage(history.read(pair.controller_events_file), ordered).silence
    assert seen is not None
    assert 0 < told["outage"] <= told["duration"]
    assert told["outage"] < seen + 0.5


def test_the_original_primary_gets_the_service_back_on_command_although_an_operator_had_moved_it(pair: Lab) -> None:
    done(pair.sw1, "switchover", "--yes")
    await_pair(pair, pair.sw2)
    synced(pair)
    assert status(pair.sw2)["preferred"]["chosen"]
    text = done(pair.sw2, "restore-primary", "--yes")
    assert "acknowledged rows missing: 0, sw1 holds all that sw2" in text
    await_pair(pair, pair.sw1)
    assert not status(pair.sw1)["preferred"]["chosen"]
    assert done(pair.sw2, "restore-primary") == "sw1 is active already; nothing was moved\n"


def test_an_unhealthy_pair_is_not_moved_and_it_is_said_what_is_wrong(pair: Lab) -> None:
    with undisturbed(pair):
        pair.sw2.agent.kill()
        await_silence(pair, pair.sw1)
        assert "the agent on sw2 is not heard" in refused(pair.sw1, "switchover", "--yes")
        assert "the agent on sw2 is not heard" in refused(pair.sw1, "switchover", "--yes", "--to", "sw2")


def test_a_planned_switchover_survives_the_agent_and_is_made_at_its_time(pair: Lab) -> None:
    done(pair.sw1, "switchover", "--yes", "--to", "sw2", "--at", "+3s", "--reason", "the window")
    due = time.time() + 3
    assert status(pair.sw1)["planned_switchover"]["to"] == "sw2"
    assert "is planned already" in refused(pair.sw1, "switchover", "--yes", "--at", "+9m")
    pair.sw1.agent.kill()
    pair.wait_until(lambda: time.time() > due, LIMIT, "its time has come, and no agent runs")
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    await_word(pair, pair.sw1, "the planned switchover to sw2 is done")
    assert status(pair.sw1)["planned_switchover"] is None


def test_a_planned_switchover_is_given_up_with_an_alarm_where_it_could_not_be_made_safely(pair: Lab) -> None:
    done(pair.sw1, "switchover", "--yes", "--at", "+4s")
    with undisturbed(pair):
        pair.sw2.agent.kill()
        await_word(pair, pair.sw1, "the planned switchover to sw2 was given up: the agent on sw2 is not heard")


@pytest.mark.long
def test_a_switchover_is_called_off_at_once_where_the_server_that_was_to_serve_ends_in_the_middle(pair: Lab) -> None:
    done(pair.sw1, "switchover", "--yes", "--to", "sw2", "--at", "+2s")
    strike(pair.sw1, "step: drop the VIP", len(log(pair.sw1)), pair.sw2.server.kill)
    ended = time.monotonic()
    await_service(pair, pair.sw1)
    times = [ended, *(ack.t for ack in acks(pair) if ack.t > ended)]
    silence = max(after - before for before, after in pairwise(times))
    assert silence < HANDOVER_TIMEOUT / 2, "nobody waits for a server that is down"
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)


def test_a_planned_switchover_can_be_taken_back(pair: Lab) -> None:
    assert "no move that was ordered here is under way" in refused(pair.sw1, "cancel", "--yes")
    done(pair.sw1, "switchover", "--yes", "--at", "+1h")
    assert done(pair.sw1, "cancel", "--yes").endswith("the planned switchover to sw2 is taken back\n")
    assert status(pair.sw1)["planned_switchover"] is None


def test_a_paused_active_side_whose_server_dies_is_left_alone_by_both_until_it_is_resumed(pair: Lab) -> None:
    text = done(pair.sw1, "pause", "--yes", "--for", "30m", "--reason", "new optics")
    assert "if its ovsdb-server dies meanwhile, nobody serves until `ovsha resume`" in text
    await_problem(pair, pair.sw2, "sw1 is paused for another", "carries out nothing")
    assert "sw1 is paused: run `ovsha resume` on sw1 first" in refused(pair.sw2, "switchover", "--yes")
    pair.sw1.server.kill()
    await_problem(pair, pair.sw1, "it would drop the VIP")
    assert pair.sw1.vip_present()
    assert not pair.sw2.vip_present()
    pair.sw1.agent.kill()
    pair.sw1.agent.start()
    pair.wait_until(lambda: status(pair.sw1)["mode"] == "paused", LIMIT, "sw1 is still paused")
    done(pair.sw1, "resume", "--yes")
    await_service(pair, pair.sw2)


def test_a_paused_backup_takes_nothing_over_and_a_pause_that_is_forgotten_ends_with_an_alarm(lab: MakeLab) -> None:
    pair = synced(begin(lab, overrides={**MANUAL, "pause": {"limit": 6.0}}))
    assert "pause.limit" in refused(pair.sw2, "pause", "--yes", "--for", "1m", status=2)
    done(pair.sw2, "pause", "--yes")
    pair.sw1.power_off("kill")
    await_word(pair, pair.sw2, "paused: would serve (")
    assert not pair.sw2.vip_present()
    await_service(pair, pair.sw2)
    assert "ended by itself after 6.00 s: sw2 acts again" in log(pair.sw2)
    await_problem(pair, pair.sw2, "was forgotten")
    done(pair.sw2, "resume", "--yes")
    assert all(problem["name"] != "pause-forgotten" for problem in status(pair.sw2)["problems"])


def test_an_agent_that_cannot_read_what_stood_says_so_until_an_operator_has_seen_it(pair: Lab) -> None:
    done(pair.sw2, "pause", "--yes")
    pair.sw2.agent.kill()
    (pair.sw2.directory / "state" / "standing.json").write_text('{"pause": {"beg')
    pair.sw2.agent.start()
    await_problem(pair, pair.sw2, "standing.json: cannot be read, so no pause", "with `ovsha resume`")
    done(pair.sw2, "resume", "--yes")
    pair.wait_until(lambda: status(pair.sw2)["healthy"], LIMIT, "the pair is well, and nothing is told any more")


def test_the_peer_of_a_paused_side_that_dies_takes_over(pair: Lab) -> None:
    done(pair.sw1, "pause", "--yes")
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)


def test_an_agent_in_mode_advise_says_once_what_it_would_do_and_does_nothing(lab: MakeLab) -> None:
    pair = lab(overrides={"mode": "advise"})
    pair.start()
    await_problem(pair, pair.sw1, "sw1 only advises")
    await_word(pair, pair.sw1, "advise: would ask for the service (start), because nobody serves")
    pair.wait_until(lambda: status(pair.sw1)["sides"]["sw2"] is not None, LIMIT, "sw2 is heard")
    said = [line for line in log(pair.sw1).splitlines() if "advise: would " in line]
    assert len(said) == len(set(said)) < 10
    assert not pair.sw1.vip_present()
    assert pair.sw1.role() == "backup"
    assert "mode: advise" in refused(pair.sw1, "pause", "--yes")


def test_a_side_is_forced_to_serve_while_the_agent_of_the_other_is_dead(pair: Lab) -> None:
    assert "use `ovsha switchover`, which loses nothing" in refused(pair.sw2, *FORCE)
    assert pair.sw2.ovsha("failover", "--force", "--reason", "x", "--yes").returncode == 2
    pair.sw1.agent.kill()
    await_silence(pair, pair.sw2)
    text = done(pair.sw2, *FORCE)
    assert "the agent on sw1 was last heard" in text
    assert "the copy on sw2 is of term 1 and ends at token 1." in text
    assert "ovsdb-server on sw1 still answers as active: both sides will serve" in text
    assert "sw2 is active in term 2" in text
    assert "forces sw2 to serve and accepts to lose data: its agent does not come back" in log(pair.sw2)
    pair.sw1.agent.start()
    await_one(pair)
    await_pair(pair, pair.sw2)


def test_only_root_and_the_group_give_orders_and_whoever_may_open_the_socket_may_ask(lab: MakeLab) -> None:
    pair = synced(begin(lab, overrides={"control": {"everybody_reads": True}}))
    def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
        (socket,) = pair.sw1.run_directory.glob("ovsha.*.ctl")
        nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        asked = [*nobody, "ovs-appctl", "-t", str(socket), *command]
        return subprocess.run(asked, capture_output=True, text=True, timeout=LIMIT, check=False)

    for parent in [pair.sw1.run_directory, *pair.sw1.run_directory.parents][:-1]:
        parent.chmod(parent.stat().st_mode | 0o011)
    assert "in sync" in as_nobody("sync-status").stdout
    with undisturbed(pair):
        for order in (["switchover", "sw2"], ["order", '{"order": "pause"}'], ["peer-forget"]):
            denied = as_nobody(*order)
            assert denied.returncode != 0
            assert "only root may give orders to the agent: run this as root" in denied.stderr
