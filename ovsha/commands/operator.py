"""Say who sits at this command line and from where, for the record of the orders given there, and send them."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

from ovsha import SCHEMA, client

_UNSET = 0xFFFFFFFF
_ANCESTORS = 8


def order(agent: client.Find, what: str, **facts: Any) -> dict[str, Any]:
    """Give an order and return the agent's answer.  Raises DriverError with what the agent refuses by."""
    text = json.dumps({"order": what, "who": who(), **facts})
    return client.ask_json(agent, "order", text, schema=SCHEMA)


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
