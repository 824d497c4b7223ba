"""A forensic bundle is put together by a real child, whole or not at all, and never holds anybody up."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ovs.poller import Poller

from ovsha.agent.split_brain import Bundler, answer_trace
from ovsha.core import turn as turn_rules
from ovsha.errors import DriverError
from ovsha.forensics import bundle
from ovsha.peer.rpc_server import Exchange
from ovsha.report import trace
from ovsha.report.trace import Trace
from tests.support.views import NOW, backup_case

KEY = bytes(range(32))
HOST = "127.0.0.10"
LIMIT = 30.0
IDENT = "20260102T030405Z-term7"
MANIFEST = {"what": "split brain, lost by this side", "at": "2026-01-02T03:04:05.000+00:00", "node": "sw1",
            "winner": "sw2", "why": "it has a controller's session", "term": 7, "records": {}}  # fmt: skip


def decided(turns: int) -> Trace:
    """Return a trace in which every turn differs from the one before."""
    kept, case = Trace(), backup_case()
    for turn in range(turns):
        view = case.view if turn % 2 else trace.View(NOW, case.view.settings)
        kept.note(1.6e9 + turn, view, case.memory, turn_rules.turn(view, case.memory))
    return kept


class Rig:
    """The agent's loop, in which a bundle is made while the peer answers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / bundle.DIRECTORY
        self.database = directory / "snapshot.db"
        self.database.write_bytes(b"what was given up")
        self.remembered = decided(100)
        self.peer = Exchange(HOST, 0, KEY, {"trace": partial(answer_trace, "sw2", self.remembered)})
        self.peer.run(time.monotonic())
        self.ahead = 0.0
        self.bundler = Bundler()

    def task(self, **changed: Any) -> dict[str, Any]:
        return {
            "directory": str(self.directory), "keep": 5, "id": IDENT, "node": "sw1", "key": KEY.hex(),
            "peer": {"node": "sw2", "address": HOST, "port": self.peer.port},
            "database": str(self.database), "no_database": "", "log": ["one", "two"],
            "trace": [trace.to_plain(entry) for entry in decided(10).entries()],
            "manifest": MANIFEST, **changed,
        }  # fmt: skip

    def make(self, **changed: Any) -> str:
        """Have a bundle made and return the trouble."""
        self.bundler.start(lambda: self.task(**changed), time.monotonic() + self.ahead)
        self.until(lambda: not self.bundler.busy)
        return self.bundler.trouble

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < end, "in vain"
            now = time.monotonic() + self.ahead
            self.bundler.run(now)
            self.peer.run(now)
            poller = Poller()
            self.bundler.wait(poller, now)
            self.peer.wait(poller, now)
            poller.timer_wait(20)
            poller.block()

    def manifest(self, ident: str = IDENT) -> dict[str, Any]:
        return bundle.read_manifest(self.directory / ident)

    def close(self) -> None:
        self.bundler.close()
        self.peer.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# -- how it is made ----------------------------------------------------------------------------------------------------


def test_a_bundle_holds_the_database_both_traces_the_log_and_a_manifest(rig: Rig) -> None:
    assert rig.make() == ""
    place = rig.directory / IDENT
    assert (place / "database.db").read_bytes() == b"what was given up"
    assert (place / "agent.log").read_text() == "one\ntwo\n"
    for node, decisions in (("sw1", decided(10)), ("sw2", rig.remembered)):
        lines = (place / f"trace-{node}.jsonl").read_text().splitlines()
        assert [trace.from_plain(json.loads(line)) for line in lines] == decisions.entries()
    assert {name: rig.manifest()[name] for name in MANIFEST} == MANIFEST
    assert names(rig.directory) == [IDENT], "and nothing unfinished"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (place, *place.glob("trace*")))


