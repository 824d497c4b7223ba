"""ovsha backup: take, list, check, restore and remove backups of the database."""

from __future__ import annotations

import argparse
from typing import Any

from ovsha.cli import common
from ovsha.cli.common import Run, group, question


def add(commands: Any) -> None:
    """Add the command and its actions."""
    actions = group(commands, "backup", "take, list, check, restore and remove backups of the database")
    question(actions, "create", _run("create"), "take a backup, on the backup side if possible, unless nothing changed")
    question(actions, "list", _run("list_all"), "list the backups that are kept on this switch")
    one = question(actions, "show", _run("show"), "show what is in a backup, and how the database differs from it now")
    check = question(actions, "verify", _run("verify"), "open backups and say whether they are whole")
    restore = question(actions, "restore", _run("restore"), "bring a backup's contents back, on the active side only")
    prune = question(actions, "prune", _run("prune"), "remove the oldest backups, as many as are too many")
    for action in (one, restore):
        action.add_argument("backup", metavar="FILE", help=_WHICH)
    check.add_argument("backup", metavar="FILE", nargs="?", help=_WHICH + "; default: all of them")
    how = restore.add_mutually_exclusive_group()
    how.add_argument(
        "--online", action="store_true",
        help="into the running ovsdb-server: what differs, in one transaction (default)",
    )  # fmt: skip
    how.add_argument(
        "--offline", action="store_true",
        help="into the database file, with this ovsdb-server and both agents stopped",
    )  # fmt: skip
    prune.add_argument("--keep", metavar="N", type=_count, help="how many are kept; default: backup.keep")
    for action in (restore, prune):
        common.add_consent(action)


_WHICH = "its path, its name or the beginning of that, or newest"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one is kept")
    return number


def _run(action: str) -> Run:
    def run(options: argparse.Namespace) -> int:
        # Here, because reading databases takes longer to import than another command takes to answer.
        from ovsha.cli import backup_actions, backup_restore

        act: Run = backup_restore.run if action == "restore" else getattr(backup_actions, action)
        return act(options)

    return run
