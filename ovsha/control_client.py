"""Ask the running agent over its control socket, and give it orders in the name of who is logged in.

It is JSON-RPC (ovs-appctl(8)) with a time limit, so that an agent that hangs is reported and not waited for.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tenacity
from ovs.jsonrpc import Connection, Message
from ovs.poller import Poller
from ovs.stream import Stream

from ovsha import SCHEMA, atomic_file
from ovsha.errors import DriverError

ANSWER_LIMIT = 3.0
"""Seconds within which an agent answers a question; its turn takes milliseconds."""

_RESTART_LIMIT = 1.0
_TRY_EVERY = 0.05
_GONE = (errno.ENOENT, errno.ECONNREFUSED, errno.EPIPE, errno.ECONNRESET)

Find = Callable[[], Path]
"""Return where the control socket is now; DriverError when there is none."""


class NotRunning(DriverError):
    """No agent listens there, perhaps only while it is restarted."""


class Hangs(DriverError):
    """An agent listens there and does not answer."""


def in_directory(directory: Path) -> Find:
    """Return what finds the socket of the agent whose pidfile is in `directory`."""

    def find() -> Path:
        pidfile = directory / "ovsha.pid"
        try:
            pid = int(atomic_file.read(pidfile))
        except FileNotFoundError:
            raise NotRunning(f"no agent runs here: {pidfile} does not exist; start ovsha") from None
        except (OSError, ValueError) as error:
            raise DriverError(f"{pidfile}: cannot be read: {_word(error)}") from None
        return directory / f"ovsha.{pid}.ctl"

    return find


def ask(find: Find, command: str, *args: str, limit: float = ANSWER_LIMIT) -> str:
    """Return the agent's answer, waiting for it for `limit` seconds.

    An agent that is not there is waited for as long as a restart takes.  Raises
    DriverError with one line when nobody answers, or with what the agent refuses by.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotRunning),
        stop=tenacity.stop_after_delay(_RESTART_LIMIT),
        wait=tenacity.wait_fixed(_TRY_EVERY),
        reraise=True,
    )
    connection = retrying(lambda: _connect(find(), limit))
    try:
        return _transact(connection, command, list(args), limit)
    finally:
        connection.close()


def ask_json(find: Find, command: str, *args: str, schema: int, limit: float = ANSWER_LIMIT) -> dict[str, Any]:
    """Return the JSON object that the agent answers, which must be of `schema`.  Raises DriverError as `ask` does."""
    text = ask(find, command, *args, limit=limit)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise DriverError(f"the agent answers {command} in a form of another release; restart ovsha after an upgrade")
    return document


def _connect(path: Path, limit: float) -> Connection:
    error, stream = Stream.open_block(Stream.open(f"unix:{path}"), round(limit * 1000))
    if error in _GONE:
        raise NotRunning(f"no agent answers at {path}: {os.strerror(error)}; start ovsha")
    if error in (errno.EAGAIN, errno.ETIMEDOUT):
        raise Hangs(_hangs(path, limit))
    if error:
        denied = error in (errno.EACCES, errno.EPERM)
        hint = "; run this as root, or as a member of the group ovsha" if denied else ""
        raise DriverError(f"the agent cannot be asked at {path}: {os.strerror(error)}{hint}")
    return Connection(stream)


def _transact(connection: Connection, command: str, args: list[str], limit: float) -> str:
    where, deadline = connection.name.removeprefix("unix:"), time.monotonic() + limit
    request = Message.create_request(command, args)
    error = connection.send(request)
    while not error:
        connection.run()
        error, reply = connection.recv()
        if not error:
            if reply.type in (Message.T_REPLY, Message.T_ERROR) and reply.id == request.id:
                if reply.error is not None:
                    raise DriverError(str(reply.error).strip())
                return str(reply.result)
            continue
        if error != errno.EAGAIN:
            break
        left = deadline - time.monotonic()
        if left <= 0:
            raise Hangs(_hangs(where, limit))
        error = 0
        poller = Poller()
        connection.wait(poller)
        connection.recv_wait(poller)
        poller.timer_wait(int(left * 1000) + 1)
        poller.block()
    ended = "it ended" if error in (errno.ECONNRESET, errno.EPIPE) or error < 0 else os.strerror(error)
    raise DriverError(f"the agent at {where} did not answer {command}: {ended}; see its log")


def _hangs(where: object, limit: float) -> str:
    return f"the agent at {where} has not answered within {limit:g} s; see its log, and restart ovsha if it hangs"


def _word(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "no pid is in it"


_UNSET = 0xFFFFFFFF
_ANCESTORS = 8


def order(agent: Find, what: str, **facts: Any) -> dict[str, Any]:
    """Give an order and return the agent's answer.  Raises DriverError with what the agent refuses by."""
    text = json.dumps({"order": what, "who": who(), **facts})
    return ask_json(agent, "order", text, schema=SCHEMA)


def who() -> str:
    """Return the user who logged in, the one this runs as, and from where: "alice (uid 1000) as root from 10.0.0.5"."""
    uid = os.getuid()
    login = _login()
    text = f"{_name(uid)} (uid {uid})"
    if login is not None and login != uid:
        text = f"{_name(login)} (uid {login}) as {_name(uid)}"
    elif uid == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        text = f"{_name(int(os.environ['SUDO_UID']))} (uid {os.environ['SUDO_UID']}) as root"
    return f"{text} {_where()}".rstrip()


def _login() -> int | None:
    """Return the user who logged in, proc_pid_loginuid(5), None when nobody did."""
    try:
        number = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if number == _UNSET else number


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _where() -> str:
    """Return from which address or on which terminal; sudo(8) drops what the shell above it still knows."""
    pid = os.getpid()
    for _ in range(_ANCESTORS):
        address = _environment(pid).get("SSH_CONNECTION", "").partition(" ")[0]
        if address:
            return f"from {address}"
        pid = _parent(pid)
        if pid <= 1:
            break
    for descriptor in (0, 1, 2):
        try:
            return f"on {os.ttyname(descriptor)}"
        except OSError:
            continue
    return ""


def _environment(pid: int) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _parent(pid: int) -> int:
    try:
        # The name of the command, in parentheses, may hold anything: what follows the last one is split.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
