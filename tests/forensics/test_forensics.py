"""`ovsha forensics` reads what is here from the disk and asks the peer's agent for what is there."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ovs.poller import Poller

from ovsha import config as configuration
from ovsha.agent.split_brain import forensics_methods
from ovsha.cli.forensics import Store
from ovsha.config import schema
from ovsha.errors import DriverError
from ovsha.forensics import bundle, job
from ovsha.peer.rpc_server import Exchange

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef0123456789abcdef"
IDENTS = ["20260101T000000Z-term3", "20260102T000000Z-term7"]
LIMIT = 60.0
CONFIG = """\
node: sw1
pair: {{id: rack7, preferred: sw1, key_file: {directory}/pair.key}}
nodes:
  sw1: {{peer_link: 169.254.0.9}}
  sw2: {{peer_link: 169.254.0.10}}
vip: {{address: 169.254.0.11}}
state_directory: {directory}/here
"""


def record(node: str) -> dict[str, Any]:
    return {"node": node, "serving": True, "controllers": 1, "stamp": [7, node, False]}


def make(directory: Path, node: str, peer: str) -> None:
    """Have two bundles in `directory`, made while the peer did not answer."""
    database = directory.with_name("given-up.db")
    database.write_bytes(bytes(20_000))
    outcome = {"rule": "split-lost", "step": "drop the VIP", "state": "init", "presence": "alive"}
    for ident in IDENTS:
        job.make(
            {
                "directory": str(directory), "keep": 5, "id": ident, "node": node, "key": KEY.encode().hex(),
                "peer": {"node": peer, "address": "127.0.0.66", "port": 1},
                "database": str(database), "no_database": "", "log": [],
                "trace": [{"number": 1, "at": 1767225600.5, "why": "both sides serve", "outcome": outcome}],
                "manifest": {
                    "what": "split brain, lost by this side", "at": "2026-01-02T00:00:00.000+00:00", "node": node,
                    "winner": peer, "why": "it is the preferred side", "term": 7,
                    "records": {each: record(each) for each in ("sw1", "sw2")},
                },
            }
        )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the bundles of both sides, made once because that takes seconds."""
    directory = tmp_path_factory.mktemp("made")
    with ThreadPoolExecutor() as pool:
        list(pool.map(make, (directory / "here", directory / "there"), ("sw1", "sw2"), ("sw2", "sw1")))
    return directory


