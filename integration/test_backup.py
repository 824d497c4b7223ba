"""Backups are taken on the backup side, say when they are damaged, and bring the rows back on both sides."""

from __future__ import annotations

import gzip
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import disk
import rpc
import seed
import settings
from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_rows, begin, in_sync, status
from switch import Switch

TABLE = "Ucast_Macs_Remote"


def kept(switch: Switch) -> list[Path]:
    return sorted((switch.directory / "state" / "backups").glob("*.db.gz"))


def told(switch: Switch, *words: str, status: int = 0) -> dict[str, Any]:
    done = switch.ovsha("backup", *words, "--json", limit=90.0)
    assert done.returncode == status, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema"] == 1
    return document


def quiet(pair: Lab) -> None:
    """Have nobody write any more, and both sides hold the same."""
    pair.controller.stop()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync")
    pair.wait_until(lambda: by_uuid(pair.sw1) == by_uuid(pair.sw2), LIMIT, "both hold the same rows")


def by_uuid(switch: Switch) -> dict[str, str]:
    return {row["_uuid"][1]: row["MAC"] for row in rpc.select(switch.socket, TABLE, "_uuid", "MAC")}


def spoil(switch: Switch) -> None:
    """Delete rows, change one and add one, as a mistake in the controller does."""
    (like,) = (row for row in rpc.select(switch.socket, TABLE, "MAC", "logical_switch", "locator")
               if row["MAC"] == seed.mac(9))  # fmt: skip
    doomed = [["MAC", "==", seed.mac(number)] for number in range(5)]
    rpc.transact(
        switch.socket,
        *({"op": "delete", "table": TABLE, "where": [where]} for where in doomed),
        {"op": "update", "table": TABLE, "where": [["MAC", "==", seed.mac(7)]], "row": {"ipaddr": "192.0.2.7"}},
        {"op": "insert", "table": TABLE, "row": {**like, "MAC": "02:00:00:00:00:01"}},
    )


def test_a_backup_is_taken_on_the_backup_side_and_kept_on_both_and_not_written_again(lab: MakeLab) -> None:
    pair = begin(lab, rows=200)
    await_rows(pair, 20)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    taken = told(pair.sw1, "create")
    assert taken["node"] == "sw2", "while a controller writes, the active side is spared"
    assert not taken["unchanged"]
    assert [path.name for path in kept(pair.sw1)] == [path.name for path in kept(pair.sw2)] == [taken["name"]]
    assert kept(pair.sw1)[0].stat().st_mode & 0o777 == 0o600
    quiet(pair)
    first = told(pair.sw1, "create")
    assert first["name"] != taken["name"]
    again = told(pair.sw1, "create")
    assert (again["unchanged"], again["name"]) == (True, first["name"])
    assert told(pair.sw2, "create")["node"] == "sw2"
    assert len(kept(pair.sw1)) == len(kept(pair.sw2)) == 2
    assert [each["whole"] for each in told(pair.sw1, "verify")["backups"]] == [True, True]
    shown = told(pair.sw2, "show", "newest")
    assert shown["rows"][TABLE] == len(pair.sw2.rows())
    assert shown["restoring"] == {"inserted": 0, "changed": 0, "deleted": 0}

    # With the peer out of reach, or the agent down, it is taken here, and that is said.
    spoil(pair.sw1)
    pair.sw2.agent.stop()
    pair.wait_until(lambda: status(pair.sw1)["presence"] != "alive", LIMIT, "sw2's agent is not heard")
    done = pair.sw1.ovsha("backup", "create")
    assert (done.returncode, "taken on sw1: sw2 is not heard" in done.stdout) == (0, True), done.stdout + done.stderr
    pair.sw1.agent.stop()
    assert told(pair.sw1, "create")["why"].startswith("the agent here does not answer")


def test_a_backup_is_restored_into_the_running_server_and_rows_keep_their_uuids(lab: MakeLab) -> None:
    pair = begin(lab, rows=200)
    quiet(pair)
    taken = told(pair.sw1, "create")
    before = by_uuid(pair.sw1)
    spoil(pair.sw1)
    assert told(pair.sw1, "show", taken["name"])["restoring"] == {"inserted": 5, "changed": 1, "deleted": 1}

    refused = pair.sw2.ovsha("backup", "restore", taken["name"], "--yes")
    assert (refused.returncode, "run this on sw1" in refused.stderr) == (1, True), refused.stderr
    assert pair.sw1.ovsha("backup", "restore", taken["name"]).returncode == 2, "nobody has agreed"
    spoiled = by_uuid(pair.sw1)
    done = pair.sw1.ovsha("backup", "restore", taken["name"], "--yes", limit=90.0)
    assert done.returncode == 0, done.stderr
    for words in ("NSX", "sw2 has them too", "5 rows inserted, 1 changed and 1 deleted; 0 of them differ"):
        assert words in done.stdout, done.stdout
    assert by_uuid(pair.sw1) == by_uuid(pair.sw2) == before
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync afterwards")
    for switch in pair.switches:
        assert {each["name"] for each in status(switch)["problems"]} <= {"no-controller"}, "the test has stopped it"

    # What was there before was kept, and comes back the same way.
    undo = kept(pair.sw1)[-1].name
    assert pair.sw1.ovsha("backup", "restore", undo, "--yes", limit=90.0).returncode == 0
    assert by_uuid(pair.sw1) == by_uuid(pair.sw2) == spoiled


