"""`ovsha history`, `ovsha explain` and `ovsha simulate`: what happened, and why."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha import times
from ovsha.cli.common import add_config, command, show
from ovsha.errors import ConfigError, DriverError

_LAST = 20


def add_history(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "history", _history, "tell every move and alarm: when, why, by whom, and what it cost")
    added.add_argument("--last", metavar="N", type=int, default=_LAST, help=f"the last N; default: {_LAST}, 0: all")
    added.add_argument("--since", metavar="TIME", help=f"those since then: {times.FORMS}")
    added.add_argument("--all", action="store_true", help="also changes between init and backup")
    added.add_argument("--peer", action="store_true", help="what the other side has recorded")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _history(options: argparse.Namespace) -> int:
    # Here, because all this takes longer to import than a question takes to answer.
    from ovsha.history import answer
    from ovsha.report import history

    if options.last < 0:
        raise ConfigError("--last: a number of moves and alarms is wanted, or 0 for all")
    since = None if options.since is None else times.past_moment(options.since, time.time())
    config = configuration.load(options.config)
    document = answer.retell(config, since, options.last, options.all, options.peer)
    show(options, document, lambda whole: history.text(whole, times.local_moment))
    return 0


def add_explain(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "explain", _explain, "tell why this side does what it does, and what would change it")
    added.add_argument(
        "--at", metavar="TIME|EVENT",
        help=f"as it was then: {times.FORMS}; or in the last failover, switchover, restore, alarm, incident, ...",
    )  # fmt: skip
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _explain(options: argparse.Namespace) -> int:
    # Here, because all this takes longer to import than a question takes to answer.
    from ovsha.history import answer
    from ovsha.report import explain

    document = answer.explained(configuration.load(options.config), options.at)
    show(options, document, lambda whole: explain.text(whole, times.local_moment))
    return 0


SCHEMA = 1
_SHOWN = 20


def add_simulate(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "simulate", _simulate,
        "replay a recorded trace through this release; exit status 0 if it decides all the same",
    )  # fmt: skip
    added.add_argument(
        "trace", metavar="TRACE", type=Path, nargs="?",
        help="a file of decisions, of the flight recorder or of a forensic bundle, or a directory with such files;"
        " default: what this switch has recorded",
    )  # fmt: skip
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _simulate(options: argparse.Namespace) -> int:
    # Here, because the core takes longer to import than a question takes to answer.
    from ovsha.history import recordings
    from ovsha.history.recorder import DIRECTORY
    from ovsha.report import trace

    troubles: list[str] = []
    place = options.trace or configuration.load(options.config).state_directory / DIRECTORY
    paths = _files(place)
    entries = [each.entry for path in paths for each in recordings.decisions(path, troubles)]
    if not entries:
        raise DriverError(f"{place}: holds no decision that can be read" + "".join(f"; {t}" for t in troubles))
    differing = trace.differing(entries)
    document = {
        "schema": SCHEMA,
        "files": [str(path) for path in paths],
        "decisions": len(entries),
        "same": len(entries) - len(differing),
        "from": entries[0].at,
        "to": entries[-1].at,
        "differing": differing,
        "troubles": troubles,
    }
    show(options, document, _text)
    return 1 if differing else 0


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted([*path.glob("decisions-*.jsonl"), *path.glob("trace-*.jsonl")])
    if not found:
        raise DriverError(f"{path}: is no file, nor a directory with decisions-*.jsonl or trace-*.jsonl")
    return found


def _text(document: dict[str, Any]) -> str:
    count, differing = document["decisions"], document["differing"]
    span = f"{times.local_moment(document['from'])} to {times.local_moment(document['to'])}"
    lines = [f"{count} decisions from {span}: {document['same']} the same, {len(differing)} otherwise"]
    for each in differing[:_SHOWN]:
        lines.append(f"{times.local_moment(each['at'])}  {each['node']}, turn {each['turn']}: {each['what']}")
        lines += [f"    {whose}: {_decision(each[key])}" for whose, key in (("then", "then"), ("this release", "now"))]
    if len(differing) > _SHOWN:
        lines.append(f"{len(differing) - _SHOWN} more: --json")
    return "\n".join([*lines, *(f"note: {trouble}" for trouble in document["troubles"])])


def _decision(told: dict[str, Any]) -> str:
    step = f", step: {told['step']}" if told["step"] else ""
    return f"{told['state']}, peer {told['presence']}, rule {told['rule']}: {told['why']}{step}"