def test_a_peer_that_does_not_answer_is_named_and_the_rest_is_kept(rig: Rig) -> None:
    for peer in ({"node": "sw2", "address": HOST, "port": 1}, {"node": "sw2", "address": "127.0.0.66", "port": 1}):
        assert rig.make(peer=peer) == ""
    missing = rig.manifest()["missing"]
    assert missing["trace-sw2.jsonl"] == f"the agent at {HOST}:1 cannot be reached: Connection refused"
    assert names(rig.directory) == [IDENT, f"{IDENT}.2"]
    assert "trace-sw1.jsonl" in names(rig.directory / IDENT)
    assert "trace-sw2.jsonl" not in names(rig.directory / IDENT)


def test_a_peer_with_another_key_is_named(rig: Rig) -> None:
    assert rig.make(key=bytes(32).hex()) == ""
    assert "it has another key" in rig.manifest()["missing"]["trace-sw2.jsonl"]


def test_a_database_that_was_not_saved_is_named(rig: Rig) -> None:
    assert rig.make(database=None, no_database="no snapshot was taken") == ""
    missing = rig.manifest()["missing"]
    assert missing["database.db"] == missing["show-log.txt"] == "no snapshot was taken"


def test_a_disk_that_does_not_take_it_is_one_line_and_leaves_nothing(rig: Rig) -> None:
    gone = rig.database.with_name("gone.db")
    trouble = rig.make(database=str(gone))
    assert trouble.startswith("a forensic bundle cannot be made: [Errno 2] No such file or directory")
    assert names(rig.directory) == []
    rig.directory.rmdir()
    rig.directory.write_text("a file")
    assert "File exists" in rig.make()
    rig.directory.unlink()
    assert rig.make() == "", "the next one can be made"


def test_what_a_killed_child_left_is_not_seen_and_goes_with_the_next(rig: Rig) -> None:
    stale = rig.directory / f"{IDENT}.part"
    stale.mkdir(parents=True)
    (stale / "database.db").write_text("half")
    assert bundle.find(rig.directory) == []
    assert rig.make() == ""
    assert names(rig.directory) == [f"{IDENT}.2", stale.name], "another child may be at it"
    os.utime(stale, (0, 0))
    assert rig.make() == ""
    assert names(rig.directory) == [IDENT, f"{IDENT}.2"]
    assert (rig.directory / IDENT / "database.db").read_bytes() == b"what was given up"


def test_only_the_newest_are_kept(rig: Rig) -> None:
    for second in range(4):
        assert rig.make(id=f"2026010{second + 1}T000000Z-term{9 - second}", keep=2) == ""
    assert names(rig.directory) == ["20260103T000000Z-term7", "20260104T000000Z-term6"]


