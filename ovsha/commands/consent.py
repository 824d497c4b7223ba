"""Have an operator agree to what a command is about to do.

Every command that changes something says first what it will do, then asks on a terminal or takes --yes.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ovsha.errors import DriverError, UsageError

_YES = ("y", "yes")


def add(command: Any) -> None:
    """Give `command`, as ovsha.commands.common makes it, the option that stands for the operator's yes."""
    command.add_argument("--yes", action="store_true", help="do it without asking; needed where there is no terminal")


def ask(options: argparse.Namespace, what: str) -> None:
    """Print `what` will be done and return once the operator agrees; `options` has `yes` of `add` and may have `json`.

    With --json it is printed on the standard error, where the question stands too.  Raises DriverError when that
    is refused, and UsageError, for exit status 2, when there is nobody to ask.
    """
    if not options.yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at; add --yes to have it done")
    print(what.rstrip("\n"), file=sys.stderr if getattr(options, "json", False) else sys.stdout, flush=True)
    if options.yes:
        return
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    if answer.strip().lower() not in _YES:
        raise DriverError("nothing was done")