class Rig:
    """A switch whose agent is down, and a peer whose agent answers."""

    def __init__(self, directory: Path, made: Path) -> None:
        self.here, self.there = directory / "here" / bundle.DIRECTORY, directory / "there" / bundle.DIRECTORY
        shutil.copytree(made / "here", self.here)
        shutil.copytree(made / "there", self.there)
        key_file = directory / "pair.key"
        key_file.touch(0o600)
        key_file.write_text(KEY)
        self.file = directory / "ovsha.yaml"
        self.file.write_text(CONFIG.format(directory=directory))
        self.peer = Exchange("127.0.0.10", 0, KEY.encode(), {}, forensics_methods(self.there))
        self.peer.run(time.monotonic())

    @property
    def far(self) -> Store:
        """What the commands ask with --peer; a file may not name a loopback address, at which the peer is here."""
        config = configuration.load(self.file)
        nodes = {name: replace(node, peer_link="127.0.0.10") for name, node in config.nodes.items()}
        return Store(replace(config, nodes=nodes, exchange=schema.Exchange(port=self.peer.port)), peer=True)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Return the answer, while the peer's loop turns."""
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(question)
            while not answer.done():
                now = time.monotonic()
                self.peer.run(now)
                poller = Poller()
                self.peer.wait(poller, now)
                poller.timer_wait(20)
                poller.block()
            return answer.result()

    def __call__(self, *words: str, stdin: Any = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        """Run `ovsha forensics` as an operator does."""
        command = [sys.executable, "-m", "ovsha", "forensics", *words, "--config", str(self.file)]
        return subprocess.run(
            command, stdin=stdin, capture_output=True, text=True, timeout=LIMIT, cwd=ROOT, check=False
        )

    def told(self, *words: str) -> str:
        """Return what is printed when all is well."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def error(self, *words: str) -> tuple[int, str]:
        """Return the exit status and the one line on the standard error."""
        done = self(*words)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        return done.returncode, done.stderr.rstrip("\n")


@pytest.fixture
def rig(tmp_path: Path, made: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, made)
    yield rig
    rig.peer.close()


def test_the_list_names_each_bundle_in_a_line(rig: Rig) -> None:
    lines = rig.told("list").splitlines()
    assert [line.split()[0] for line in lines] == IDENTS
    assert lines[1].endswith("KB  sw1 gave way to sw2: it is the preferred side; without trace-sw2.jsonl")


def test_a_bundle_is_told_in_words(rig: Rig) -> None:
    told = rig.told("show", IDENTS[1])
    for words in (
        f"{IDENTS[1]}: split brain, lost by this side\nat: 2026-01-02T00:00:00.000+00:00\n",
        "verdict: sw2 goes on: it is the preferred side\ngiven up: term 7 of sw1\n",
        "record of sw1: init, term 7 of sw1, active for an unknown time, controllers: 1, VTEP daemons: 0, with a gap\n",
        f"on sw1 in {rig.here / IDENTS[1]}:\n",
        "  database.db: 20 KB\n",
        "  trace-sw2.jsonl: missing: the agent at 127.0.0.66:1 cannot be reached: Connection refused\n",
        "last decisions of sw1:\n"
        "  2026-01-01T00:00:00.500+00:00 init, peer alive, split-lost: both sides serve, step: drop the VIP\n",
    ):
        assert words in told
    document = json.loads(rig.told("show", IDENTS[0], "--json"))
    assert (document["id"], document["manifest"]["node"], list(document["traces"])) == (IDENTS[0], "sw1", ["sw1"])


def test_the_peers_are_asked_of_its_agent(rig: Rig) -> None:
    found = rig.ask(rig.far.find)
    assert [each["id"] for each in found] == IDENTS
    assert {Path(each["place"]).parent for each in found} == {rig.there}
    shown = rig.ask(lambda: rig.far.show(IDENTS[1]))
    assert shown == bundle.show(rig.there, IDENTS[1])
    assert rig.ask(lambda: rig.far.clear(IDENTS[0])) == [IDENTS[0]]
    assert rig.ask(lambda: rig.far.clear(None)) == [IDENTS[1]]
    assert (bundle.idents(rig.there), bundle.idents(rig.here)) == ([], IDENTS)


def test_what_the_peer_refuses_is_one_line(rig: Rig) -> None:
    for question in (lambda: rig.far.show("../../etc"), lambda: rig.far.clear("../../etc")):
        with pytest.raises(DriverError, match=r"refuses forensics-\w+: '../../etc' is no bundle of [^\n]*$"):
            rig.ask(question)
    assert bundle.idents(rig.there) == IDENTS


def test_one_bundle_or_all_are_removed(rig: Rig) -> None:
    assert rig.told("clear", IDENTS[0], "--yes") == f"{IDENTS[0]}: removed\n"
    assert bundle.idents(rig.here) == IDENTS[1:]
    assert json.loads(rig.told("clear", "--yes", "--json"))["removed"] == IDENTS[1:]
    assert rig.told("list") == "sw1 keeps no forensic bundle\n"
    assert rig.told("clear", "--yes") == "sw1 keeps none\n"
    assert bundle.idents(rig.there) == IDENTS, "and none of the peer's"


def test_nothing_is_removed_that_nobody_has_agreed_to(rig: Rig) -> None:
    assert rig.error("clear") == (
        2, "ovsha: all 2 bundles of sw1 would be removed for good: add --yes if that is meant",
    )  # fmt: skip
    assert rig.error("clear", IDENTS[0])[0] == 2
    assert bundle.idents(rig.here) == IDENTS


@pytest.mark.parametrize(("answer", "status", "left"), [("n\n", 1, IDENTS), ("\n", 1, IDENTS), ("y\n", 0, IDENTS[1:])])
def test_an_operator_at_a_terminal_is_asked(rig: Rig, answer: str, status: int, left: list[str]) -> None:
    master, slave = pty.openpty()
    try:
        os.write(master, answer.encode())
        done = rig("clear", IDENTS[0], stdin=slave)
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == status
    assert done.stdout.startswith(f"Remove the bundle {IDENTS[0]} of sw1 for good? [y/N] ")
    assert bundle.idents(rig.here) == left


def test_a_bundle_that_is_not_there_is_one_line(rig: Rig) -> None:
    assert rig.error("show", "x") == (1, f"ovsha: 'x' is no bundle of {rig.here}; see ovsha forensics list")


def test_a_key_that_cannot_be_read_is_one_line_and_needed_for_the_peers_only(rig: Rig) -> None:
    (rig.file.parent / "pair.key").unlink()
    status, line = rig.error("list", "--peer")
    assert (status, "the pair key cannot be read" in line) == (2, True)
    assert rig.told("list")


@pytest.mark.parametrize("words", [(), ("show",), ("list", "x"), ("burn",)])
def test_a_wrong_command_line_exits_with_2(rig: Rig, words: tuple[str, ...]) -> None:
    assert rig(*words).returncode == 2
