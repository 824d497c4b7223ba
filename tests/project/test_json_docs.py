"""What --json prints is what docs/json.rst says: no key is missing there, and none is invented."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsha.core.facts import Ask, Grant
from ovsha.core.facts import Kind as Wish
from ovsha.divergence import ledger
from ovsha.protocol.conflicts import Conflict, Kind
from ovsha.report import status
from ovsha.report.assessment import Divergence, Identities, ServiceMove, Stands, Upgrade
from tests.agent.small_agent import CONFIG, MOVE_HERE, Running, SmallAgent, settings
from tests.cli.test_cli import ovsha
from tests.cli.test_ledger_command import ENTRIES, HEAD, Switch
from tests.forensics.test_forensics import Rig, made, rig  # noqa: F401
from tests.support import tables
from tests.support.made_up_pair import FOLLOWING, MEMORY, OUTSIDE, SERVING, document

sys.path.insert(0, str(tables.ROOT / "scripts"))

import tree

TEXT = (tables.ROOT / "docs" / "json.rst").read_text()
FOUND = re.findall(r"(?m)^ovsha ([\w, -]+)\n-+\n\n((?:.*\n(?!ovsha [\w, -]+\n-))*)", TEXT)
SECTIONS = {f"ovsha {name}": text for names, text in FOUND for name in names.split(", ")}
MAPS = {"sides", "paths", "counters", "failing", "settings", "counts", "files", "missing", "traces"}
"""Objects whose keys are names of something."""

OPAQUE = {"records", "row", "base"}
"""What is shown as it was read: a heartbeat's record, a row of a database."""


def words(section: str) -> set[str]:
    return set(re.findall(r"``([^`]+)``", SECTIONS[section]))


def keys(value: Any) -> Iterator[str]:
    """Yield every key of a document that is a key and not a name."""
    for each in value if isinstance(value, list) else []:
        yield from keys(each)
    for key, each in value.items() if isinstance(value, dict) else []:
        yield key
        if key in OPAQUE:
            continue
        for below in each.values() if key in MAPS and isinstance(each, dict) else [each]:
            yield from keys(below)


def first_words(section: str) -> set[str]:
    """Return the keys that have a row of their own."""
    return set(re.findall(r"(?m)^``([^`]+)`` ", SECTIONS[section]))


EVERYTHING = document(
    replace(SERVING, record=replace(SERVING.record, grant=Grant("sw2-boot-0", Wish.RESTORE, (7, 40)))),
    replace(
        OUTSIDE,
        collisions=(Conflict(Kind.VIP, "00:16:3e:00:00:01", "peerlink.4094", "", 61.5, 2.25, 3),),
        service=ServiceMove(3.5, "failover", "sw1", "sw2", "because"),
        divergences=(Divergence("20261121T072714Z", 3, True, "s"),),
        identities=Identities("aa", "bb", "cc", 0.1),
        pause=Stands("2026-11-21T10:00:00+00:00", 60.0),
        upgrade=Upgrade("2026-11-21T10:00:00+00:00", 60.0, 14400.0, late=False),
    ),
    replace(MEMORY, ask=Ask("sw2-boot-0", Wish.RESTORE)),
)


def test_every_command_that_prints_json_has_its_section() -> None:
    titles = {
        " ".join(("ovsha", *command.path[:1]))
        for command in tree.commands()
        if any("--json" in option.option_strings for option in command.options)
    }
    assert titles - SECTIONS.keys() == set(), "describe them in docs/json.rst"
    assert SECTIONS.keys() - titles == set()


def test_the_document_of_status_has_the_keys_that_are_described_and_no_others() -> None:
    told = set(keys(EVERYTHING)) - {"schema"}
    assert told - words("ovsha status") == set()
    assert first_words("ovsha status") - told - {"agent", "agent_trouble", "peer_agent"} == set()
    part = status.sync_status(EVERYTHING).keys() - {"schema"}
    assert part == words("ovsha sync-status")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "ovsha.yaml"
    file.write_text(CONFIG.format(directory=tmp_path, timeout=5.0))
    running = Running(SmallAgent(settings(tmp_path), FOLLOWING, MOVE_HERE))

    def ask(*args: str) -> dict[str, Any]:
        with ThreadPoolExecutor() as pool:
            future = pool.submit(ovsha, *args, "--json", "--config", file)
            running.spin(future, limit=60)
        told: dict[str, Any] = json.loads(future.result().stdout)
        assert told.pop("schema") == 1
        return told

    yield ask
    running.close()


def test_what_the_agent_answers_has_the_keys_that_are_described(agent: Any) -> None:
    assert set(keys(agent("status"))) <= words("ovsha status")
    assert agent("sync-status").keys() == words("ovsha sync-status")
    assert set(keys(agent("counters"))) == words("ovsha counters")
    shown, forgotten = agent("peer", "show"), agent("peer", "forget", "--yes")
    assert set(keys(shown)) | set(keys(forgotten)) <= words("ovsha peer")
    assert first_words("ovsha peer") <= shown.keys() | forgotten.keys()
    moved = agent("switchover", "--to", "sw2", *(["--yes"] if "--yes" in options("switchover") else []))
    assert moved["moved"] is True
    assert set(keys(moved)) <= words("ovsha switchover")
    assert first_words("ovsha switchover") - {"in_sync"} <= moved.keys()


def options(name: str) -> list[str]:
    """Return the options of a command."""
    (found,) = [each for each in tree.commands() if each.path == (name,)]
    return [name for option in found.options for name in option.option_strings]


def test_what_is_seen_without_an_agent_has_the_keys_that_are_described(tmp_path: Path) -> None:
    file = tmp_path / "ovsha.yaml"
    file.write_text(CONFIG.format(directory=tmp_path, timeout=5.0))
    told = json.loads(ovsha("status", "--json", "--config", file).stdout)
    assert set(keys(told)) - {"schema"} <= words("ovsha status")
    assert {"agent", "agent_trouble", "peer_agent"} <= told.keys()


def test_ledgers_have_the_keys_that_are_described(tmp_path: Path) -> None:
    switch = Switch(tmp_path)
    ledger.add(switch.ledgers, HEAD, ENTRIES)
    shown = [
        json.loads(switch(*command, "--json").stdout)
        for command in (("list",), ("show", HEAD.id), ("dismiss", HEAD.id, "--yes", "--reason", "no need"))
    ]
    told = {key for each in shown for key in keys(each)} - {"schema"}
    assert told - words("ovsha ledger") == set()
    only_in_a_replay = {"there", "rows"}
    assert first_words("ovsha ledger") - told == only_in_a_replay


def test_forensic_bundles_have_the_keys_that_are_described(rig: Rig) -> None:  # noqa: F811
    listed = json.loads(rig.told("list", "--json"))
    shown = json.loads(rig.told("show", listed["bundles"][1]["id"], "--json"))
    removed = json.loads(rig.told("clear", listed["bundles"][1]["id"], "--yes", "--json"))
    told = {key for each in (listed, shown, removed) for key in keys(each)} - {"schema"}
    assert told - words("ovsha forensics") == set()
    assert first_words("ovsha forensics") - told == set()
