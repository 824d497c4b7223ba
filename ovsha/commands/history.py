"""`ovsha history`: every move and alarm of this side, from what was recorded; needs no running agent."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ovsha import config as configuration
from ovsha.commands import moment
from ovsha.commands.common import add_config, command, show
from ovsha.errors import ConfigError

_LAST = 20


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "history", _run, "tell every move and alarm: when, why, by whom, and what it cost")
    added.add_argument("--last", metavar="N", type=int, default=_LAST, help=f"the last N; default: {_LAST}, 0: all")
    added.add_argument("--since", metavar="TIME", help=f"those since then: {moment.FORMS}")
    added.add_argument("--all", action="store_true", help="also changes between init and backup")
    added.add_argument("--peer", action="store_true", help="what the other side has recorded")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)


def _run(options: argparse.Namespace) -> int:
    # Here, because all this takes longer to import than a question takes to answer.
    from ovsha import retelling
    from ovsha.core import history_text

    if options.last < 0:
        raise ConfigError("--last: a number of moves and alarms is wanted, or 0 for all")
    since = None if options.since is None else moment.past(options.since, time.time())
    config = configuration.load(options.config)
    document = retelling.retell(config, since, options.last, options.all, options.peer)
    show(options, document, lambda whole: history_text.text(whole, moment.local))
    return 0
