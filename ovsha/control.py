"""Serve the agent's control socket, which is that of a unixctl server: ovs-appctl -t ovsha works too.

Commands: `status [json]`, `sync-status [json]`, `counters [json]`, `switchover [NODE [json]]`, `peer-forget [json]`,
`order JSON`, `moved`, `list-commands`, `version`.  A switchover is answered when it is over; everything else at once.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ovs.unixctl
from ovs.poller import Poller

from ovsha import (
    SCHEMA,
    __version__,
    access,
    control_backup,
    control_explain,
    control_orders,
    control_peer,
    move,
    report,
)
from ovsha.acting import EARLY
from ovsha.config import Config
from ovsha.core import status, status_text, sync_text
from ovsha.core.outside import Outside
from ovsha.core.side import Decision
from ovsha.core.trace import Trace
from ovsha.core.view import View
from ovsha.drivers import unixctl
from ovsha.errors import DriverError
from ovsha.moves import Moves
from ovsha.recorder import Recorder

log = logging.getLogger("ovsha")

ACTING = ("switchover", "resolve", "peer-forget", "order", control_backup.NAME)
"""The commands that change something."""

Act = Callable[[Any, list[str], object], None]

_LOOK_EVERY = 50


class Served(Protocol):
    """What this needs of an agent."""

    @property
    def config(self) -> Config:
        """Its configuration."""

    @property
    def clock(self) -> Callable[[], float]:
        """Its monotonic clock, in seconds."""

    @property
    def view(self) -> View | None:
        """What it knew at its last turn, None before the first."""

    @property
    def decision(self) -> Decision | None:
        """What it decided then."""

    @property
    def counters(self) -> dict[str, int]:
        """What it counts."""

    @property
    def trace(self) -> Trace:
        """Its decisions."""

    @property
    def recorder(self) -> Recorder:
        """Its flight recorder."""

    def refuse_switchover(self, target: str) -> str:
        """Why the service cannot begin to move to `target`, "" when it can."""

    def order_switchover(self, target: str, ident: str, reason: str = "", who: str = "", restore: bool = False) -> str:
        """Begin to move the service to `target`; why that cannot begin, "" when it does."""

    def order_resolve(self, keep: str, reason: str, who: str = "") -> str:
        """Keep the data of node `keep`; why that cannot be done, "" when it is begun."""

    def forget_peer(self) -> str:
        """Learn the peer's identity anew; the one known so far, "" when there was none."""


