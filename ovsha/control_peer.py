"""Answer the control commands about the peer's identity: `peer-forget [json]`; what is known of it is in the status."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from ovsha import SCHEMA
from ovsha.config import Config
from ovsha.core.identity_text import forget_text

Command = tuple[str, int, int, Callable[[Any, list[str], object], None]]


class Acquainted(Protocol):
    """What this needs of an agent."""

    @property
    def config(self) -> Config:
        """Its configuration."""

    def forget_peer(self) -> str:
        """Learn the peer's identity anew; the one known so far, "" when there was none."""


def commands(agent: Callable[[], Acquainted]) -> dict[str, Command]:
    """Return the commands as ovs.unixctl.command_register takes them; `agent` gives the one that runs now."""

    def forget(conn: Any, argv: list[str], aux: object) -> None:
        if argv not in ([], ["json"]):
            conn.reply_error(f'"{argv[0]}" is no form; it is json or nothing')
            return
        told = {"schema": SCHEMA, "peer": agent().config.peer or None, "forgotten": agent().forget_peer() or None}
        conn.reply((json.dumps(told, indent=2) if argv else forget_text(told)) + "\n")

    return {"peer-forget": ("[json]", 0, 1, forget)}
