"""What the pages show can be typed: commands, configuration, units, keys; and what they refer to is there."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovsha import config
from ovsha.cli import main
from ovsha.ovsdb import launch
from tests.support import tables

ROOT = tables.ROOT
PAGES = [tables.README, *sorted((ROOT / "docs").glob("*.rst"))]
GROUPS = {each.path for each in tables.tree.commands()}
PROMPT = re.compile(r"^(?:[\w()]+# |# )?(?:sudo )?(?=ovsha)")
KEYS = {key for key, _, _ in config.describe()}
SECTIONS = {key.partition(".")[0] for key in KEYS if "." in key}
OTHERS = {"pair.key", "restore.sh"}
"""What looks like a key of the configuration and is none."""

on_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("Sphinx is not installed: scripts/install-deps.sh")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (tmp_path / "index.html").exists()


def literals(text: str) -> list[str]:
    """Return what stands between double back quotes, each in one line."""
    return [" ".join(each.split()) for each in re.findall(r"``([^`]+)``", text)]


def blocks(text: str) -> Iterator[str]:
    """Yield what is indented, with lines that end in a backslash joined."""
    for found in re.finditer(r"(?m)^(?:    .*\n|[ ]*\n(?=    ))+", text):
        yield re.sub(r" *\\\n *", " ", found[0])


def typed(text: str) -> Iterator[str]:
    """Yield every command of ovsha's own, as far as it is its own."""
    generated = re.sub(r"(?s)\.\. begin \w+, made by tests/tables\.py.*?\.\. end \w+", "", text)
    inline = [each for each in literals(generated) if each.startswith("ovsha")]
    shown = [line.strip() for block in blocks(generated) for line in block.splitlines()]
    for line in inline + [PROMPT.sub("", line) for line in shown if PROMPT.match(line)]:
        command = re.split(r"\s(?:>|\||&&|;)|;\s", line, maxsplit=1)[0]
        if re.match(r"ovsha(-\w+)* ", command):
            yield command


def spellings(command: str) -> Iterator[list[str]]:
    """Yield what a command stands for: what may be left out is there, and of a|b each in its turn."""
    words = shlex.split(re.sub(r"[\[\]]", "", command), comments=True)
    yield from map(list, itertools.product(*(word.split("|") for word in words)))


@on_each_page
def test_commands_are_taken_by_the_parser(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in typed(page.read_text()):
        for program, *words in spellings(command):
            if (program, tuple(words)) == ("ovsha", ()) or tuple(words) in GROUPS:
                continue
            if program == "ovsha-vtep-bootstrap":  # the command in the place of the vendor's
                program, words = "ovsha", ["vtep-bootstrap", *words]
            parser = {"ovsha": main.parser, "ovsha-ovsdb-server": launch.parser}[program]()
            assert refusal(parser, words, capsys) == "", command


def refusal(parser: argparse.ArgumentParser, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a parser says against a command line, or nothing; to print the help is right as well."""
    try:
        parser.parse_args(words)
    except SystemExit as err:
        return capsys.readouterr().err or f"status {err.code}" if err.code else ""
    return ""


def example() -> dict[str, Any]:
    """Return the configuration that the README shows."""
    (text,) = yaml_blocks(tables.README.read_text())
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def yaml_blocks(text: str) -> list[str]:
    found = re.findall(r"\.\. code-block:: yaml\n\n((?:    .*\n|[ ]*\n(?=    ))+)", text)
    return [re.sub(r"(?m)^ {4}", "", each) for each in found]


@on_each_page
def test_configuration_is_taken_by_the_parser(page: Path) -> None:
    for text in yaml_blocks(page.read_text()):
        shown = yaml.safe_load(text)
        whole = shown if {"nodes", "pair"} <= shown.keys() else merged(example(), shown)
        config.parse(yaml.safe_dump(whole), f"{page.name}: {text}")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: {**base[key], **over[key]} for key in base.keys() & over.keys() if isinstance(over[key], dict)}
    return {**base, **over, **both}


@on_each_page
def test_keys_of_the_configuration_exist(page: Path) -> None:
    named = {each for each in literals(page.read_text()) if re.fullmatch(r"[a-z_]+\.[a-z_.]+", each)}
    of_ours = {each for each in named if each.partition(".")[0] in SECTIONS} - OTHERS
    assert {key for key in of_ours if not any(known.startswith(key) for known in KEYS)} == set()


@on_each_page
def test_units_exist(page: Path) -> None:
    units = {path.name for path in (ROOT / "systemd").iterdir()}
    named = set(re.findall(r"\bovsha[\w-]*\.(?:service|timer)\b", page.read_text()))
    ordered = {
        word if "." in word else f"{word}.service"
        for line in re.findall(r"systemctl (?:[a-z-]+)((?: --now)?(?: [\w.-]+)+)", page.read_text())
        for word in line.split()
        if word.startswith("ovsha")
    }
    assert (named | ordered) - units == set()


@on_each_page
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    for name in literals(page.read_text()):
        found = re.fullmatch(r"((?:docs|tests|integration|scripts|etc|ovsha)/[\w/.-]+?)(?:::(\w+))?", name)
        if found is None:
            continue
        assert (ROOT / found[1]).exists(), name
        if found[2]:
            tree = ast.parse((ROOT / found[1]).read_text())
            assert found[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


@on_each_page
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
    named = {found[1] for each in literals(page.read_text()) if (found := re.match(r"make ([\w-]+)", each))}
    assert named - targets == set()


def test_every_port_of_the_configuration_is_in_the_table_of_ports() -> None:
    assert {row[0] for row in tables.PORTS} == {key for key in KEYS if key.endswith(".port")}


def test_readme_leads_to_the_pages() -> None:
    assert "docs/index.rst" in tables.README.read_text()


def test_no_page_and_no_code_knows_whether_somebody_is_a_man_or_a_woman() -> None:
    folders = ("ovsha", "docs", "etc", "man", "systemd", "debian")
    below = [path for name in folders for path in (ROOT / name).rglob("*")]
    files = [path for path in below if path.suffix in {".py", ".rst", ".yaml", ".8", ".5"}]
    files += [ROOT / name for name in ("README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst", "debian/rules")]
    people = re.compile(r"(?i)\b(he|him|his|himself|she|hers?|herself)\b")
    assert len(files) > 100
    found = {path.name: people.findall(path.read_text()) for path in files}
    assert {name: words for name, words in found.items() if words} == {}
