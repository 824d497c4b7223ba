"""Find out, before a pair is installed or paired, whether it can work here."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ovsha import SCHEMA, client
from ovsha import config as configuration
from ovsha.commands.common import find, question, show
from ovsha.errors import ConfigError, DriverError


def add(commands: Any) -> None:
    """Add `preflight`."""
    what = "look, before installing or pairing, at all that the pair needs; exit status 1 when something FAILs"
    preflight = question(commands, "preflight", _preflight, what)
    preflight.add_argument("--peer", action="store_true", help="ask the peer's agent too, and compare both switches")
    preflight.add_argument("--quick", action="store_true", help="measure the paths for a second only, and no full copy")


def _preflight(options: argparse.Namespace) -> int:
    # Here, because a question to the agent should not wait for what only this command imports.
    from ovsha.checks.look import Look
    from ovsha.preflight import table
    from ovsha.preflight.finding import fail
    from ovsha.preflight.ground import Ground

    try:
        config = configuration.load(options.config)
    except ConfigError as error:
        fix = f"correct it, or name another with --config; see ovsha config check {options.config}"
        found = {"configuration": fail(" ".join(str(error).split()), fix)}
        show(options, table.document(None, None, found), table.text)
        return 1
    try:
        status, trouble = client.ask_json(find(options), "status", "json", schema=SCHEMA), ""
    except DriverError as error:
        status, trouble = None, str(error)
    ground = Ground(Look(config, status, trouble), quick=options.quick)
    if options.peer:
        if config.standalone:
            raise ConfigError(f"--peer: {config.node} is the only one under nodes: there is no other side")
        _progress(f"asking {config.peer}")
        ground.ask_peer()
    document = table.run(ground, _progress)
    _progress("")
    show(options, document, table.text)
    return 0 if document["passed"] else 1


def _progress(doing: str) -> None:
    """Show on a terminal what is being done, in place of what was shown before; "" for nothing any more."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{doing}", end="", file=sys.stderr, flush=True)
