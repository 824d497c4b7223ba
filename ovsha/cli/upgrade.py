"""`ovsha upgrade`: have a switch upgraded whose database and start script the upgrade overwrites, and lose nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ovsha.cli import common
from ovsha.cli.common import group, question

WAIT = "10m"


def add(commands: Any) -> None:
    """Put the command and its actions on the command line."""
    actions = group(commands, "upgrade", "bring a switch through an upgrade that overwrites its database")
    prepare = question(actions, "prepare", _prepare, "save what it overwrites, and only follow until it is finished")
    prepare.add_argument("--reason", metavar="TEXT", default="", help="why, for the record and for ovsha status")
    common.add_consent(prepare)
    finish = question(actions, "finish", _finish, "put back what is missing, wait for a copy in sync, and prove it")
    finish.add_argument("--wait", metavar="SPAN", default=WAIT, help=f"for how long at most; default: {WAIT}")
    finish.add_argument("--from", metavar="DIRECTORY", dest="place", type=Path, help="where the saved files are")
    finish.add_argument("--peer-lost", action="store_true", help="the other switch is gone: serve what is here")
    finish.add_argument(
        "--restore-database", action="store_true", help="with --peer-lost: put back the database that was saved"
    )
    finish.add_argument("--reason", metavar="TEXT", default="", help="why, for the record; needed with --peer-lost")
    common.add_consent(finish)
    status = question(actions, "status", _status, "tell where each side is in its upgrade, and what comes next")
    status.add_argument("--diff", action="store_true", help="show how files differ from what was saved")


def _prepare(options: argparse.Namespace) -> int:
    from ovsha.cli import upgrade_actions  # here, because reading databases takes long to import

    return upgrade_actions.prepare(options)


def _finish(options: argparse.Namespace) -> int:
    from ovsha.cli import upgrade_finish

    return upgrade_finish.run(options)


def _status(options: argparse.Namespace) -> int:
    from ovsha.cli import upgrade_actions

    return upgrade_actions.status(options)
