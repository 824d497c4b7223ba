"""What others are told of a pair: status URLs, metrics and hooks, when all is well and when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import settings
from frozen_thread import frozen
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    begin,
    log,
    problems,
    undisturbed,
)
from switch import Switch

GET = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:9477" + sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.write(f"{answer.status} {answer.read().decode()}")
"""
MANUAL: Mapping[str, Any] = {"restore": {"mode": "manual"}}


def get(switch: Switch, path: str) -> tuple[int, str]:
    """Ask the agent on that switch for a URL; ConnectionError when it does not answer."""
    asked = switch.run(sys.executable, "-c", GET, path, limit=30.0)
    if asked.returncode:
        raise ConnectionError(asked.stderr)
    status, _, body = asked.stdout.partition(" ")
    return int(status), body


def statuses(switch: Switch) -> tuple[int, int, int]:
    """Return the codes of the three status URLs."""
    return get(switch, "/healthz")[0], get(switch, "/active")[0], get(switch, "/backup")[0]


ACTIVE, BACKUP, NEITHER, STUCK = (200, 200, 503), (200, 503, 200), (200, 503, 503), (503, 503, 503)


def await_statuses(pair: Lab, *expected: tuple[int, int, int]) -> None:
    """Wait until the URLs of sw1 and sw2 have these codes."""
    pair.wait_until(lambda: tuple(map(statuses, pair.switches)) == expected, LIMIT, f"the URLs say {expected}")


def sample(switch: Switch, name: str, **labels: str) -> float:
    """Return the one sample of a scrape that has these labels."""
    parser = pytest.importorskip("prometheus_client.parser")
    found = [
        each.value
        for family in parser.text_string_to_metric_families(get(switch, "/metrics")[1])
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    ]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return float(found[0])


def hook(switch: Switch, name: str, body: str) -> Path:
    """Give the switch a hook; return the file that it may write to as $TOLD."""
    directory = switch.directory / "hooks.d"
    directory.mkdir(mode=0o755, exist_ok=True)
    told = switch.directory / "told"
    path = directory / name
    path.write_text(f"#!/bin/sh\nTOLD={told}\n{textwrap.dedent(body)}\n")
    path.chmod(0o755)
    return told


