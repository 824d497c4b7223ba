"""Check this switch, as a plugin of a monitoring system does: a line each, and its exit status."""

from __future__ import annotations

import argparse
from typing import Any

from ovsha import SCHEMA, client
from ovsha import config as configuration
from ovsha.commands.common import find, question, show
from ovsha.errors import ConfigError, DriverError

_NAMES = ("mlag", "server", "replication", "controller", "vip", "peer", "certs", "bfd", "disk")
_ALL = "all"


def add(commands: Any) -> None:
    """Add `check`."""
    what = "check this switch as a monitoring plugin; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"
    check = question(commands, "check", _check, what)
    about = f"{', '.join(_NAMES)}, or {_ALL}, which is the default"
    # The default is a word, because argparse compares the default too with the choices.
    check.add_argument("what", metavar="WHAT", choices=[*_NAMES, _ALL], nargs="*", default=_ALL, help=about)


def _check(options: argparse.Namespace) -> int:
    # Here, because a question to the agent should not wait for what only this command imports.
    from ovsha.checks import table
    from ovsha.checks.look import Look
    from ovsha.checks.outcome import Level

    names = list(_NAMES) if _ALL in options.what else list(dict.fromkeys(options.what))
    try:
        config = configuration.load(options.config)
    except ConfigError as error:
        print(f"UNKNOWN ovsha: {' '.join(str(error).split())}; do: correct it, or name another with --config")
        return Level.UNKNOWN
    try:
        status, trouble = client.ask_json(find(options), "status", "json", schema=SCHEMA), ""
    except DriverError as error:
        status, trouble = None, str(error)
    document = table.run(Look(config, status, trouble), names)
    show(options, document, table.text)
    return int(Level[document["status"]])
