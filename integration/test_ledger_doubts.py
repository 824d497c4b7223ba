"""A ledger that has no base lists doubts, and nothing that is done with it takes a row from the survivor."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import disk
import rpc
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    await_pair,
    await_rows,
    await_service,
    begin,
    lost,
    status,
    strike,
)
from switch import Switch

HERE = Path(__file__).resolve().parent
MACS = "Ucast_Macs_Remote"
HOLD = 'add table netdev hold; add chain netdev hold lost {{ type filter hook ingress device "{}" priority 0; }}'
MANUAL = {"restore": {"mode": "manual"}}
LATE = 300.0
"""Seconds within which a comparison has given up waiting for a base."""


def test_no_replay_of_a_ledger_without_a_base_takes_a_row_from_the_survivor(lab: MakeLab) -> None:
    pair = begin(lab, rate=200, overrides=MANUAL)
    die_with_rows_that_only_sw1_has(pair)
    # The agent dies before it has kept what the side held, and the file's past goes with a compaction.
    strike(pair.sw2, "step: open the remote of the managers", 0, pair.sw2.agent.kill)
    pair.sw2.appctl("ovsdb-server/compact")
    pair.sw2.agent.start()
    told_and_tried(pair, comes_back(pair))


@pytest.mark.long
def test_a_survivor_whose_disk_was_full_when_it_took_over_keeps_every_row(lab: MakeLab, stack: ExitStack) -> None:
    pair = lab(overrides={"replication": {"token_interval": 0.3}, **MANUAL})
    state = disk.for_state(stack, pair.sw2)
    pair.start_controller(rate=200.0)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    state.fill()
    die_with_rows_that_only_sw1_has(pair)
    told_and_tried(pair, comes_back(pair))


def die_with_rows_that_only_sw1_has(pair: Lab) -> None:
    """Kill sw1's server while its last rows have not reached sw2, which takes over."""
    pair.sw2.run("nft", HOLD.format("peerlink.4094") + "; add rule netdev hold lost tcp sport 9999 drop")
    await_rows(pair, 40)
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active", LIMIT, "the survivor is active")
    pair.sw2.run("nft", "delete table netdev hold")


def comes_back(pair: Lab) -> set[str]:
    """Have sw1 come back after the survivor has acknowledged rows; return the addresses of those that only sw1 had."""
    await_service(pair, pair.sw2)
    await_rows(pair, 200)
    gone = {ack.mac for ack in lost(pair, pair.sw2)}
    assert gone, "some rows are lost"
    pair.controller.stop()
    pair.sw1.server.start()
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: heads(pair.sw1), LATE, "sw1 has a ledger")
    return gone


def told_and_tried(pair: Lab, gone: set[str]) -> None:
    """Look at the ledger, replay it in every way, and hold that rows are added only and only those that are named."""
    loser, survivor = pair.sw1, pair.sw2
    (head,) = heads(loser)
    ident = head["id"]
    assert not head["exact"]
    pair.wait_until(lambda: problem(loser), LIMIT, "the status names it")
    found = problem(loser)
    assert "doubt" in found["what"]
    assert "ledger show" in found["do"]
    assert "replay" not in found["do"], "it is to be looked at"
    entries = json.loads(loser.ovsha("ledger", "show", ident, "--json").stdout)["entries"]
    assert {entry["kind"] for entry in entries} == {"doubt"}
    doubts = {entry["row"]["MAC"]: entry["uuid"] for entry in entries if entry["table"] == MACS}
    assert gone <= doubts.keys()

    before = rows(survivor)
    for words in ([], ["--yes"], ["--yes", "--deletions"], ["--yes", "--again"]):
        refused = replay(loser, ident, *words)
        assert refused.returncode != 0, refused.stdout
        assert rows(survivor) == before
    dry = replay(loser, ident, "--dry-run", "--json")
    assert {each["uuid"] for each in json.loads(dry.stdout)["rows"] if each["verdict"] == "replay"} >= {
        doubts[mac] for mac in gone
    }
    assert rows(survivor) == before
    one, *others = sorted(gone)
    named = replay(loser, ident, doubts[one], "--yes")
    assert named.returncode == 0, named.stderr
    after = rows(survivor)
    assert after.keys() - before.keys() == {doubts[one]}
    assert before.items() <= after.items(), "what was there is as it was"
    # A list is confirmed at a terminal; what it names is added if it is not there, and that is all.
    refused = at_terminal(loser, ident, "n")
    assert refused.returncode == 1
    assert rows(survivor) == after
    assert all(doubts[mac] in refused.stdout for mac in others), "each row is in the list"
    confirmed = at_terminal(loser, ident, "y")
    assert confirmed.returncode == 0, confirmed.stdout
    assert before.items() <= rows(survivor).items()
    assert not lost(pair, survivor)
    pair.wait_until(lambda: not problem(loser), LIMIT, "the status is clear again")
    # Once it was brought back, nobody but a client can have deleted it.
    rpc.transact(survivor.socket, {"op": "delete", "table": MACS, "where": [["MAC", "==", one]]})
    assert at_terminal(loser, ident, "y").returncode == 1, "it is settled"
    assert one not in survivor.rows()


def heads(switch: Switch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(switch.ovsha("ledger", "list", "--json").stdout)["ledgers"]
    return found


def problem(switch: Switch) -> dict[str, Any]:
    return next((each for each in status(switch)["problems"] if each["name"] == "divergence"), {})


def rows(switch: Switch) -> dict[str, str]:
    """Return every row that a controller or a VTEP daemon may have written, by its uuid."""
    tables = (MACS, "Ucast_Macs_Local", "Mcast_Macs_Remote", "Logical_Switch", "Physical_Locator", "Physical_Switch")
    columns = {MACS: ("MAC", "ipaddr", "locator", "logical_switch")}
    return {
        row["_uuid"][1]: json.dumps(row, sort_keys=True)
        for table in tables
        for row in rpc.select(switch.socket, table, "_uuid", *columns.get(table, ()), limit=LIMIT)
    }


def at_terminal(switch: Switch, ident: str, answer: str) -> CompletedProcess[str]:
    """Replay at a terminal at which the operator types an answer."""
    master, slave = pty.openpty()
    try:
        os.write(master, f"{answer}\n".encode())
        command = [sys.executable, "-m", "ovsha", "ledger", "replay", ident, "--config", str(switch.config_file)]
        return subprocess.run(
            [*switch.entering, *command], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60.0, check=False, cwd=HERE.parent, env=switch.environment,
        )  # fmt: skip
    finally:
        os.close(master)
        os.close(slave)


def replay(switch: Switch, ident: str, *words: str) -> CompletedProcess[str]:
    return switch.ovsha("ledger", "replay", ident, *words)
