"""Ask an ovsdb-server over its control socket what it is doing: role, source, remotes (ovsdb-server(1))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED, WITHOUT
from ovsha.drivers import unixctl_parse
from ovsha.drivers.rpc import Channel

_QUESTIONS = {
    "memory": "memory/show",
    "version": "version",
    "source": "ovsdb-server/get-active-ovsdb-server",
    "status": "ovsdb-server/sync-status",
    "remotes": "ovsdb-server/list-remotes",
}
_NEEDED = _QUESTIONS.keys() - {"memory"}


@dataclass(frozen=True, slots=True)
class Found:
    """What the server says of itself.

    `source`: whom it is told to copy from, with the tables that it leaves out, if it does; None when it was never told.
    `line`: its own words on the state of the copy.  `cells` None: it does not tell.
    """

    role: Role | None
    source: str | None
    replicating: bool
    remotes: frozenset[str]
    version: tuple[int, int]
    cells: int | None
    line: str

    def differs(self, role: Role | None, source: str | None) -> bool:
        """Tell whether this is not what was ordered; an active server copies from nobody, whatever it was told."""
        return self.role is not role or (self.role is Role.BACKUP and self.source != source)


def ask(control: Channel, database: str, done: Callable[[Found], None]) -> None:
    """Ask for all of it at once; `done` is called when the last answer is there, and not when one fails.

    Questions and orders keep their order on the one connection.
    """
    answers: dict[str, str] = {}

    def take(key: str) -> Callable[[Any, str | None], None]:
        def answered(result: Any, error: str | None) -> None:
            if error is None:
                answers[key] = str(result)
            if key == "remotes" and answers.keys() >= _NEEDED:
                done(_read(answers, database))

        return answered

    for key, command in _QUESTIONS.items():
        control.request(command, [], take(key))


def words(role: Role | None, source: str | None) -> str:
    """Return role and source as an operator reads them."""
    if role is Role.BACKUP:
        return f"backup of {source}"
    return role.value if role else "in an unknown role"


def _read(answers: dict[str, str], database: str) -> Found:
    status = unixctl_parse.sync_status(answers["status"], database)
    source = answers["source"].strip() or None
    if status.excluded and source != PARKED:
        source = f"{source}{WITHOUT}{status.excluded}"
    return Found(
        status.role,
        source,
        status.replicating,
        frozenset(answers["remotes"].split()),
        unixctl_parse.version(answers["version"]),
        unixctl_parse.cells(answers.get("memory", "")),
        status.line,
    )
