"""Laws of consent: nothing is changed unless an operator agreed, and a script must say so beforehand."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

LIMIT = 60
PROGRAM = """
import argparse, sys
from ovsha.cli.common import add_consent, ask
from ovsha.errors import DriverError, UsageError
parser = argparse.ArgumentParser()
parser.add_argument("--json", action="store_true")
add_consent(parser)
try:
    ask(parser.parse_args(), "this erases the copy on sw2")
except UsageError as error:
    sys.exit(f"usage: {error}")
except DriverError as error:
    sys.exit(f"refused: {error}")
print("done")
"""


def at_a_terminal(answer: str, *args: str) -> tuple[int, str]:
    """Run the program with a terminal as its input where `answer` is typed; the status and all it printed."""
    master, slave = pty.openpty()
    try:
        os.write(master, answer.encode())
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, *args], stdin=slave, capture_output=True, text=True, timeout=LIMIT
        )
    finally:
        os.close(master)
        os.close(slave)
    return result.returncode, result.stdout + result.stderr


def without_a_terminal(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
    )


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "YES\n"])
def test_a_yes_lets_it_go_on(answer: str) -> None:
    status, text = at_a_terminal(answer)
    assert status == 0
    assert text.startswith("this erases the copy on sw2\ndone\n")


@pytest.mark.parametrize("answer", ["n\n", "\n", "yep\n", "\x04"])
def test_anything_else_does_not(answer: str) -> None:
    status, text = at_a_terminal(answer)
    assert status == 1
    assert "this erases the copy on sw2\n" in text
    assert text.endswith("refused: nothing was done\n")


def test_nobody_at_a_terminal_can_agree_so_it_is_refused_in_one_line() -> None:
    result = without_a_terminal()
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "usage: there is no terminal to ask at; add --yes to have it done\n"


def test_yes_on_the_command_line_asks_nothing_and_says_what_is_done() -> None:
    result = without_a_terminal("--yes")
    assert (result.returncode, result.stdout, result.stderr) == (0, "this erases the copy on sw2\ndone\n", "")


def test_json_on_the_standard_output_stays_json() -> None:
    result = without_a_terminal("--yes", "--json")
    assert (result.stdout, result.stderr) == ("done\n", "this erases the copy on sw2\n")
