"""Laws of the backups' names, of their keeping, of the tasks done for the peer, and of the units that run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.agent.peer_tasks import Tasks
from ovsha.backup import store
from ovsha.cli.backup_actions import written
from ovsha.divergence.compare import Entry, Kind
from ovsha.errors import DriverError
from ovsha.forensics import collect

ROOT = Path(__file__).resolve().parents[2]
MOMENT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MARK = "0123456789ab"


def keep(directory: Path, count: int) -> list[str]:
    names = [store.name(MOMENT + timedelta(days=day), 3, MARK) for day in range(count)]
    for name in names:
        (directory / name).write_bytes(b"x")
    return names


@given(st.integers(0, 3 * 10**10), st.integers(0, 10**18))
def test_a_name_says_what_it_was_made_of(at: int, term: int) -> None:
    moment = datetime.fromtimestamp(at, UTC)
    match = store._NAME.fullmatch(store.name(moment, term, MARK))
    assert match is not None
    assert (match["at"], match["term"], match["fingerprint"]) == (f"{moment:%Y%m%dT%H%M%SZ}", str(term), MARK)


def test_the_newest_stay_and_what_has_another_name_is_never_touched(tmp_path: Path) -> None:
    names = keep(tmp_path, 7)
    others = {"precious.db.gz", f"{names[0]}.mine", "20261121T020000Z-term1-XYZ.db.gz"}
    for name in others:
        (tmp_path / name).write_bytes(b"x")
    store.prune_oldest(tmp_path, 5)
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:], *others}


def test_two_of_the_same_second_are_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    first, second = (tmp_path / store.name(MOMENT, 1, mark) for mark in ("f" * 12, "0" * 12))
    for number, path in enumerate((first, second)):
        path.write_bytes(b"x")
        os.utime(path, (number, number))
    assert [each.path for each in store.find(tmp_path)] == [first, second]


def test_a_backup_is_picked_by_its_beginning_its_path_or_as_the_newest(tmp_path: Path) -> None:
    names = keep(tmp_path, 3)
    assert store.pick(tmp_path, "20261122").name == names[1]
    assert store.pick(tmp_path, "newest").name == names[2]
    assert store.pick(tmp_path, str(tmp_path / names[0])).name == names[0]
    for wrong in ("2026", "1999", "", str(tmp_path / "nowhere.db.gz")):
        with pytest.raises(DriverError):
            store.pick(tmp_path, wrong)


def test_without_a_backup_there_is_no_newest(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="there is no backup in "):
        store.pick(tmp_path, "newest")


def test_what_was_restored_is_told_by_kind() -> None:
    entries = [Entry("T", "u1", Kind.INSERTED, {}, None), *[Entry("T", "u2", Kind.DELETED, None, {})] * 2]
    assert written(entries) == "1 rows inserted, 0 changed and 2 deleted"


def test_the_fingerprint_is_that_of_the_rows_in_whatever_order() -> None:
    one = {"A": {"u1": '{"x":1}', "u2": '{"x":2}'}, "B": {}}
    assert store.fingerprint(one) == store.fingerprint({"B": {}, "A": dict(reversed(one["A"].items()))})
    assert store.fingerprint(one) != store.fingerprint({"A": {**one["A"], "u2": '{"x":3}'}})


# -- tasks for the peer ------------------------------------------------------------------------------------------------


class Config:
    """What tasks need of a configuration."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ovsha.yaml"
        self.state_directory = directory


def over(tasks: Tasks, started: dict[str, str]) -> dict[str, Any]:
    while not (found := tasks.look(started))["done"]:
        time.sleep(0.01)
    return found


def made(tmp_path: Path, script: str) -> Tasks:
    return Tasks(Config(tmp_path), (sys.executable, "-c", script))  # type: ignore[arg-type]


def test_a_task_gives_its_result_as_often_as_it_is_asked_for(tmp_path: Path) -> None:
    tasks = made(tmp_path, "import json, sys; print(json.dumps(json.load(sys.stdin)['what']))")
    started = tasks.start({"what": "backup"})
    assert over(tasks, started)["result"] == over(tasks, started)["result"] == "backup"
    with pytest.raises(DriverError, match="not known any more"):
        tasks.look({"id": "another"})


def test_a_task_that_fails_tells_its_last_line(tmp_path: Path) -> None:
    tasks = made(tmp_path, "import sys; sys.stdin.read(); print('no\\nroom', file=sys.stderr); sys.exit(1)")
    started = tasks.start({"what": "backup"})
    with pytest.raises(DriverError, match=r"^room$"):
        over(tasks, started)


def test_one_task_runs_at_a_time(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tasks = made(tmp_path, f"import sys; sys.stdin.read(); open({str(gate)!r}).read(); print('{{}}')")
    started = tasks.start({"what": "backup"})
    with pytest.raises(DriverError, match="under way"):
        tasks.start({"what": "collect"})
    assert tasks.look(started) == {"done": False}
    gate.write_text("go")
    assert over(tasks, started)["result"] == {}


# -- the archive -------------------------------------------------------------------------------------------------------


def test_an_archive_is_its_owners_takes_no_key_and_is_whole_or_not_there(tmp_path: Path) -> None:
    path, key = tmp_path / "a.tar.gz", b"k" * 32
    with collect.Archive(path, (key,)) as archive:
        archive.add("sw1/good", b"fine")
        for secret in (b"it is " + key, b"-----BEGIN PRIVATE KEY-----"):
            with pytest.raises(DriverError, match="left out"):
                archive.add("sw1/bad", secret)
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["sw1/good"]
    with pytest.raises(KeyError), collect.Archive(tmp_path / "b.tar.gz", ()):
        raise KeyError
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]


# -- the units ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("ovsha-backup.service", "ovsha-backup.timer"):
        text = (ROOT / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/ovsha", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))], capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if "ovsha-backup" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_units_are_installed(tmp_path: Path) -> None:
    subprocess.run(["make", "-C", str(ROOT), "install", f"DESTDIR={tmp_path}"], check=True, capture_output=True)
    units = {path.name for path in (tmp_path / "lib/systemd/system").iterdir()}
    assert {"ovsha.service", "ovsha-backup.service", "ovsha-backup.timer"} <= units
