"""`ovsha check` and `ovsha preflight`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ovsha import SCHEMA, control_client
from ovsha import config as configuration
from ovsha.cli.common import find, question, show
from ovsha.errors import ConfigError, DriverError

_NAMES = ("mlag", "server", "replication", "controller", "vip", "peer", "certs", "bfd", "disk")
_ALL = "all"


def add_check(commands: Any) -> None:
    """Add `check`."""
    what = "check this switch as a monitoring plugin; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"
    check = question(commands, "check", _check, what)
    about = f"{', '.join(_NAMES)}, or {_ALL}, which is the default"
    # The default is a word, because argparse compares the default too with the choices.
    check.add_argument("what", metavar="WHAT", choices=[*_NAMES, _ALL], nargs="*", default=_ALL, help=about)


def _check(options: argparse.Namespace) -> int:
    # Here, because a question to the agent should not wait for what only this command imports.
    from ovsha.checks import run
    from ovsha.checks.context import Context
    from ovsha.checks.result import Level

    names = list(_NAMES) if _ALL in options.what else list(dict.fromkeys(options.what))
    try:
        config = configuration.load(options.config)
    except ConfigError as error:
        print(f"UNKNOWN ovsha: {' '.join(str(error).split())}; do: correct it, or name another with --config")
        return Level.UNKNOWN
    try:
        status, trouble = control_client.ask_json(find(options), "status", "json", schema=SCHEMA), ""
    except DriverError as error:
        status, trouble = None, str(error)
    document = run.run_checks(Context(config, status, trouble), names)
    show(options, document, run.check_text)
    return int(Level[document["status"]])


def add_preflight(commands: Any) -> None:
    """Add `preflight`."""
    what = "look, before installing or pairing, at all that the pair needs; exit status 1 when something FAILs"
    preflight = question(commands, "preflight", _preflight, what)
    preflight.add_argument("--peer", action="store_true", help="ask the peer's agent too, and compare both switches")
    preflight.add_argument("--quick", action="store_true", help="measure the paths for a second only, and no full copy")


def _preflight(options: argparse.Namespace) -> int:
    # Here, because a question to the agent should not wait for what only this command imports.
    from ovsha.checks import run
    from ovsha.checks.context import Context, PreflightContext
    from ovsha.checks.result import fail

    try:
        config = configuration.load(options.config)
    except ConfigError as error:
        fix = f"correct it, or name another with --config; see ovsha config check {options.config}"
        found = {"configuration": fail(" ".join(str(error).split()), fix)}
        show(options, run.document(None, None, found), run.preflight_text)
        return 1
    try:
        status, trouble = control_client.ask_json(find(options), "status", "json", schema=SCHEMA), ""
    except DriverError as error:
        status, trouble = None, str(error)
    ground = PreflightContext(Context(config, status, trouble), quick=options.quick)
    if options.peer:
        if config.standalone:
            raise ConfigError(f"--peer: {config.node} is the only one under nodes: there is no other side")
        _progress(f"asking {config.peer}")
        ground.ask_peer()
    document = run.run_preflight(ground, _progress)
    _progress("")
    show(options, document, run.preflight_text)
    return 0 if document["passed"] else 1


def _progress(doing: str) -> None:
    """Show on a terminal what is being done, in place of what was shown before; "" for nothing any more."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{doing}", end="", file=sys.stderr, flush=True)