def test_a_backup_is_restored_into_the_file_of_a_stopped_server_and_is_followed(lab: MakeLab) -> None:
    pair = begin(lab, rows=200)
    quiet(pair)
    taken = told(pair.sw1, "create")
    before = by_uuid(pair.sw1)
    spoil(pair.sw1)
    pair.wait_until(lambda: by_uuid(pair.sw1) == by_uuid(pair.sw2), LIMIT, "sw2 has the mistake too")
    words = ("backup", "restore", taken["name"], "--offline", "--yes")
    for stopped, running in (
        (None, "the agent of sw1 runs"), (pair.sw1.agent, "the agent of sw2 runs"),
        (pair.sw2.agent, "ovsdb-server of sw1 runs"),
    ):  # fmt: skip
        if stopped is not None:
            stopped.stop()
        refused = pair.sw1.ovsha(*words)
        assert (refused.returncode, running in refused.stderr) == (1, True), refused.stderr
    for remote in pair.sw1.remotes():
        pair.sw1.appctl("ovsdb-server/remove-remote", remote)
    pair.sw1.socket.unlink(missing_ok=True)
    refused = pair.sw1.ovsha(*words)
    assert refused.returncode == 1, "what answers nowhere has the file open all the same"
    assert "ovsdb-server of sw1 runs" in refused.stderr
    pair.sw1.server.stop()
    done = pair.sw1.ovsha(*words, limit=90.0)
    assert done.returncode == 0, done.stderr
    assert "now start ovsdb-server here" in done.stdout
    pair.sw1.server.start()
    for switch in pair.switches:
        switch.agent.start()
    await_pair(pair, pair.sw1)
    assert by_uuid(pair.sw1) == by_uuid(pair.sw2) == before
    assert status(pair.sw1)["rule"] == "we-serve"


@pytest.mark.parametrize(
    "how", ["cut", "another", *(pytest.param(each, marks=pytest.mark.long) for each in ("bits", "nothing"))]
)
def test_a_damaged_backup_is_refused_in_one_line(lab: MakeLab, how: str) -> None:
    pair = begin(lab, rows=50)
    quiet(pair)
    told(pair.sw1, "create")
    (path,) = kept(pair.sw1)
    whole = path.read_bytes()
    path.write_bytes({
        "cut": whole[: len(whole) // 2],
        "bits": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        "another": gzip.compress(gzip.decompress(whole).replace(b"0e:5e", b"0e:5f")),
        "nothing": b"",
    }[how])  # fmt: skip
    held = by_uuid(pair.sw1)
    spoil(pair.sw1)
    for words in (("verify",), ("show", "newest"), ("restore", "newest", "--yes")):
        done = pair.sw1.ovsha("backup", *words, limit=90.0)
        assert done.returncode == 1, done.stdout
        assert done.stderr.count("\n") == 1
        assert str(path) in done.stderr
        assert "is damaged" in done.stderr
    assert by_uuid(pair.sw1) != held, "nothing was restored"


def test_a_full_disk_takes_no_backup_and_keeps_those_that_are_there(lab: MakeLab, stack: ExitStack) -> None:
    pair = lab(rows=50)
    place = disk.Disk(stack, pair.sw2.directory / "disk", megabytes=100)
    overrides = {"backup": {"directory": str(place.place / "backups")}}
    settings.write(pair.sw2.config_file, settings.merged(pair.sw2.config, overrides))
    pair.start_controller()
    pair.start()
    await_pair(pair, pair.sw1)
    first = told(pair.sw2, "create")
    place.fill()
    done = pair.sw2.ovsha("backup", "create")
    assert (done.returncode, done.stderr.count("\n"), "MB free" in done.stderr) == (1, 1, True), done.stderr
    assert [path.name for path in (place.place / "backups").iterdir()] == [first["name"]]
    # The active side is told so, and takes its own.
    told_here = told(pair.sw1, "create")
    assert told_here["node"] == "sw1"
    assert "sw2 could not take it" in told_here["why"]
    place.free()
    assert told(pair.sw1, "create")["node"] == "sw2"


def test_a_backup_is_exported_by_the_operators_command_and_its_failure_is_told(lab: MakeLab, tmp_path: Path) -> None:
    script = tmp_path / "export"
    script.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/away ] || {{ echo "no route to the vault" >&2; exit 3; }}\n'
        f'cp "$1" {tmp_path}/away/\n'
    )
    script.chmod(0o755)
    pair = begin(lab, rows=50, overrides={"backup": {"export": [str(script)], "keep": 2}})
    failed = pair.sw1.ovsha("backup", "create", limit=60.0)
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert "no route to the vault" in failed.stderr
    (tmp_path / "away").mkdir()
    for _ in range(3):
        await_rows(pair, 5)
        done = told(pair.sw1, "create")
        assert done["exported"]
    assert len(list((tmp_path / "away").iterdir())) == 3
    assert len(kept(pair.sw1)) == 2, "the newest two are kept"
    assert told(pair.sw1, "prune", "--keep", "1", "--yes")["left"] == 1
    assert kept(pair.sw1)[0].name == done["name"]