class Control:
    """The control socket of `agent`; `outside` gathers what the status shows beyond the decision.

    There is one in a process: python-ovs keeps one table of commands.  Raises DriverError
    when the socket cannot be made.
    """

    def __init__(
        self, agent: Served, config: Config, outside: Callable[[Any, float], Outside] = report.outside
    ) -> None:
        self._agent = agent
        self._outside = outside
        self._group = (config.control.group, access.group_id(config.control.group))
        self._moves = Moves(agent, self._broken)
        self._commands = {
            "status": ("[json]", 0, 1, self._status),
            "sync-status": ("[json]", 0, 1, self._sync_status),
            "counters": ("[json]", 0, 1, self._counters),
            "switchover": ("[NODE [json]]", 0, 2, self._switchover),
            "resolve": ("NODE REASON [WHO]", 2, 3, self._resolve),
            **control_peer.commands(lambda: self._agent),
            **control_backup.commands(lambda: self._agent),
            **control_explain.commands(lambda: self._agent),
            **control_orders.commands(self._moves),
            "list-commands": ("", 0, 0, self._list_commands),
            "version": ("", 0, 0, self._version),
        }
        for name, (usage, least, most, command) in self._commands.items():
            guarded = self._guarded(name, command) if name in ACTING else command
            ovs.unixctl.command_register(name, usage, least, most, guarded, None)
        self._server = _listen(config.run_directory)
        _admit(_path(config.run_directory), self._group[1], config.control.everybody_reads)

    def serve(self, agent: Served) -> None:
        """Go on with another agent, which knows nothing of a switchover under way."""
        self._agent = self._moves.agent = agent
        self._moves.end("the configuration was read anew meanwhile; see ovsha status")

    def run(self) -> None:
        """Answer what has been asked, and the switchover when it is over."""
        self._server.run()
        self._moves.run()

    def wait(self, poller: Poller) -> None:
        """Wake the loop for the next question."""
        self._server.wait(poller)
        if self._moves.under_way:
            poller.timer_wait(_LOOK_EVERY)

    def close(self) -> None:
        """Take the socket away."""
        self._moves.end("the agent was told to stop; see ovsha status on the peer")
        self._server.close()
        for name in self._commands:
            ovs.unixctl.commands.pop(name, None)

    def document(self) -> dict[str, Any] | None:
        """Return what `status json` answers, None before the agent's first turn."""
        view, decision = self._agent.view, self._agent.decision
        if view is None or decision is None:
            return None
        return status.status(view, decision, self._outside(self._agent, self._agent.clock()))

    def _status(self, conn: Any, argv: list[str], aux: object) -> None:
        self._show(conn, argv, lambda document: document, status_text.status_text)

    def _sync_status(self, conn: Any, argv: list[str], aux: object) -> None:
        self._show(conn, argv, status.sync_status, sync_text.sync_text)

    def _show(
        self,
        conn: Any,
        argv: list[str],
        part: Callable[[dict[str, Any]], dict[str, Any]],
        text: Callable[[dict[str, Any]], str],
    ) -> None:
        document = self.document()
        if document is None:
            conn.reply_error(EARLY)
        elif not _is_form(argv):
            conn.reply_error(f'"{argv[0]}" is no form; it is json or nothing')
        else:
            _answer(conn, _json(part(document)) if argv else text(document))

    def _counters(self, conn: Any, argv: list[str], aux: object) -> None:
        self._show(
            conn,
            argv,
            lambda document: {"schema": SCHEMA, "counters": document["counters"]},
            lambda document: "\n".join(f"{name}: {count}" for name, count in document["counters"].items()),
        )

    def _switchover(self, conn: Any, argv: list[str], aux: object) -> None:
        """Move the service, and answer when that is over: the form for ovs-appctl."""
        if not _is_form(argv[1:]):
            conn.reply_error(f'"{argv[1]}" is no form; it is json or nothing')
            return

        def over(result: dict[str, Any] | None, error: str) -> None:
            if not _waits(conn):
                return
            if result is None:
                conn.reply_error(error)
            else:
                _answer(conn, _json(result) if argv[1:] else move.result_text(result))

        try:
            self._moves.refuse_second()
            target = self._moves.target(argv[0] if argv else "", False)
            if self._moves.there(target):
                told = {"schema": SCHEMA, "moved": False, "from": target, "to": target}
                _answer(conn, _json(told) if argv[1:] else f"{target} is active already; nothing was moved")
                return
            self._moves.begin(target, "", "", False, over)
        except DriverError as error:
            conn.reply_error(str(error))

    def _resolve(self, conn: Any, argv: list[str], aux: object) -> None:
        refused = self._agent.order_resolve(*argv)
        if refused:
            conn.reply_error(refused)
        else:
            _answer(conn, f"the data of {argv[0]} is kept")

    def _broken(self) -> list[str]:
        document = self.document()
        problems = document["problems"] if document is not None else []
        return [problem["what"] for problem in problems if problem["level"] == "broken"]

    def _guarded(self, name: str, command: Act) -> Act:
        """Return the command for those who may give orders, with a line in the log that says who gave it."""

        def guarded(conn: Any, argv: list[str], aux: object) -> None:
            who = access.caller(conn)
            refused = access.refusal(who, *self._group)
            if refused:
                log.warning("%s was refused to %s", name, who)
                conn.reply_error(refused)
            else:
                if name != control_backup.NAME:  # which is no order, and has a line of its own
                    log.info("%s is ordered by %s", name, who)
                command(conn, argv, aux)

        return guarded

    def _list_commands(self, conn: Any, argv: list[str], aux: object) -> None:
        usages = {name: command.usage for name, command in sorted(ovs.unixctl.commands.items())}
        lines = [f"  {name:<23} {usage}".rstrip() for name, usage in usages.items()]
        _answer(conn, "\n".join(["The available commands are:", *lines]))

    def _version(self, conn: Any, argv: list[str], aux: object) -> None:
        _answer(conn, f"ovsha {__version__}")


def _listen(directory: Path) -> unixctl.Server:
    """Make the socket that ovs-appctl looks for, for its owner only as yet, and remove those of dead agents."""
    path = _path(directory)
    try:
        for old in directory.glob("ovsha.*.ctl"):
            pid = old.name.split(".")[1]
            if pid.isdecimal() and (int(pid) == os.getpid() or not Path(f"/proc/{pid}").exists()):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise DriverError(f"{error.filename}: an old control socket cannot be removed: {error.strerror}") from None
    before = os.umask(0o077)
    try:
        return unixctl.listen(str(path))
    finally:
        os.umask(before)


def _path(directory: Path) -> Path:
    return directory / f"ovsha.{os.getpid()}.ctl"


def _admit(path: Path, group: int | None, everybody: bool) -> None:
    """Let the group use the socket, and everybody, if the configuration says so, who may then only ask."""
    try:
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(0o666 if everybody else 0o600 if group is None else 0o660)
    except OSError as error:
        raise DriverError(f"{path}: cannot be given to its group: {error.strerror}") from None


def _answer(conn: Any, text: str) -> None:
    """Answer with `text`, whose last line is ended here because newer releases of python-ovs do not."""
    conn.reply(text if text.endswith("\n") else text + "\n")


def _waits(conn: Any) -> bool:
    """Tell whether a client still waits for its deferred answer.

    A connection that was closed meanwhile has forgotten its request, and python-ovs would
    fail an assertion over an answer to none, which would end the agent.
    """
    return conn._request_id is not None


def _is_form(argv: list[str]) -> bool:
    return not argv or argv == ["json"]


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2)
