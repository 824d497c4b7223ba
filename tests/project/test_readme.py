"""The README says what the code does."""

from __future__ import annotations

import re
from dataclasses import replace

import yaml

from ovsha import config
from ovsha.core.facts import Life, Stamp, State
from ovsha.report import status_text
from ovsha.report.assessment import ServiceMove
from tests.support import tables
from tests.support.made_up_pair import BACKUP_PEER, FOLLOWING, MEMORY, OUTSIDE, SERVING, document

TEXT = tables.README.read_text()


def test_tables_are_those_of_the_code() -> None:
    pages = [page.read_text() for page in tables.PAGES]
    assert {found[2] for text in pages for found in tables.MARKED.finditer(text)} == set(tables.tables())
    assert [tables.rewritten(text) for text in pages] == pages, "run python3 tests/support/tables.py"


def test_configuration_in_the_readme_is_valid() -> None:
    shown = re.search(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", TEXT)
    assert shown is not None
    text = re.sub(r"^ {4}", "", shown[1], flags=re.MULTILINE)
    assert config.parse(text, "README.rst").node in yaml.safe_load(text)["nodes"]


def shown(command: str) -> list[str]:
    """Return the lines that the README shows of a command."""
    found = re.search(rf"    sw\d# ovsha {command}\n((?:    .*\n|\n(?=    ))*)", TEXT)
    assert found is not None, "run integration/shown.py"
    return [line[4:] for line in found[1].splitlines()]


def keys(lines: list[str]) -> list[str]:
    return [line.partition(":")[0] for line in lines]


def labels(lines: list[str]) -> list[str]:
    """Return what stands in front in the lines of a status; a line that goes on has nothing."""
    said = ("OK", "BROKEN", "DEGRADED", "also", "  do:", "  and")
    return [line[:18].strip() for line in lines if line[:18].strip() and not line.startswith(said)]


def test_what_the_readme_shows_of_sync_status_has_its_present_form() -> None:
    assert keys(shown("sync-status")) == keys(status_text.sync_text(document(FOLLOWING)).splitlines())


def test_what_the_readme_shows_of_status_has_its_present_form() -> None:
    # The service was restored to this side, which had it before; then the peer's ovsdb-server died.
    peer = replace(BACKUP_PEER, state=State.FAULT, life=Life.DOWN, role=None, source=None, stamp=None)
    server = replace(SERVING.server, stamp=Stamp(7, "sw2"))
    moved = ServiceMove(17.0, "restore", "sw1", "sw2", "the original primary gets the service back: " + "x " * 30)
    view = replace(SERVING, server=server, record=peer, settings=replace(SERVING.settings, preferred="sw2"))
    told = document(view, replace(OUTSIDE, service=moved), replace(MEMORY, peer_stamp=None))
    text = status_text.status_text(told, 80)
    assert labels(shown("status")) == labels(text.splitlines())
    assert [line for line in shown("status") if len(line) > 80] == []


def test_what_the_readme_shows_of_history_is_the_story_that_is_told_there() -> None:
    lines = shown("history")
    heads = [line for line in lines if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line)]
    words = [head.split()[2] for head in heads]
    assert words == ["ovsha", "START", "FAILOVER", "RESTORE"]
    assert all(line.startswith("    ") for line in lines if line not in heads)


def test_what_the_readme_shows_of_check_names_every_check() -> None:
    (command,) = [each for each in tables.tree.commands() if each.path == ("check",)]
    (what,) = command.places
    assert what.choices is not None
    assert {line.split()[1].rstrip(":") for line in shown("check")} == {*what.choices} - {"all"}
