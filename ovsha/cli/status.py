"""Show how the pair is: `ovsha sync-status`, `ovsha status` and `ovsha counters`.

Where no agent answers, the first two show what the command itself can see, and say so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from typing import Any

from ovsha import SCHEMA, control_client
from ovsha import config as configuration
from ovsha.cli.common import find, question, show
from ovsha.errors import DriverError
from ovsha.report import status_text
from ovsha.report.status import sync_status

_PEER_LIMIT = 5.0

Text = Callable[[dict[str, Any], int | None], str]


def add(commands: Any) -> None:
    """Add the commands to the command line."""
    sync = question(
        commands, "sync-status", _sync_status, "show whether both sides are in sync; exit status 0 if they are"
    )
    whole = question(
        commands, "status", _status, "show both sides beside each other, what is wrong and what to do;"
        " exit status 0 if nothing is wrong"
    )  # fmt: skip
    for added in (sync, whole):
        added.add_argument("--peer", action="store_true", help="as the peer's agent sees it, asked over the peer link")
    whole.add_argument(
        "--watch", metavar="SECONDS", type=_seconds, nargs="?", const=2.0,
        help="show it anew every so many seconds, 2 if none are given, until interrupted",
    )  # fmt: skip
    question(commands, "counters", _counters, "show what the agent has counted since it was started")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0.1 to 3600")
    return seconds


def _sync_status(options: argparse.Namespace) -> int:
    document = _document(options)
    if "agent" in document:
        _print(options, document, _alone_text)
        return 1
    part = sync_status(document)
    if options.peer:
        part["asked_by"] = document["asked_by"]
    show(options, part, status_text.sync_text)
    return 0 if document["do"] is None else 1


def _status(options: argparse.Namespace) -> int:
    if options.watch is not None and not options.json:
        # Here, because it takes longer to import than a question takes to answer.
        try:
            from ovsha.cli.common import watch
        except ImportError:
            raise DriverError("--watch needs the package python3-rich; install it") from None
        return watch(options.watch, lambda width: _once(options, width))
    document = _document(options)
    _print(options, document, _text_of(document))
    return 0 if document["healthy"] else 1


def _counters(options: argparse.Namespace) -> int:
    document = control_client.ask_json(find(options), "counters", "json", schema=SCHEMA)
    show(options, document, lambda told: "\n".join(f"{name}: {count}" for name, count in told["counters"].items()))
    return 0


def _once(options: argparse.Namespace, width: int | None) -> tuple[str, int]:
    """Return the text of now and its exit status; an agent that cannot be asked is a text too."""
    try:
        document = _document(options)
    except DriverError as error:
        return f"UNKNOWN: {error}\n", 1
    return _text_of(document)(document, width), 0 if document["healthy"] else 1


def _document(options: argparse.Namespace) -> dict[str, Any]:
    """Return the agent's document or, where no agent answers and there is a configuration, what can be seen without."""
    if options.peer:
        from ovsha.agent import offline

        config = configuration.load(options.config)
        return {**offline.ask_peer(config, _PEER_LIMIT), "asked_by": config.node}
    agent = find(options)
    try:
        return control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    except (control_client.NotRunning, control_client.Hangs) as error:
        if options.target is not None:
            raise
        from ovsha.agent import offline

        hangs = isinstance(error, control_client.Hangs)
        return offline.look(configuration.load(options.config), str(error).partition(";")[0], hangs)


def _text_of(document: dict[str, Any]) -> Text:
    return _alone_text if "agent" in document else status_text.status_text


def _alone_text(document: dict[str, Any], width: int | None) -> str:
    from ovsha.report import offline

    return offline.text(document, width)


def _print(options: argparse.Namespace, document: dict[str, Any], text: Text) -> None:
    """Print it for a program as it is, for an operator in the width of the screen and, without NO_COLOR, coloured."""
    if options.json:
        print(json.dumps(document, indent=2))
        return
    if not sys.stdout.isatty():
        print(text(document, None), end="")
        return
    try:
        from ovsha.cli import common
    except ImportError:
        print(text(document, shutil.get_terminal_size().columns), end="")
    else:
        common.print_coloured(lambda width: text(document, width))
