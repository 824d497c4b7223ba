"""Each switch is upgraded in its turn: the upgrade blanks its database, and no acknowledged row is lost.

What the upgrade does is done to the files of the lab's switch: a blank conf.db, another start script, and a server that
the vendor's script starts active and writable.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import seed
import settings
from lab import Lab
from story import (
    LIMIT,
    QUICK,
    MakeLab,
    acks,
    await_every_row,
    await_pair,
    await_problem,
    await_rows,
    in_sync,
    lost,
    open_here,
    seconds_with_two,
    status,
    undisturbed,
)
from switch import HERE, Switch

OLD_SCRIPT, NEW_SCRIPT = "#!/bin/sh\n# as it was\n", "#!/bin/sh\n# of the new release\nexec ovsdb-server\n"


def pair_with_scripts(make_lab: MakeLab, **wishes: Any) -> Lab:
    """Return a pair that serves on sw1, with a writer, and files on each switch that stand for the vendor's."""
    pair = make_lab(rows=200, overrides=settings.merged(QUICK, wishes))
    for switch in pair.switches:
        script(switch).parent.mkdir(parents=True)
        script(switch).write_text(OLD_SCRIPT)
        script(switch).chmod(0o755)
        switch.config["upgrade"] = {"files": [str(script(switch)), str(switch.directory / "default")]}
        settings.write(switch.config_file, switch.config)
    pair.start_controller(rate=200)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    return pair


def script(switch: Switch) -> Path:
    return switch.directory / "scripts" / "ovs-ctl-vtep"


def saves(switch: Switch) -> list[Path]:
    return sorted(each for each in (switch.directory / "state" / "upgrade").iterdir() if each.is_dir())


def upgraded(switch: Switch, *, plain: bool = False, schema: Path = seed.SCHEMA) -> None:
    """Let the upgrade take its course: everything ends, the database is blank, and the switch boots.

    `plain`: the vendor's script starts the server, active and writable, and long before the agent.
    """
    switch.agent.stop()
    switch.power_off("kill")
    switch.database.unlink()
    seed.blank(switch.database, schema)
    script(switch).write_text(NEW_SCRIPT)
    switch.server_plain = plain
    switch.power_on()
    switch.server.start()
    if plain:
        switch.appctl("ovsdb-server/add-remote", "db:hardware_vtep,Global,managers")
        assert switch.role() == "active"
        time.sleep(1.0)
    switch.server_plain = False
    switch.agent.start()


