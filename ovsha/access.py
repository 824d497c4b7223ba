"""Say who is at the other end of a control connection, by what the kernel knows, and whether it may give orders.

Root, the agent's own user and the members of the group that the configuration names may.  The groups are those that
the process had when it connected: no directory service is asked, which might take long.
"""

from __future__ import annotations

import grp
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def refusal(who: Caller | None, group: str, gid: int | None) -> str:
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
