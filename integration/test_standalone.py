"""One real server and one agent without a peer: served, watched and backed up, and then the first of a pair."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import seed
import settings
from lab import Lab
from switch import Switch

LIMIT = 15.0
PAIR_ONLY = ("switchover --yes", "verify", "history --peer", "resolve --keep peer --reason x --yes")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Yield a lab whose sw1 is configured to stand alone, without a VIP and without a key."""
    with Lab(rows=20) as made:
        alone(made.sw1)
        made.start_controller()
        made.sw1.server.start()
        made.sw1.agent.start()
        made.wait_until(lambda: serves(made.sw1), LIMIT, "sw1 serves alone")
        yield made


def alone(switch: Switch) -> None:
    """Write the least that a switch alone needs."""
    config = {key: value for key, value in switch.config.items() if key not in ("vip", "nodes")}
    config["nodes"] = {switch.node: {}}
    config["pair"] = {"id": switch.config["pair"]["id"]}
    settings.write(switch.config_file, config)


def read_anew(switch: Switch) -> None:
    """Have the agent read its configuration, as `systemctl reload ovsha` does."""
    pid = switch.agent.pid
    assert pid is not None
    os.kill(pid, signal.SIGHUP)


def serves(switch: Switch) -> bool:
    return switch.ovsha("sync-status").returncode == 0 and bool(switch.manager_sessions())


def told(switch: Switch) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(switch.ovsha("status", "--json").stdout)
    return document


def test_it_is_watched_and_backed_up_and_what_needs_a_peer_is_refused_in_one_line(lab: Lab) -> None:
    sw1 = lab.sw1
    status = sw1.ovsha("status")
    assert status.stdout.startswith("OK: standalone, and serving, nothing is wrong\n")
    assert sw1.ovsha("check", "all").returncode == 0
    assert sw1.ovsha("explain").returncode == 0
    assert sw1.ovsha("backup", "create").returncode == 0
    for line in PAIR_ONLY:
        refused = sw1.ovsha(*line.split())
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), line
        assert "stands alone" in refused.stderr
    metrics = sw1.run("curl", "-s", "http://127.0.0.1:9477/metrics").stdout
    assert "ovsha_side_serving{" in metrics
    assert "ovsha_presence" not in metrics
    sw1.agent.kill()
    gone = sw1.ovsha("status")
    assert (gone.returncode, "no agent runs on sw1, so what stops is not served again" in gone.stdout) == (1, True)
    assert sw1.ovsha("check", "peer").returncode == 2


def test_a_restarted_agent_touches_nothing_and_a_server_that_is_back_is_served_again(lab: Lab) -> None:
    sw1 = lab.sw1
    sessions = sw1.manager_sessions()
    sw1.agent.kill()
    sw1.agent.start()
    lab.wait_until(lambda: told(sw1).get("state") == "active", LIMIT, "the new agent knows that it serves")
    assert sw1.manager_sessions() == sessions
    assert sw1.global_config()["ovsha:term"] == "1"
    sw1.server.kill()
    lab.wait_until(lambda: told(sw1).get("state") == "fault", LIMIT, "the loss is seen")
    sw1.server.start()
    lab.wait_until(lambda: serves(sw1), LIMIT, "sw1 serves again")
    assert sw1.global_config()["ovsha:term"] == "2"
    assert lab.seeded <= sw1.rows()


def test_a_blank_database_after_a_crash_waits_for_a_word_and_a_backup_brings_the_data_back(lab: Lab) -> None:
    sw1 = lab.sw1
    assert sw1.ovsha("backup", "create").returncode == 0
    lab.wait_until(lambda: sw1.global_config()["ovsha:token"] >= "1.3", LIMIT, "a few tokens are committed")
    sw1.server.kill()
    lab.wait_until(lambda: told(sw1).get("state") == "fault", LIMIT, "the loss is seen")
    sw1.database.unlink()
    seed.blank(sw1.database)
    sw1.server.start()
    lab.wait_until(lambda: told(sw1).get("state") == "needs-decision", LIMIT, "the agent asks")
    asked = told(sw1)
    assert "once held" in asked["verdict"]
    assert "`ovsha backup restore`" in asked["do"]
    assert not sw1.manager_sessions()
    kept = sw1.ovsha("resolve", "--keep", "self", "--reason", "the backup comes next", "--yes", limit=60.0)
    assert kept.returncode == 0, kept.stderr
    name = json.loads(sw1.ovsha("backup", "list", "--json").stdout)["backups"][0]["name"]
    restored = sw1.ovsha("backup", "restore", name, "--yes", limit=60.0)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert lab.seeded <= sw1.rows()
    sw1.agent.kill()
    sw1.server.kill()
    sw1.database.write_text("damaged")
    offline = sw1.ovsha("backup", "restore", name, "--offline", "--yes", limit=60.0)
    assert (offline.returncode, "sw2" in offline.stdout) == (0, False), offline.stdout + offline.stderr
    sw1.server.start()
    sw1.agent.start()
    lab.wait_until(lambda: serves(sw1) and lab.seeded <= sw1.rows(), LIMIT, "the backup is served")


def test_a_second_switch_joins_without_an_interruption_and_the_two_can_part_again(lab: Lab) -> None:
    sw1, sw2 = lab.sw1, lab.sw2
    for switch in (sw1, sw2):
        settings.write(switch.config_file, switch.config)
    for switch in (sw1, sw2):
        switch.clagd.start(wait=False)
    sw2.server.start()
    sessions = sw1.manager_sessions()
    for each in (sw1, sw2):
        each.agent.kill()
        each.agent.start()
    lab.wait_until(lambda: told(sw2)["in_sync"], LIMIT, "sw2 has joined and is in sync")
    assert (sw1.role(), sw1.manager_sessions()) == ("active", sessions)
    assert lab.seeded <= sw2.rows()
    alone(sw2)
    sw2.agent.kill()
    sw2.agent.start()
    lab.wait_until(lambda: told(sw2).get("rule") == "standalone-copies", LIMIT, "the former backup waits")
    assert not sw2.manager_sessions()
    sw2.agent.kill()
    sw2.server.kill()
    settings.write(sw1.config_file, {**sw1.config, "nodes": {"sw1": sw1.config["nodes"]["sw1"]}})
    read_anew(sw1)
    lab.wait_until(lambda: told(sw1)["standalone"] and serves(sw1), LIMIT, "sw1 stands alone again")
    assert lab.seeded <= sw1.rows()