def upgrade(switch: Switch, *words: str, limit: float = 90.0) -> str:
    """Return what the command prints, which must go well."""
    agreed = () if words[0] == "status" else ("--yes",)
    done = switch.ovsha("upgrade", *words, *agreed, limit=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(switch: Switch, *words: str, code: int = 1) -> str:
    """Return the one line by which the command says no."""
    done = switch.ovsha("upgrade", *words, "--yes", limit=90.0)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stdout + done.stderr
    return done.stderr


def where(switch: Switch) -> dict[str, Any]:
    """Return the document of ovsha upgrade status."""
    document: dict[str, Any] = json.loads(upgrade(switch, "status", "--json"))
    return document


def test_both_switches_are_upgraded_in_the_right_order_and_no_acknowledged_row_is_lost(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    assert "run `ovsha switchover --to sw2`" in refused(pair.sw1, "prepare")
    assert "`ovsha upgrade prepare` on sw2" in where(pair.sw1)["next"]

    # The backup side first; its server comes up in the safe way.
    said = upgrade(pair.sw2, "prepare", "--reason", "release 5.9")
    assert "sw2 is in an upgrade" in said
    assert f"not there: {pair.sw2.directory / 'default'}" in said
    await_problem(pair, pair.sw1, "sw2 is in an upgrade for")
    assert "UPGRADE, for" in pair.sw1.ovsha("status").stdout
    upgraded(pair.sw2)
    said = upgrade(pair.sw2, "finish")
    assert "ovs-ctl-vtep (setting): changed, 2 lines more and 1 fewer" in said, said
    assert "sw2 and sw1 are equal" in said
    assert "next: now the other switch: `ovsha switchover --to sw2`, then `ovsha upgrade prepare` on sw1" in said
    assert script(pair.sw2).read_text() == NEW_SCRIPT
    await_every_row(pair, pair.sw2)

    # Then, after the switchover, the preferred side; the vendor's script starts its server while no agent runs.
    moved = pair.sw1.ovsha("switchover", "--to", "sw2", "--yes")
    assert moved.returncode == 0, moved.stderr
    await_pair(pair, pair.sw2)
    upgrade(pair.sw1, "prepare")
    upgraded(pair.sw1, plain=True)
    pair.wait_until(lambda: pair.sw1.role() == "backup", LIMIT, "the server of sw1 is taken back")
    await_rows(pair, 200)
    assert open_here(pair.sw1) == frozenset(), "the preferred side does not serve before its upgrade is finished"
    said = upgrade(pair.sw1, "finish")
    assert "next: both switches were upgraded; `ovsha restore-primary`" in said
    assert where(pair.sw2)["next"] == where(pair.sw1)["next"]
    back = pair.sw2.ovsha("restore-primary", "--yes")
    assert back.returncode == 0, back.stderr
    await_pair(pair, pair.sw1)
    await_rows(pair, 200)
    assert "nothing is left to do" in where(pair.sw1)["next"]
    assert lost(pair, pair.sw1) == []
    assert seconds_with_two(pair) == 0
    assert len(acks(pair)) > 500


def test_upgraded_switch_follows_a_newer_one_only_after_its_own_upgrade_and_is_let_through_for_that(
    lab: MakeLab,
) -> None:
    pair = pair_with_scripts(lab)
    newer = seed.newer_schema(pair.directory / "newer.ovsschema")
    upgrade(pair.sw2, "prepare")
    upgraded(pair.sw2, schema=newer)
    upgrade(pair.sw2, "finish")
    assert pair.sw1.ovsha("switchover", "--yes").returncode == 0
    await_problem(pair, pair.sw1, "schema")
    assert "cannot copy from sw2" in upgrade(pair.sw1, "prepare")
    assert "was not upgraded, or its database was not converted" in refused(pair.sw1, "finish")
    upgraded(pair.sw1, schema=newer)
    upgrade(pair.sw1, "finish")
    await_pair(pair, pair.sw2)
    assert lost(pair, pair.sw2) == []


@pytest.mark.long
def test_upgrade_that_is_called_off_at_once_disturbs_nobody(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    with undisturbed(pair):
        told = json.loads(upgrade(pair.sw2, "prepare", "--json"))
        assert {"prepared", "place", "rows", "term", "files", "absent"} < told.keys()
        assert [each["kind"] for each in told["files"]].count("key") == 1
        assert where(pair.sw1)["sides"]["sw2"]["in_upgrade"] is True
        told = json.loads(upgrade(pair.sw2, "finish", "--json"))
    assert (told["equal"], told["put_back"], told["left"]) == (True, [], [])
    upgrade(pair.sw2, "prepare")
    assert "everything is as it was saved" in upgrade(pair.sw2, "finish")
    assert "was finished" in upgrade(pair.sw2, "finish"), "again is no error"
    assert "is in no upgrade" in refused(pair.sw1, "finish")


@pytest.mark.long
def test_lost_peer_is_waited_for_and_what_was_saved_serves_when_the_operator_says_so(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    saved = {ack.mac for ack in acks(pair)} & pair.sw2.rows()
    upgrade(pair.sw2, "prepare")
    pair.sw1.power_off("kill")
    upgraded(pair.sw2)
    await_problem(pair, pair.sw2, "in an upgrade", "--peer-lost")
    pair.wait_until(lambda: status(pair.sw2)["state"] == "needs-decision", LIMIT, "sw2 asks for a decision")
    assert "bring it up, or, if it is lost, add --peer-lost" in refused(pair.sw2, "finish", "--wait", "1s")
    assert "needs --reason" in refused(pair.sw2, "finish", "--peer-lost", code=2)
    lost_words = ("finish", "--peer-lost", "--reason", "fire")
    assert "is empty" in (said := refused(pair.sw2, *lost_words))
    assert "`--restore-database` puts back what was saved" in said
    assert "runs and has the file open" in refused(pair.sw2, *lost_words, "--restore-database")
    pair.sw2.server.stop()
    assert "next: start ovsdb-server here" in upgrade(pair.sw2, *lost_words, "--restore-database")
    pair.sw2.server.start()
    pair.wait_until(lambda: status(pair.sw2)["sides"]["sw2"]["life"] == "up", LIMIT, "the agent sees the server")
    assert "sw2 is active in term" in upgrade(pair.sw2, *lost_words)
    assert saved <= pair.sw2.rows()
    assert status(pair.sw2)["upgrade"] is None


def test_configuration_key_and_identity_come_back_with_their_owner_and_mode(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    default = pair.sw2.directory / "default"
    default.write_text("OVSDB_SERVER_OPTIONS=\n")
    default.chmod(0o640)
    upgrade(pair.sw2, "prepare")
    key = pair.directory / "pair.key"
    gone = [pair.sw2.config_file, key, default, pair.sw2.directory / "state" / "identity"]
    before = [(path.read_bytes(), path.stat().st_mode, path.stat().st_uid) for path in gone]
    pair.sw2.agent.stop()
    for path in gone:
        path.unlink()
    (place,) = saves(pair.sw2)
    said = refused(pair.sw2, "finish", code=2)
    assert "ovsha.yaml" in said, "where nothing is known, the place has to be named"
    said = refused(pair.sw2, "finish", "--from", str(place))
    assert "start ovsha" in said
    assert [(path.read_bytes(), path.stat().st_mode, path.stat().st_uid) for path in gone] == before
    pair.sw2.agent.start()
    upgrade(pair.sw2, "finish")
    assert in_sync(pair)


def test_copy_of_a_file_that_is_damaged_is_not_put_back(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    upgrade(pair.sw2, "prepare")
    (place,) = saves(pair.sw2)
    copy = place / "files" / str(script(pair.sw2)).lstrip("/")
    copy.write_text("rotten")
    script(pair.sw2).unlink()
    assert "is not what was saved" in refused(pair.sw2, "finish")
    assert not script(pair.sw2).exists()


def test_blank_database_is_offered_to_nobody_when_the_mark_was_wiped_as_well(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    assert pair.sw1.ovsha("switchover", "--yes").returncode == 0
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    upgrade(pair.sw1, "prepare")
    (place,) = saves(pair.sw1)
    elsewhere = pair.directory / "elsewhere"
    shutil.copytree(place, elsewhere)
    pair.sw1.agent.stop()
    shutil.rmtree(pair.sw1.directory / "state")
    (pair.sw1.directory / "state").mkdir()
    upgraded(pair.sw1, plain=True)
    await_problem(pair, pair.sw1, "sw2 knows sw1 by another identity")
    pair.wait_until(lambda: pair.sw1.replicates_from() is not None, LIMIT, "sw1 follows all the same")
    await_rows(pair, 100)
    assert open_here(pair.sw1) == frozenset()
    assert pair.sw2.ovsha("peer", "forget", "--yes").returncode == 0
    assert "identity" in upgrade(pair.sw1, "finish", "--from", str(elsewhere))
    assert lost(pair, pair.sw2) == []
    assert seconds_with_two(pair) == 0


def killed(switch: Switch, after: float, *words: str) -> None:
    """Run the command and kill it, and then the agent, a while later; the agent comes back."""
    command = [sys.executable, "-m", "ovsha", "upgrade", *words, "--yes", "--config", str(switch.config_file)]
    running = subprocess.Popen(
        [*switch.entering, *command],
        cwd=HERE.parent,
        env={**os.environ, **switch.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    running.kill()
    running.wait()
    switch.agent.kill()
    switch.agent.start()


@pytest.mark.long
def test_command_or_agent_that_is_killed_anywhere_leaves_what_can_be_run_again(lab: MakeLab) -> None:
    pair = pair_with_scripts(lab)
    for after in (0.3, 0.6, 0.9, 1.3):
        killed(pair.sw2, after, "prepare")
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        if status(pair.sw2)["upgrade"] is None:
            upgrade(pair.sw2, "prepare")
        place = Path(where(pair.sw2)["place"])
        assert (place / "manifest.json").exists(), "what stands has its save"
        upgraded(pair.sw2)
        killed(pair.sw2, after, "finish")
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        upgrade(pair.sw2, "finish")
        assert status(pair.sw2)["upgrade"] is None
    assert not list((pair.sw2.directory / "state" / "upgrade").glob(".new-*"))
    assert len(saves(pair.sw2)) <= 4, "the oldest have gone; one that was killed had no time for it"
    await_every_row(pair, pair.sw2)
    assert lost(pair, pair.sw1) == []