def test_the_urls_follow_the_service_from_one_side_to_the_other(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.wait_until(
        lambda: (statuses(pair.sw1), statuses(pair.sw2)) == (ACTIVE, BACKUP), LIMIT, "one active, one backup"
    )
    moves = sample(pair.sw2, "ovsha_moves_total")
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_statuses(pair, NEITHER, ACTIVE)
    assert get(pair.sw1, "/active")[1] == "sw1 does not serve, because our ovsdb-server is not running\n"
    assert sample(pair.sw2, "ovsha_moves_total") > moves
    assert sample(pair.sw2, "ovsha_side_serving", whose="own") == 1
    assert sample(pair.sw2, "ovsha_side_server_life", side="sw1", life="down") == 1
    assert sample(pair.sw2, "ovsha_problem", problem="server-down") == 1
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
    await_statuses(pair, BACKUP, ACTIVE)


def test_a_loop_that_is_stuck_is_told_by_the_thread_that_is_not(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.wait_until(lambda: statuses(pair.sw2) == BACKUP, LIMIT, "a backup in sync")
    assert pair.sw2.agent.pid is not None
    with frozen(pair.sw2.agent.pid):
        pair.wait_until(lambda: statuses(pair.sw2) == STUCK, LIMIT, "the loop is found stuck")
        assert get(pair.sw2, "/healthz")[1].startswith("the agent's loop has not turned for ")
        assert sample(pair.sw2, "ovsha_loop_age_seconds") > 2
        assert statuses(pair.sw1) == ACTIVE, "the pair goes on"
    pair.wait_until(lambda: statuses(pair.sw2) == BACKUP, LIMIT, "the loop turns again")


def test_a_port_in_use_is_a_problem_that_ends_by_itself(lab: MakeLab) -> None:
    pair = lab(rows=10)
    command = [*pair.network.entering(pair.sw1.node), sys.executable, "-c", HOLD_PORT]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        pair.start(vtepds=True)
        await_pair(pair, pair.sw1)
        await_problem(pair, pair.sw1, "metrics: 127.0.0.1 port 9477 cannot be listened on: Address already in use")
    finally:
        holder.kill()
        holder.communicate()
    pair.wait_until(lambda: statuses(pair.sw1) == ACTIVE, LIMIT, "it listens")
    pair.wait_until(lambda: "9477" not in problems(pair.sw1), LIMIT, "it is no problem any more")
    assert log(pair.sw1).count("cannot be listened on") == 1, "it was logged once"


HOLD_PORT = """
import socket, sys, time
holder = socket.create_server(("127.0.0.1", 9477))
print("held", flush=True)
time.sleep(1000)
"""


def test_a_reload_turns_the_urls_off_and_moves_them(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.wait_until(lambda: statuses(pair.sw1) == ACTIVE, LIMIT, "it answers")
    rewrite(pair.sw1, metrics={"enabled": False})
    with undisturbed(pair):
        pair.sw1.agent.kill(1)
        await_word(pair, pair.sw1, "configuration read anew")
        pair.wait_until(lambda: refused(pair.sw1), LIMIT, "nobody listens any more")
    said = len(log(pair.sw1))
    rewrite(pair.sw1, metrics={"enabled": True})
    pair.sw1.agent.kill(1)
    await_word(pair, pair.sw1, "configuration read anew", since=said)
    pair.wait_until(lambda: statuses(pair.sw1) == ACTIVE, LIMIT, "it answers again")


def refused(switch: Switch) -> bool:
    try:
        get(switch, "/healthz")
    except ConnectionError as error:
        return "refused" in str(error)
    return False


def rewrite(switch: Switch, **sections: Mapping[str, Any]) -> None:
    settings.write(switch.config_file, settings.merged(switch.config, sections))


def test_hooks_are_told_of_a_failover_on_both_sides_in_order(lab: MakeLab) -> None:
    pair = lab(rows=10, overrides={**MANUAL, "replication": {"token_interval": 0.3}})
    for switch in pair.switches:
        rewrite(switch, hooks={"directory": str(switch.directory / "hooks.d"), "hold": 1.0})
        hook(switch, "10-note", 'cat >>"$TOLD"')
    pair.start_controller()
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.wait_until(lambda: way(pair.sw1) == ["start", "active", "fault"], LIMIT, "sw1's hooks are told")
    pair.wait_until(lambda: way(pair.sw2) == ["start", "backup", "active"], LIMIT, "sw2's hooks are told")
    last = [each for each in read(pair.sw2.directory / "told") if each["event"] == "after-role-change"][-1]
    assert (last["pair"], last["node"], last["peer"], last["serving"]) == ("lab", "sw2", "sw1", True)
    assert last["term"] == int(pair.sw2.global_config()["ovsha:term"])
    pair.wait_until(lambda: ("alarm", "server-down") in named_problems(pair.sw2), LIMIT, "what lasts is an alarm")
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: ("cleared", "server-down") in named_problems(pair.sw2), LIMIT, "and is cleared")
    events = named_problems(pair.sw2)
    assert len(set(events)) == len(events), "each is told once"


def read(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def way(switch: Switch) -> list[str]:
    """Return the roles that its hooks were told of, each before and after it was taken.

    To be between two roles is left out: it is told of where a loaded machine makes it last.
    """
    way, begun = ["start"], []
    for told in [each for each in read(switch.directory / "told") if each["to"] is not None]:
        if told["event"] == "before-role-change":
            begun.append((told["from"], told["to"]))
        else:
            assert (told["from"], told["to"]) == begun[-1], "what is told after was told before"
            assert told["from"] == way[-1], "and begins where the last one ended"
            way.append(told["to"])
    return [role for role in way if role != "init"]


def named_problems(switch: Switch) -> list[tuple[str, str]]:
    return [(each["event"], each["problem"]) for each in read(switch.directory / "told") if each["problem"] is not None]


def outage(pair: Lab) -> float:
    """Kill the serving side's server under the writer; return the seconds between two acknowledged rows around that."""
    await_rows(pair, 25)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    return max(later.t - earlier.t for earlier, later in pairwise(acks(pair)))


def test_a_hook_that_hangs_does_not_make_an_outage_longer(lab: MakeLab) -> None:
    pair = lab(rows=10, overrides={**MANUAL, "replication": {"token_interval": 0.3}})
    for switch in pair.switches:
        # Ten seconds for each event, which an agent that waited for its hooks would be late by.
        rewrite(switch, hooks={"directory": str(switch.directory / "hooks.d"), "limit": 10.0})
        hook(switch, "10-hangs", 'echo "$OVSHA_EVENT" >>"$TOLD"; exec sleep 1000')
    pair.start_controller(rate=200)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: (pair.sw2.directory / "told").exists(), LIMIT, "a hook hangs on the backup")
    assert outage(pair) < 5.0, "a failover takes some hundredths of a second, and no hook was waited for"
    assert log(pair.sw2).count("hook 10-hangs failed") <= 1


def test_hooks_that_others_could_have_written_are_refused_and_shown(lab: MakeLab) -> None:
    pair = lab(rows=10, overrides={"replication": {"token_interval": 0.3}})
    rewrite(pair.sw1, hooks={"directory": str(pair.sw1.directory / "hooks.d")})
    told = hook(pair.sw1, "10-open", 'cat >>"$TOLD"')
    (pair.sw1.directory / "hooks.d" / "10-open").chmod(0o777)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    await_problem(pair, pair.sw1, "hooks: not run", "10-open can be written by others than its owner: chmod go-w")
    assert not told.exists()
    assert log(pair.sw1).count("10-open can be written") == 1
