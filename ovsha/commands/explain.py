"""`ovsha explain`: why this side does what it does, or did at some moment that was recorded."""

from __future__ import annotations

import argparse
from typing import Any

from ovsha import config as configuration
from ovsha.commands import moment
from ovsha.commands.common import add_config, command, show


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "explain", _run, "tell why this side does what it does, and what would change it")
    added.add_argument(
        "--at", metavar="TIME|EVENT",
        help=f"as it was then: {moment.FORMS}; or in the last failover, switchover, restore, alarm, incident, ...",
    )  # fmt: skip
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _run(options: argparse.Namespace) -> int:
    # Here, because all this takes longer to import than a question takes to answer.
    from ovsha import explaining
    from ovsha.core import explanation_text

    document = explaining.explain(configuration.load(options.config), options.at)
    show(options, document, lambda whole: explanation_text.text(whole, moment.local))
    return 0
