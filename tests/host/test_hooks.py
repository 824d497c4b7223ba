"""Hooks are run in order, once, within their time, with the facts; those that others may have written are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ovsha.host.hooks import MOST, Event, Hooks

LIMIT = 20.0
FACTS = {"event": "alarm", "node": "sw1", "from": None, "serving": True, "term": 7, "reason": "two\nlines\0 of words"}


class Place:
    """A directory of hooks, each of which writes what it was told into one file."""

    def __init__(self, path: Path) -> None:
        self.path = path / "hooks.d"
        self.path.mkdir(mode=0o755)
        self.told = path / "told"
        self.hooks = Hooks(self.path, limit=LIMIT)

    def hook(self, name: str, body: str = 'echo "$OVSHA_EVENT $OVSHA_REASON $0" >>"$TOLD"', mode: int = 0o755) -> Path:
        path = self.path / name
        path.write_text(f"#!/bin/sh\nTOLD={self.told}\n{body}\n")
        path.chmod(mode)
        return path

    def tell(self, *events: Event) -> None:
        for event in events:
            self.hooks.tell(event)

    def finish(self) -> list[str]:
        """Wait until all are over, and return what the hooks have written."""
        self.hooks.close(LIMIT)
        return self.told.read_text().splitlines() if self.told.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    there = Place(tmp_path)
    with closing(there.hooks):
        yield there


def event(name: str, reason: str = "") -> Event:
    return Event(name, {"event": name, "reason": reason})


def await_true(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_hooks_are_told_by_event_and_then_by_name_each_once(place: Place) -> None:
    for name in ("20-page", "10-first", "30.last"):
        place.hook(name)
    place.tell(event("before-role-change", "a"), event("after-role-change", "b"))
    assert [[*line.split()[:2], Path(line.split()[2]).name] for line in place.finish()] == [
        ["before-role-change", "a", "10-first"],
        ["before-role-change", "a", "20-page"],
        ["before-role-change", "a", "30.last"],
        ["after-role-change", "b", "10-first"],
        ["after-role-change", "b", "20-page"],
        ["after-role-change", "b", "30.last"],
    ]
    assert place.hooks.counters == {"hooks_run": 6, "hooks_failed": 0, "hooks_dropped": 0}


def test_a_hook_has_the_facts_in_its_environment_and_on_its_input(place: Place, tmp_path: Path) -> None:
    place.hook("all", f'env >"{tmp_path}/env"; cat >"{tmp_path}/input"; echo "$1" >>"$TOLD"; pwd >>"$TOLD"')
    os.environ["NOTIFY_SOCKET"] = "/nowhere"
    try:
        place.tell(Event("alarm", FACTS))
        assert place.finish() == ["alarm", "/"]
    finally:
        del os.environ["NOTIFY_SOCKET"]
    assert json.loads((tmp_path / "input").read_text()) == FACTS
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    told = {name: word for name, word in env.items() if name.startswith("OVSHA_")}
    assert told == {
        "OVSHA_EVENT": "alarm",
        "OVSHA_NODE": "sw1",
        "OVSHA_SERVING": "1",
        "OVSHA_TERM": "7",
        "OVSHA_REASON": "two lines of words",
    }
    assert "NOTIFY_SOCKET" not in env, "a hook cannot speak to systemd in the agent's name"


def test_a_hook_that_hangs_is_killed_with_all_that_it_started_and_the_next_is_run(place: Place, tmp_path: Path) -> None:
    place.hooks.limit = 0.3
    place.hook("10-hangs", f'sleep 1000 & echo $! >"{tmp_path}/pid"; wait')
    place.hook("20-after")
    place.tell(event("alarm"))
    assert len(place.finish()) == 1
    child = int((tmp_path / "pid").read_text())
    await_true(lambda: not alive(child))
    assert place.hooks.counters["hooks_failed"] == 1


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_telling_returns_at_once_while_a_hook_hangs(place: Place) -> None:
    place.hook("hangs", f"while [ ! -e {place.told}.go ]; do sleep 0.01; done")
    place.tell(event("alarm"))
    await_true(lambda: place.hooks.counters["hooks_run"])
    began = time.thread_time()
    place.tell(*(event("alarm") for _ in range(MOST)))
    assert place.hooks.counters == {"hooks_run": 1, "hooks_failed": 0, "hooks_dropped": 0}
    assert time.thread_time() - began < 1.0
    Path(f"{place.told}.go").touch()


def test_a_full_queue_drops_its_oldest_and_says_so(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.hook("writes", f'while [ ! -e {place.told}.go ]; do sleep 0.01; done; echo "$OVSHA_REASON" >>"$TOLD"')
    place.tell(event("alarm", "first"))
    await_true(lambda: place.hooks.counters["hooks_run"])
    place.tell(*(event("alarm", str(number)) for number in range(MOST + 2)))
    Path(f"{place.told}.go").touch()
    assert place.finish() == ["first", *(str(number) for number in range(2, MOST + 2))]
    assert place.hooks.counters["hooks_dropped"] == 2
    assert [each.getMessage() for each in caplog.records] == [
        f"hooks are not told of alarm: {MOST} events wait already"
    ] * 2


def test_a_hook_that_fails_is_logged_with_its_last_words(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.hook("10-fails", "yes noise | head -n 100000 >&2; printf 'no route to \\033 the pager\\n' >&2; exit 3")
    place.hook("20-dies", "kill -9 $$")
    place.hook("30-nothing", "").write_text("no program at all")
    place.tell(event("degraded"))
    place.finish()
    assert [each.getMessage() for each in caplog.records] == [
        "hook 10-fails failed on degraded: exit status 3: no route to ? the pager",
        "hook 20-dies failed on degraded: killed by signal 9",
        "hook 30-nothing failed on degraded: it cannot be started: Exec format error",
    ]


def test_a_hook_that_reads_nothing_is_no_failure(place: Place) -> None:
    place.hook("closes", "exec <&-; true")
    place.tell(Event("alarm", {"much": "x" * 30_000}))
    place.finish()
    assert place.hooks.counters == {"hooks_run": 1, "hooks_failed": 0, "hooks_dropped": 0}


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_hook_that_others_can_write_is_refused(place: Place, mode: int) -> None:
    path = place.hook("10-open", mode=mode)
    place.hook("20-good")
    place.tell(event("alarm"), event("alarm"))
    assert len(place.finish()) == 2, "the others are run"
    assert place.hooks.trouble == f"not run: {path} can be written by others than its owner: chmod go-w {path}"


def test_in_a_directory_that_others_can_write_no_hook_is_run(place: Place) -> None:
    place.hook("10-good")
    place.path.chmod(0o777)
    place.tell(event("alarm"))
    assert place.finish() == []
    assert f"{place.path} can be written by others" in place.hooks.trouble


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_hook_of_another_user_is_refused(place: Place) -> None:
    path = place.hook("10-theirs")
    os.chown(path, 65534, -1)
    place.tell(event("alarm"))
    assert place.finish() == []
    assert place.hooks.trouble == f"not run: {path} belongs to another user than root: chown root {path}"


def test_what_is_put_right_is_no_trouble_any_more(place: Place) -> None:
    path = place.hook("10-open", mode=0o777)
    place.tell(event("alarm"))
    await_true(lambda: place.hooks.trouble)
    path.chmod(0o755)
    place.tell(event("alarm"))
    assert len(place.finish()) == 1
    assert place.hooks.trouble == ""


def test_what_is_not_meant_to_run_is_passed_over(place: Place) -> None:
    for name in ("page~", ".hidden", "page.dpkg-old", "page.swp", "#page#", "page.bak"):
        place.hook(name)
    place.hook("README", mode=0o644)
    (place.path / "folder").mkdir()
    place.tell(event("alarm"))
    assert place.finish() == []
    assert place.hooks.trouble == ""
    assert place.hooks.counters["hooks_run"] == 0


def test_without_the_directory_nothing_happens(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path / "none", LIMIT)
    hooks.tell(event("alarm"))
    hooks.close(LIMIT)
    assert (hooks.trouble, hooks.counters["hooks_run"]) == ("", 0)


def test_a_hook_that_hangs_does_not_keep_the_agent_from_ending(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.hook("hangs", f'echo $$ >"{tmp_path}/pid"; exec sleep 1000')
    script = f"""
import time
from pathlib import Path
from ovsha.host.hooks import Event, Hooks
hooks = Hooks(Path({str(place.path)!r}), 1000.0)
hooks.tell(Event("alarm", {{}}))
while not Path({str(tmp_path / "pid")!r}).exists():
    time.sleep(0.01)
hooks.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=LIMIT, cwd=Path(__file__).parents[2])
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
