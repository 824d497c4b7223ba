"""Answer the control command `explain`: the last decision, with all that it was taken on, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from ovsha import SCHEMA
from ovsha.acting import EARLY
from ovsha.core import trace
from ovsha.core.trace import Trace

Command = tuple[str, int, int, Callable[[Any, list[str], object], None]]


class Remembers(Protocol):
    """What this needs of an agent."""

    @property
    def trace(self) -> Trace:
        """Its decisions."""


def commands(agent: Callable[[], Remembers]) -> dict[str, Command]:
    """Return the commands as ovs.unixctl.command_register takes them; `agent` gives the one that runs now."""

    def explain(conn: Any, argv: list[str], aux: object) -> None:
        entries = agent().trace.entries()
        if not entries:
            conn.reply_error(EARLY)
        else:
            conn.reply(json.dumps({"schema": SCHEMA, "decision": trace.to_plain(entries[-1])}) + "\n")

    return {"explain": ("", 0, 0, explain)}
