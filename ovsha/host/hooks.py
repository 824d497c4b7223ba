"""Run the operator's hooks: executables in a directory, told of each event in its order, one after the other.

A thread of its own looks into the directory, starts the hooks and waits for them, so
neither a disk that hangs nor a hook that does holds up the agent's loop.  A hook gets the
event's name as its argument, the facts as OVSHA_... in its environment, and all of them as
one JSON object on its standard input.  One that takes longer than its limit is killed with
all that it has started.  Events wait in a bounded queue; a full one drops its oldest.

A hook runs as root.  So one that others could have written is refused: it, and the
directory, must belong to root (or to whom the agent runs as) and be writable by nobody else.

Raises nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import signal
import stat
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("ovsha")

MOST = 32
"""Events that may wait."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LEFTOVER = re.compile(r".*(\.(bak|orig|rej|swp|dpkg-[a-z]+|ucf-[a-z]+|rpm[a-z]+))")
"""What editors and packages leave beside a file, which is not meant to run; run-parts(8) passes it over too."""

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_SAID = 400
_LONGEST_WORD = 4096
_DYING = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name and its facts, made of JSON values; a null is not put into the environment."""

    name: str
    facts: Mapping[str, Any]


class Hooks:
    """The hooks in `directory`, each with `limit` seconds.

    `trouble` names the hooks that are refused, "" when none is.  `counters` counts hooks run and failed, and events
    dropped.
    """

    def __init__(self, directory: Path, limit: float, most: int = MOST) -> None:
        self.directory, self.limit = directory, limit
        self.trouble = ""
        self.counters = {"hooks_run": 0, "hooks_failed": 0, "hooks_dropped": 0}
        self._most = most
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._left: list[subprocess.Popen[bytes]] = []

    def tell(self, event: Event) -> None:
        """Have the hooks told, after all that was told before; returns at once."""
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) >= self._most:
                gone = self._waiting.popleft()
                self.counters["hooks_dropped"] += 1
                log.warning("hooks are not told of %s: %d events wait already", gone.name, self._most)
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="hooks", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, limit: float = 0.0) -> None:
        """Take no more events; what waits is still told, for which this waits `limit` seconds at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and limit:
            self._thread.join(limit)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                event = self._waiting.popleft()
            for path in self._find():
                self._run(path, event)

    def _find(self) -> list[Path]:
        """Return the hooks in the order of their names, and note those that are refused."""
        self._left = [child for child in self._left if child.poll() is None]
        refused: list[str] = []
        found: list[Path] = []
        try:
            why = _objection(self.directory, stat.S_ISDIR)
            paths = sorted(path for path in self.directory.iterdir() if _meant(path.name))
        except FileNotFoundError:
            why, paths = "", []
        except OSError as error:
            why, paths = f"{self.directory} cannot be read: {error.strerror}", []
        if why:
            refused.append(why)
        for path in paths if not why else ():
            try:
                if not path.is_file() or not os.access(path, os.X_OK):
                    continue
                why = _objection(path, stat.S_ISREG)
            except OSError as error:
                why = f"{path} cannot be looked at: {error.strerror}"
            if why:
                refused.append(why)
            else:
                found.append(path)
        self.trouble = f"not run: {'; '.join(refused)}" if refused else ""
        return found

    def _run(self, path: Path, event: Event) -> None:
        self.counters["hooks_run"] += 1
        trouble = self._call(path, event)
        if trouble:
            self.counters["hooks_failed"] += 1
            log.warning("hook %s failed on %s: %s", path.name, event.name, trouble)

    def _call(self, path: Path, event: Event) -> str:
        """Run one hook; return what went wrong, "" when nothing did."""
        try:
            child = subprocess.Popen(
                [str(path), event.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=_environment(event),
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        assert child.stdin is not None
        assert child.stderr is not None
        # A pipe takes all of it at once, so a hook that does not read it is not waited for.
        os.set_blocking(child.stdin.fileno(), False)
        with contextlib.suppress(OSError), child.stdin:
            child.stdin.write(json.dumps(dict(event.facts)).encode() + b"\n")
        with child.stderr:
            over, said = _attend(child, child.stderr.fileno(), time.monotonic() + self.limit)
        if not over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            try:
                child.wait(_DYING)
            except subprocess.TimeoutExpired:  # one that waits for a dead disk dies when it can
                self._left.append(child)
            return f"it was killed, for it took longer than {self.limit:g} s"
        if child.wait() == 0:
            return ""
        how = f"exit status {child.returncode}" if child.returncode > 0 else f"killed by signal {-child.returncode}"
        return f"{how}: {said}" if said else how


def _attend(child: subprocess.Popen[bytes], stderr: int, deadline: float) -> tuple[bool, str]:
    """Wait for the child until `deadline`; return whether it ended, and the last line it said."""
    said = b""
    pidfd = os.pidfd_open(child.pid)
    try:
        os.set_blocking(stderr, False)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(stderr, select.POLLIN)
        over = False
        while not over and (left := deadline - time.monotonic()) > 0:
            ready = dict(poll.poll(left * 1000))
            over = pidfd in ready
            if stderr in ready:
                heard = _read(stderr)
                said = (said + heard)[-_SAID:]
                if not heard:
                    poll.unregister(stderr)
    finally:
        os.close(pidfd)
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return over, "".join(letter if letter.isprintable() else "?" for letter in lines[-1]) if lines else ""


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _meant(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _LEFTOVER.fullmatch(name)


def _objection(path: Path, is_kind: Any) -> str:
    """Say why others than root may have written `path`, "" when they cannot."""
    status = path.stat()
    if not is_kind(status.st_mode):
        return f"{path} is not what it should be"
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user than root: chown root {path}"
    if status.st_mode & 0o022:
        return f"{path} can be written by others than its owner: chmod go-w {path}"
    return ""


def _environment(event: Event) -> dict[str, str]:
    told = {"EVENT": event.name, **{name.upper(): _word(value) for name, value in event.facts.items()}}
    return {**_ENVIRONMENT, **{f"OVSHA_{name}": word for name, word in told.items() if word is not None}}


def _word(value: object) -> str | None:
    """Return a fact as one line; yes and no as 1 and 0."""
    if value is None:
        return None
    text = str(int(value)) if isinstance(value, bool) else " ".join(str(value).replace("\0", "").split())
    return text[:_LONGEST_WORD]
