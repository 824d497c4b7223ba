"""Take note of a backup that a command has taken or restored: the control command `backup-note LEVEL TEXT`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from ovsha.recorder import Recorder

Command = tuple[str, int, int, Callable[[Any, list[str], object], None]]

NAME = "backup-note"
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}
_LONGEST = 500


class Recording(Protocol):
    """What this needs of an agent."""

    @property
    def recorder(self) -> Recorder:
        """Its flight recorder."""


def commands(agent: Callable[[], Recording]) -> dict[str, Command]:
    """Return the command as ovs.unixctl.command_register takes it; `agent` gives the one that runs now."""

    def note(conn: Any, argv: list[str], aux: object) -> None:
        if argv[0] not in _LEVELS:
            conn.reply_error(f'"{argv[0]:.40}" is no level; it is info or warning')
            return
        agent().recorder.event("backup", " ".join(argv[1].split())[:_LONGEST], _LEVELS[argv[0]])
        conn.reply("noted\n")

    return {NAME: ("LEVEL TEXT", 2, 2, note)}
