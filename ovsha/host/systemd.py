"""Tell systemd and the journal how we are (sd_notify(3), systemd.journal-fields(7)), and keep the last lines.

Never blocks and raises nothing: a service manager that is not there or does not listen is
no reason to fail.

A record becomes one datagram to /run/systemd/journal/socket, as systemd's "Native Journal
Protocol" describes it.  A record with an `event`, a mapping of its kind and facts, has them
as fields: ``journalctl -u ovsha OVSHA_KIND=move -o json``.

A journal that does not read keeps nobody waiting: lines wait here, the oldest are dropped
when they are too many, and how many were is said when it reads again.  Where standard error
does not lead to the journal, lines go there as text.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

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


ADDRESS = "/run/systemd/journal/socket"

_WAITING = 1000
_LARGEST = 48 * 1024
"""Bytes of a datagram that every kernel takes in its default settings."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Of syslog(3); what is below is for debugging."""

_NAME = re.compile(r"[A-Z0-9_]{1,57}")


class JournalHandler(logging.Handler):
    """The handler; `address` is the journal's socket."""

    def __init__(self, address: str = ADDRESS, waiting: int = _WAITING) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._waiting: deque[bytes] = deque(maxlen=waiting)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, after those that wait."""
        self._lost += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(datagram(record))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the journal takes it now."""
        while self._waiting:
            if not self._send(self._waiting[0]):
                return
            self._waiting.popleft()
        if self._lost and self._send(_lines(_fields(f"{self._lost} lines of the log were lost", 4, {}))):
            self._lost = 0

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()

    def _send(self, line: bytes) -> bool:
        try:
            self._socket.sendto(line, self._address)
        except OSError:  # it is full, or is just being started anew
            return False
        return True


def handler(environ: Mapping[str, str], stderr: IO[str]) -> logging.Handler:
    """Return the handler for a program started in this environment: of the journal, or of standard error."""
    if _leads_to_journal(environ.get("JOURNAL_STREAM", ""), stderr):
        if os.path.exists(ADDRESS):  # noqa: PTH110 (a socket, and no path of ours)
            return JournalHandler()
        form = "%(levelname)s %(message)s"
    else:
        form = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
    plain = logging.StreamHandler(stderr)
    plain.setFormatter(logging.Formatter(form, datefmt="%Y-%m-%dT%H:%M:%S"))
    return plain


def _leads_to_journal(stream: str, stderr: IO[str]) -> bool:
    """Compare JOURNAL_STREAM with the file that standard error is, as systemd.exec(5) advises."""
    try:
        status = os.fstat(stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def datagram(record: logging.LogRecord) -> bytes:
    """Return what is sent for a record; one that is too large loses its facts, and then its end."""
    message = record.getMessage()
    priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
    event = getattr(record, "event", None)
    whole = _lines(_fields(message, priority, event if isinstance(event, Mapping) else {}))
    if len(whole) <= _LARGEST:
        return whole
    return _lines(_fields(message[: _LARGEST // 8], priority, {}))


def _fields(message: str, priority: int, event: Mapping[str, Any]) -> dict[str, str]:
    facts = {f"OVSHA_{name.upper()}": _word(value) for name, value in event.items() if value is not None}
    known = {name: word for name, word in facts.items() if _NAME.fullmatch(name)}
    return {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "ovsha", **known}


def _word(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _lines(fields: Mapping[str, str]) -> bytes:
    return b"".join(_line(name.encode("ascii"), word.encode("utf-8", "replace")) for name, word in fields.items())


def _line(name: bytes, word: bytes) -> bytes:
    """Return a field; a value of several lines is written with its length before it."""
    if b"\n" not in word:
        return name + b"=" + word + b"\n"
    return name + b"\n" + struct.pack("<Q", len(word)) + word + b"\n"


SIZE = 400


class LogTail(logging.Handler):
    """The last `size` lines, each with its time in UTC."""

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=size)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self._lines.append((record.created, record.levelname, record.getMessage()))

    def lines(self) -> list[str]:
        """Return the lines, the oldest first."""
        return [
            f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='milliseconds')} {level} {message}"
            for at, level, message in list(self._lines)
        ]


TAIL = LogTail()
"""That of this process; the service attaches it to its log."""
