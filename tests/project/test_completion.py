"""A TAB completes commands, options, nodes and what is kept, in a real bash and a real zsh."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import tables

sys.path.insert(0, str(tables.ROOT / "scripts"))

import completion

BASH = tables.ROOT / "etc" / "completion" / "ovsha.bash"
LIMIT = 30.0
CONFIG = """\
# nodes: commented out
pair: {{id: rack7}}
nodes:
  leaf-01:
    peer_link: 169.254.0.9
  leaf-02: {{peer_link: 169.254.0.10}}
vip: {{address: 169.254.0.11}}
state_directory: {directory}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ovsha.yaml"
    path.write_text(CONFIG.format(directory=tmp_path))
    for name in (
        "ledgers/20261121T072714Z.json",
        "ledgers/20261121T072714Z.rows",
        "forensics/20261120T010203Z/manifest",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return path


def tab(line: str) -> list[str]:
    """Return what bash offers for the last word of `line`, as complete(1) asks for it."""
    script = f"""
        source {BASH}
        COMP_WORDS=({line.replace("''", "''")})
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _ovsha
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("path", list(completion.scripts()))
def test_the_completions_are_those_of_the_command_line(path: str) -> None:
    assert (tables.ROOT / path).read_text() == completion.scripts()[path], "run make completion"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ovsha sync", ["sync-status"]),
        ("ovsha ledger ''", ["dismiss", "list", "replay", "show"]),
        ("ovsha status --w", ["--watch"]),
        ("ovsha --config x.yaml ledger replay --d", ["--deletions", "--dry-run"]),
        ("ovsha resolve --keep ''", ["self", "peer"]),
        ("ovsha nonsense ''", []),
        ("ovsha status ''", []),
    ],
)
def test_bash_completes_words_and_options(line: str, offered: list[str]) -> None:
    assert tab(line) == offered


def test_bash_completes_nodes_and_what_is_kept_from_the_configuration_that_is_named(file: Path) -> None:
    assert tab(f"ovsha --config {file} switchover --to ''") == ["leaf-01", "leaf-02"]
    assert tab(f"ovsha ledger show --config {file} ''") == ["20261121T072714Z"]
    assert tab(f"ovsha forensics show --config {file} 2026") == ["20261120T010203Z"]
    assert tab("ovsha switchover --config /nowhere --to ''") == []


def test_bash_completes_a_file(file: Path) -> None:
    assert tab(f"ovsha config check {file.parent}/ov") == [str(file)]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "screen"),
    [
        ("ovsha sync-st", "ovsha sync-status "),
        ("ovsha ledger rep", "ovsha ledger replay "),
        ("ovsha status --wat", "ovsha status --watch"),
        ("ovsha resolve --keep se", "ovsha resolve --keep self "),
        ("ovsha --config {file} switchover --to leaf-02", "switchover --to leaf-02 "),
        ("ovsha ledger show --config {file} 2026", "20261121T072714Z "),
    ],
)
def test_zsh_completes_the_same(line: str, screen: str, file: Path, tmp_path: Path) -> None:
    assert screen in typed(line.format(file=file), screen, tmp_path)


def typed(line: str, awaited: str, home: Path) -> str:
    """Return the screen of a zsh at which `line` and a TAB were typed, once `awaited` is on it."""
    folder = tables.ROOT / "etc" / "completion"
    (home / ".zshrc").write_text(f"PS1='ready> '; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D\n")
    master, slave = pty.openpty()
    environment = {**os.environ, "ZDOTDIR": str(home), "TERM": "dumb", "COLUMNS": "300"}
    with subprocess.Popen(
        ["zsh", "-i"], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as shell:
        os.close(slave)
        until(master, "ready> ")
        os.write(master, f"{line}\t".encode())
        screen = until(master, awaited)
        shell.kill()
    os.close(master)
    return screen


def until(master: int, awaited: str) -> str:
    seen, end = "", time.monotonic() + LIMIT
    while awaited not in seen and time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\x07", "", os.read(master, 65536).decode(errors="replace"))
    return seen
