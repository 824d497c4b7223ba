"""`ovsha simulate`: take recorded decisions again by this release, and say where it would decide otherwise."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ovsha import config as configuration
from ovsha.commands import moment
from ovsha.commands.common import add_config, command, show
from ovsha.errors import DriverError

SCHEMA = 1
_SHOWN = 20


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "simulate", _run,
        "replay a recorded trace through this release; exit status 0 if it decides all the same",
    )  # fmt: skip
    added.add_argument(
        "trace", metavar="TRACE", type=Path, nargs="?",
        help="a file of decisions, of the flight recorder or of a forensic bundle, or a directory with such files;"
        " default: what this switch has recorded",
    )  # fmt: skip
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _run(options: argparse.Namespace) -> int:
    # Here, because the core takes longer to import than a question takes to answer.
    from ovsha import recording
    from ovsha.core import simulation
    from ovsha.recorder import DIRECTORY

    troubles: list[str] = []
    place = options.trace or configuration.load(options.config).state_directory / DIRECTORY
    paths = _files(place)
    entries = [each.entry for path in paths for each in recording.decisions(path, troubles)]
    if not entries:
        raise DriverError(f"{place}: holds no decision that can be read" + "".join(f"; {t}" for t in troubles))
    differing = simulation.differing(entries)
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
    span = f"{moment.local(document['from'])} to {moment.local(document['to'])}"
    lines = [f"{count} decisions from {span}: {document['same']} the same, {len(differing)} otherwise"]
    for each in differing[:_SHOWN]:
        lines.append(f"{moment.local(each['at'])}  {each['node']}, turn {each['turn']}: {each['what']}")
        lines += [f"    {whose}: {_decision(each[key])}" for whose, key in (("then", "then"), ("this release", "now"))]
    if len(differing) > _SHOWN:
        lines.append(f"{len(differing) - _SHOWN} more: --json")
    return "\n".join([*lines, *(f"note: {trouble}" for trouble in document["troubles"])])


def _decision(told: dict[str, Any]) -> str:
    step = f", step: {told['step']}" if told["step"] else ""
    return f"{told['state']}, peer {told['presence']}, rule {told['rule']}: {told['why']}{step}"
