"""Walk the command line of ovsha as argparse holds it, for the man page and the completions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from ovsha.cli.main import parser  # noqa: E402


@dataclass(frozen=True)
class Command:
    """A command by its path, such as ("ledger", "show"); a group has `actions` and does nothing by itself."""

    path: tuple[str, ...]
    about: str
    arguments: tuple[argparse.Action, ...]
    actions: tuple[str, ...]

    @property
    def options(self) -> tuple[argparse.Action, ...]:
        """What begins with a dash."""
        return tuple(each for each in self.arguments if each.option_strings)

    @property
    def places(self) -> tuple[argparse.Action, ...]:
        """What stands by its place."""
        return tuple(each for each in self.arguments if not each.option_strings)


def commands() -> list[Command]:
    """Return all commands in the order of their names, a group before what it holds; the first is ovsha itself."""
    return list(_walk(parser(), ()))


def takes_value(argument: argparse.Action) -> bool:
    """Tell whether an option is followed by a value, or may be."""
    return argument.nargs != 0


def value(argument: argparse.Action) -> str:
    """Return how the value of an argument is written: its choices, or the word that stands for it."""
    if argument.metavar is not None:
        return str(argument.metavar)
    return "|".join(map(str, argument.choices)) if argument.choices else argument.dest.upper()


def _walk(one: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[Command]:
    below = [each for each in one._actions if isinstance(each, argparse._SubParsersAction)]
    hidden = [each for each in one._actions if each.help == argparse.SUPPRESS or isinstance(each, argparse._HelpAction)]
    arguments = tuple(each for each in one._actions if each not in below and each not in hidden)
    names = sorted({name for each in below for name in each.choices})
    yield Command(path, one.description or "", arguments, tuple(names))
    for each in below:
        for name in sorted(each.choices):
            yield from _walk(each.choices[name], (*path, name))