def test_a_child_that_hangs_is_ended_with_all_it_started(rig: Rig, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    rig.bundler = Bundler(("/bin/sh", "-c", f"sleep 1000 & echo $! $$ > {pids}; wait"), limit=50.0)
    rig.bundler.start(rig.task, time.monotonic())
    rig.until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    assert rig.bundler.busy
    rig.ahead = 51.0
    rig.until(lambda: not rig.bundler.busy)
    assert rig.bundler.trouble == "a forensic bundle cannot be made: it took longer than 50 s"
    rig.until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_cannot_be_started_or_ends_badly_is_one_line(rig: Rig) -> None:
    rig.bundler = Bundler(("/nonexistent/python3",))
    assert rig.make() == "a forensic bundle cannot be made: its child cannot be started: No such file or directory"
    rig.bundler = Bundler((sys.executable, "-c", "raise RuntimeError('of no use')"))
    assert rig.make() == "a forensic bundle cannot be made: RuntimeError: of no use"
    rig.bundler = Bundler(("/bin/false",))
    assert rig.make() == "a forensic bundle cannot be made: its child ended with status 1"


def test_a_task_that_takes_long_to_write_does_not_hold_up_the_loop(rig: Rig) -> None:
    released = threading.Event()

    def slowly() -> dict[str, Any]:
        released.wait(LIMIT)
        return rig.task()

    rig.bundler.start(slowly, time.monotonic())
    rig.bundler.run(time.monotonic())
    assert rig.bundler.busy
    released.set()
    rig.until(lambda: not rig.bundler.busy)
    assert rig.bundler.trouble == ""


def test_an_agent_that_stops_leaves_the_bundle_to_its_child(rig: Rig) -> None:
    rig.bundler.start(rig.task, time.monotonic())
    feeder = rig.bundler._feeder
    assert feeder is not None
    feeder.join(LIMIT)
    rig.bundler.close()
    rig.until(lambda: bundle.idents(rig.directory) == [IDENT])


# -- what can be seen of it --------------------------------------------------------------------------------------------


def test_a_bundle_is_listed_shown_and_removed(rig: Rig) -> None:
    assert rig.make() == ""
    (line,) = bundle.find(rig.directory)
    assert (line["id"], line["winner"], line["why"]) == (IDENT, "sw2", "it has a controller's session")
    shown = bundle.show(rig.directory, IDENT)
    assert shown["place"] == str(rig.directory / IDENT)
    assert shown["files"]["database.db"] == 17
    last = rig.remembered.entries()[-1]
    assert len(shown["traces"]["sw2"]) == bundle.LAST
    assert shown["traces"]["sw2"][-1] == {
        "at": last.at, "why": last.why, "rule": last.outcome.rule, "step": last.outcome.step,
        "state": last.outcome.state, "presence": last.outcome.presence,
    }  # fmt: skip
    assert bundle.clear(rig.directory, IDENT) == [IDENT]
    assert names(rig.directory) == []


def test_all_are_removed_at_once(rig: Rig) -> None:
    for number in (1, 2):
        assert rig.make(id=f"2026010{number}T000000Z-term1") == ""
    assert bundle.clear(rig.directory, None) == ["20260101T000000Z-term1", "20260102T000000Z-term1"]
    assert bundle.clear(rig.directory, None) == []


@pytest.mark.parametrize("ident", ["", "..", "../state.json", "20260102T030405Z-term8", f"{IDENT}/..", f"{IDENT}.part"])
def test_nothing_else_can_be_shown_or_removed(rig: Rig, ident: str) -> None:
    assert rig.make() == ""
    (rig.directory / f"{IDENT}.part").mkdir()
    for act in (bundle.show, bundle.clear):
        with pytest.raises(DriverError, match="is no bundle of"):
            act(rig.directory, ident)
    assert len(names(rig.directory)) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 99}', "\xff"])
def test_a_manifest_that_is_not_readable_is_told_in_the_list_and_can_be_removed(rig: Rig, text: str) -> None:
    assert rig.make() == ""
    (rig.directory / IDENT / "manifest.json").write_text(text, encoding="latin-1")
    (line,) = bundle.find(rig.directory)
    assert line["trouble"].endswith("manifest.json: is no manifest that this release can read")
    assert bundle.clear(rig.directory, IDENT) == [IDENT]


def test_no_directory_is_no_bundle(tmp_path: Path) -> None:
    assert bundle.find(tmp_path / "nowhere") == []
    assert bundle.clear(tmp_path / "nowhere", None) == []


def test_decisions_are_told_in_slices_that_fit_an_answer() -> None:
    kept = decided(100)
    got: list[Any] = []
    while True:
        answer = answer_trace("sw1", kept, {"after": got[-1]["number"] if got else 0})
        assert len(json.dumps(answer)) < 200_000
        got += answer["entries"]
        if not answer["more"]:
            break
    assert [trace.from_plain(plain) for plain in got] == kept.entries()


def test_it_is_made_with_low_priority(rig: Rig, tmp_path: Path) -> None:
    nice = tmp_path / "nice"
    code = f"import os, ovsha.forensics.job as job; job.main(); open({str(nice)!r}, 'w').write(str(os.nice(0)))"
    rig.bundler = Bundler((sys.executable, "-c", code))
    assert rig.make() == ""
    assert int(nice.read_text()) == min(19, os.nice(0) + 10)
