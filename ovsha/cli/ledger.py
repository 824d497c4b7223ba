"""ovsha ledger: look at the rows that exist only in a database that was overwritten, and bring them back."""

from __future__ import annotations

import argparse
from typing import Any

from ovsha.cli import common
from ovsha.cli.common import Run, group, question


def add(commands: Any) -> None:
    """Add the command and its actions."""
    actions = group(commands, "ledger", "look at rows that exist only in a database that was overwritten")
    every = question(actions, "list", _run("list_all"), "list the ledgers; exit status 0 if none of them is open")
    one = question(actions, "show", _run("show"), "show the rows of a ledger")
    again = question(actions, "replay", _replay, "bring rows of a ledger back in one transaction, or none")
    dismiss = question(actions, "dismiss", _run("dismiss"), "settle a ledger without bringing its rows back")
    for action in (one, again, dismiss):
        action.add_argument("ledger", metavar="ID", help="its name, or a beginning of it that no other has")
    for action in (every, one):
        action.add_argument("--peer", action="store_true", help="ask the other side for its own")
    again.add_argument(
        "rows", metavar="ROW", nargs="*",
        help="only this one, by its uuid or the beginning of it; doubts are added by name, or as a list at a terminal",
    )  # fmt: skip
    again.add_argument("--deletions", action="store_true", help="also what takes rows away: each is named first")
    again.add_argument("--dry-run", action="store_true", help="only say what would become of each row")
    common.add_consent(again)
    again.add_argument("--again", action="store_true", help="even if the ledger is settled")
    dismiss.add_argument("--reason", metavar="TEXT", required=True, help="why its rows are not needed")
    common.add_consent(dismiss)


def _run(action: str) -> Run:
    def run(options: argparse.Namespace) -> int:
        # Here, because reading databases takes longer to import than another command takes to answer.
        from ovsha.cli import ledger_actions

        act: Run = getattr(ledger_actions, action)
        return act(options)

    return run


def _replay(options: argparse.Namespace) -> int:
    from ovsha.cli import ledger_replay

    return ledger_replay.replay(options)
