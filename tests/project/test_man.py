"""The man pages are made of what the program says of itself, and roff finds nothing wrong in them."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support import tables

sys.path.insert(0, str(tables.ROOT / "scripts"))

import manual
import tree

import man
from ovsha.config import describe
from ovsha.core.facts import State


def shown(path: str) -> str:
    """Return a page as a reader of man(1) sees it, without breaks."""
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-rHY=0", str(tables.ROOT / path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("path", list(man.pages()))
def test_the_pages_are_those_of_the_code(path: str) -> None:
    assert (tables.ROOT / path).read_text() == man.pages()[path], "run make man"


@pytest.mark.parametrize("path", list(man.pages()))
def test_roff_finds_nothing_wrong(path: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(["groff", "-man", "-ww", "-z", str(tables.ROOT / path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_state_is_told_with_what_it_guarantees() -> None:
    assert [name for name, _ in manual.STATES] == [state.value for state in State]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_every_command_every_option_and_every_key_can_be_read_there() -> None:
    page = shown("man/ovsha.8")
    for command in tree.commands()[1:]:
        if not command.actions:
            assert f"ovsha {' '.join(command.path)} " in page
            assert " ".join(command.about.split()) in page
        for option in command.options:
            assert option.help, f"{' '.join(command.path)} {option.option_strings[0]} has no help"
            assert option.option_strings[0] in page
        for place in command.places:
            assert place.help, f"{' '.join(command.path)}: {place.dest} has no help"
    keys = shown("man/ovsha.yaml.5")
    for key, _, about in describe():
        assert f" {key} " in keys
        assert " ".join(about.split()) in keys
