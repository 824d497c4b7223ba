"""The agent's control socket: its commands, and who may give them (ovs-appctl -t ovsha works too).

Root, the agent's own user and the members of the group that the configuration names may.  The groups are those that
the process had when it connected: no directory service is asked, which might take long.

Commands: `status [json]`, `sync-status [json]`, `counters [json]`, `switchover [NODE [json]]`, `peer-forget [json]`,
`order JSON`, `moved`, `list-commands`, `version`.  A switchover is answered when it is over; everything else at once.
"""

from __future__ import annotations

import grp
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ovs.unixctl
from ovs.poller import Poller

from ovsha import SCHEMA, __version__
from ovsha.agent import orders, publish, switchovers
from ovsha.agent.standing_orders import EARLY
from ovsha.agent.switchovers import Moves
from ovsha.config import Config
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.errors import DriverError
from ovsha.history.recorder import Recorder
from ovsha.ovsdb import unixctl
from ovsha.report import status, status_text, trace
from ovsha.report.assessment import StatusInputs
from ovsha.report.status_text import forget_text
from ovsha.report.trace import Trace

_PEERGROUPS = 59
"""SO_PEERGROUPS of socket(7), Linux 4.13; Python has no name for it."""

_ROOM = 1024
"""Bytes that Python gives an answer of the kernel: 256 groups; of a process in more of them only the first is known."""

_UNSET = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Caller:
    """A process: its user, its groups, and the user who once logged in (proc_pid_loginuid(5)), None when unknown."""

    pid: int
    uid: int
    groups: frozenset[int]
    login: int | None = None

    def __str__(self) -> str:
        """Return it for the log."""
        login = "" if self.login in (None, self.uid) else f", logged in as uid {self.login}"
        return f"uid {self.uid}{login} (pid {self.pid})"


def group_id(name: str) -> int | None:
    """Return the number of the group, None when there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def caller(conn: Any) -> Caller | None:
    """Return who sent a command over a connection of python-ovs' unixctl server, None when that cannot be told."""
    sock = getattr(getattr(getattr(conn, "_rpc", None), "stream", None), "socket", None)
    if not isinstance(sock, socket.socket):
        return None
    try:
        pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return Caller(pid, uid, frozenset({gid, *_others(sock)}), _login(pid))


def _others(sock: socket.socket) -> list[int]:
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _ROOM)
    except OSError:
        return []
    return [number for (number,) in struct.iter_unpack("I", packed)]


def access_refusal(who: Caller | None, group: str, gid: int | None) -> str:
    """Say why `who` may give no orders, "" for who may; `gid` is that of the group, None when there is none."""
    if who is not None and who.uid in (0, os.geteuid()):
        return ""
    if who is not None and gid is not None and gid in who.groups:
        return ""
    members = f" or as a member of group {group}" if gid is not None else ""
    return f"only root may give orders to the agent: run this as root{members}"


def _login(pid: int) -> int | None:
    try:
        number = int(Path(f"/proc/{pid}/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if number == _UNSET else number


_BackupCommand = tuple[str, int, int, Callable[[Any, list[str], object], None]]

NAME = "backup-note"
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}
_LONGEST = 500


class Recording(Protocol):
    """What this needs of an agent."""

    @property
    def recorder(self) -> Recorder:
        """Its flight recorder."""


def backup_commands(agent: Callable[[], Recording]) -> dict[str, _BackupCommand]:
    """Return the command as ovs.unixctl.command_register takes it; `agent` gives the one that runs now."""

    def note(conn: Any, argv: list[str], aux: object) -> None:
        if argv[0] not in _LEVELS:
            conn.reply_error(f'"{argv[0]:.40}" is no level; it is info or warning')
            return
        agent().recorder.event("backup", " ".join(argv[1].split())[:_LONGEST], _LEVELS[argv[0]])
        conn.reply("noted\n")

    return {NAME: ("LEVEL TEXT", 2, 2, note)}


Command = tuple[str, int, int, Callable[[Any, list[str], object], None]]


class Remembers(Protocol):
    """What this needs of an agent."""

    @property
    def trace(self) -> Trace:
        """Its decisions."""


def explain_commands(agent: Callable[[], Remembers]) -> dict[str, Command]:
    """Return the commands as ovs.unixctl.command_register takes them; `agent` gives the one that runs now."""

    def explain(conn: Any, argv: list[str], aux: object) -> None:
        entries = agent().trace.entries()
        if not entries:
            conn.reply_error(EARLY)
        else:
            conn.reply(json.dumps({"schema": SCHEMA, "decision": trace.to_plain(entries[-1])}) + "\n")

    return {"explain": ("", 0, 0, explain)}


class Acquainted(Protocol):
    """What this needs of an agent."""

    @property
    def config(self) -> Config:
        """Its configuration."""

    def forget_peer(self) -> str:
        """Learn the peer's identity anew; the one known so far, "" when there was none."""


def peer_commands(agent: Callable[[], Acquainted]) -> dict[str, Command]:
    """Return the commands as ovs.unixctl.command_register takes them; `agent` gives the one that runs now."""

    def forget(conn: Any, argv: list[str], aux: object) -> None:
        if argv not in ([], ["json"]):
            conn.reply_error(f'"{argv[0]}" is no form; it is json or nothing')
            return
        told = {"schema": SCHEMA, "peer": agent().config.peer or None, "forgotten": agent().forget_peer() or None}
        conn.reply((json.dumps(told, indent=2) if argv else forget_text(told)) + "\n")

    return {"peer-forget": ("[json]", 0, 1, forget)}


log = logging.getLogger("ovsha")

ACTING = ("switchover", "resolve", "peer-forget", "order", NAME)
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
        self, agent: Served, config: Config, outside: Callable[[Any, float], StatusInputs] = publish.surroundings
    ) -> None:
        self._agent = agent
        self._outside = outside
        self._group = (config.control.group, group_id(config.control.group))
        self._moves = Moves(agent, self._broken)
        self._commands = {
            "status": ("[json]", 0, 1, self._status),
            "sync-status": ("[json]", 0, 1, self._sync_status),
            "counters": ("[json]", 0, 1, self._counters),
            "switchover": ("[NODE [json]]", 0, 2, self._switchover),
            "resolve": ("NODE REASON [WHO]", 2, 3, self._resolve),
            **peer_commands(lambda: self._agent),
            **backup_commands(lambda: self._agent),
            **explain_commands(lambda: self._agent),
            **orders.order_commands(self._moves),
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
        self._show(conn, argv, status.sync_status, status_text.sync_text)

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
                _answer(conn, _json(result) if argv[1:] else switchovers.result_text(result))

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
            who = caller(conn)
            refused = access_refusal(who, *self._group)
            if refused:
                log.warning("%s was refused to %s", name, who)
                conn.reply_error(refused)
            else:
                if name != NAME:  # which is no order, and has a line of its own
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
