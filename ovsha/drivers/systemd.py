"""Tell systemd how the agent is, by sd_notify(3): a datagram to a unix socket.

Never blocks and raises nothing: a service manager that is not there or does not listen is
no reason to fail.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Speak to the service manager that `env` names; to nobody when it names none."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = _address(env.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog_interval(env)
        """Seconds between two `watchdog`: half of what systemd allows; None when it wants none."""

    def ready(self) -> None:
        """Say that the start, or the reload, is complete."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Give ``systemctl status`` its line."""
        self._send("STATUS=" + " ".join(text.split()))

    def reloading(self, now: float) -> None:
        """Say that the configuration is being read anew; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(now * 1_000_000)}")

    def stopping(self) -> None:
        """Say that the agent is about to end."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Say that the loop still turns."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError as err:
            log.debug("systemd was not told %r: %s", text, err)


def _address(name: str) -> bytes | None:
    """Return the address to send to; ``@`` stands for the zero byte of an abstract socket."""
    raw = os.fsencode(name)
    if len(raw) < 2 or raw[:1] not in (b"/", b"@"):
        return None
    return b"\0" + raw[1:] if raw[:1] == b"@" else raw


def _watchdog_interval(env: Mapping[str, str]) -> float | None:
    """Read what sd_watchdog_enabled(3) reads; a WATCHDOG_PID of another process is not for us."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = env.get("WATCHDOG_USEC", "")
    return int(usec) / 2_000_000 if usec.isascii() and usec.isdecimal() and int(usec) > 0 else None
