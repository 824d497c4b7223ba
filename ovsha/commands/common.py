"""Hold what every command shares: its options, how it finds the agent, how it prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ovsha import client
from ovsha import config as configuration
from ovsha.errors import UsageError

DEFAULT_CONFIG = Path("/etc/ovsha/ovsha.yaml")

Run = Callable[[argparse.Namespace], int]
"""Carry out a command; the exit status."""


def command(commands: Any, name: str, run: Run, help: str) -> Any:
    """Add command `name`, without any option."""
    added = commands.add_parser(name, help=help, description=_sentence(help), allow_abbrev=False)
    added.set_defaults(run=run)
    return added


def _sentence(help: str) -> str:
    return f"{help[:1].upper()}{help[1:]}."


def question(commands: Any, name: str, run: Run, help: str) -> Any:
    """Add command `name`, which may print JSON and asks the agent or reads the configuration."""
    added = command(commands, name, run, help)
    added.add_argument("--json", action="store_true", help="print JSON")
    add_common(added, argparse.SUPPRESS, argparse.SUPPRESS)
    return added


def group(commands: Any, name: str, help: str) -> Any:
    """Add command `name`, which only holds others; they are added to what is returned."""
    added = commands.add_parser(name, help=help, description=_sentence(help), allow_abbrev=False)
    for option in ("--config", "--target"):
        # Its actions tell of them; here, so that they may stand before an action as well.
        added.add_argument(option, type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    actions = added.add_subparsers(metavar="ACTION", required=False)

    def without(options: argparse.Namespace) -> int:
        known = ", ".join(sorted(actions.choices))
        raise UsageError(f"{name} needs an ACTION, one of {known}; see ovsha {name} --help")

    added.set_defaults(run=without)
    return actions


def add_common(parser: argparse.ArgumentParser, config: object, target: object) -> None:
    """Add the options that may stand before and after a command; the ones after it win."""
    add_config(parser, config)
    parser.add_argument(
        "--target", metavar="SOCKET", type=Path, default=target, help="the agent's control socket; then no file is read"
    )


def add_config(parser: argparse.ArgumentParser, default: object) -> None:
    """Add the option that names the configuration file."""
    about = f"the configuration file; default: {DEFAULT_CONFIG}"
    parser.add_argument("--config", metavar="FILE", type=Path, default=default, help=about)


def find(options: argparse.Namespace) -> client.Find:
    """Return what finds the agent's control socket.  Raises ConfigError for a bad configuration file."""
    if options.target is not None:
        target: Path = options.target.absolute()
        return lambda: target
    return client.in_directory(configuration.load(options.config).run_directory)


def need_pair(document: dict[str, Any]) -> None:
    """Raise UsageError when the agent's `document` is that of a switch which stands alone."""
    if document["peer"] is None:
        raise UsageError(f"{document['node']} stands alone, as the only one under nodes: there is no other side")


def show(options: argparse.Namespace, document: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    """Print a document as JSON if that was asked for, or else what `text` makes of it."""
    print(json.dumps(document, indent=2) if options.json else text(document).rstrip("\n"))
