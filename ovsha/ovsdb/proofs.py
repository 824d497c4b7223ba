"""Keep on disk what the running process of our ovsdb-server held, so that an agent that is started anew knows it.

A file of its own, which an agent that knows nothing of it passes over.  It is written by a thread, and not fsynced: it
names a process, so it says nothing after the next boot.  It is removed before the server is told to copy, for what that
holds from then on is another's.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ovs.poller import POLLIN, Poller

from ovsha import atomic_file, codec
from ovsha.core import stamps
from ovsha.core.facts import Proof

log = logging.getLogger("ovsha")

NAME = "process.json"

_OFTEN = 60
"""Tokens, two minutes of them by default, after which the file is written again."""
_RETRY = 1.0


def load(path: Path) -> Proof | None:
    """Return what is kept, None when there is nothing, or nothing that can be read, which is logged."""
    try:
        proof = codec.from_plain(Proof, codec.parse(atomic_file.read(path)))
        stamps.whole(proof.stamp.term)
        stamps.name(proof.stamp.node)
        if proof.token is not None:
            stamps.pair(proof.token)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s: cannot be read: %s", path, error.strerror)
    except ValueError as error:
        log.warning("%s: is damaged (%.80s), and passed over", path, error)
    else:
        return Proof(proof.process, proof.stamp, proof.token)
    return None


class Proofs:
    """Save in the background what is wanted, and remove it when it holds no more; `loaded` is what was there."""

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._path = path
        self.loaded = self._saved = load(path)
        self._exists = True
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proofs")
        self._work: tuple[Future[None], list[Callable[[], None]]] | None = None
        self._dropping: list[Callable[[], None]] = []
        self._retry_at = 0.0
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)

    def run(self, now: float, wanted: Proof | None) -> None:
        """Note what is done, and begin what is due; what is a copy's is kept by nobody."""
        self._hear()
        if self._work is not None and self._work[0].done():
            (future, then), self._work = self._work, None
            error = future.exception()
            self.trouble = f"{self._path}: cannot be written: {error}" if error is not None else ""
            self._retry_at = now + _RETRY if error is not None else now
            for each in then:
                each()
        if self._work is not None:
            return
        if self._dropping:
            waiting, self._dropping = self._dropping, []
            self._begin(self._remove, waiting)
            return
        wanted = wanted if wanted is not None and not wanted.copy else None
        if now < self._retry_at or not self._differs(wanted):
            return
        if wanted is None:
            self._begin(self._remove, [])
        else:
            self._begin(lambda: self._save(wanted), [])

    def drop(self, done: Callable[[], None]) -> None:
        """Remove what is kept, then call `done`, from `run`; when that fails too, which is shown as trouble."""
        self._dropping.append(done)
        self._ring()

    def wait(self, poller: Poller) -> None:
        """Wake the loop when something is done."""
        poller.fd_wait(self._ear.fileno(), POLLIN)

    def close(self) -> None:
        """Wait for what is being done."""
        self._thread.shutdown()
        self._bell.close()
        self._ear.close()

    def _differs(self, wanted: Proof | None) -> bool:
        saved = self._saved
        if wanted is None or saved is None:
            return wanted is not saved or (wanted is None and self._exists)
        if (wanted.process, wanted.stamp) != (saved.process, saved.stamp):
            return True
        ours, theirs = wanted.token or (0, 0), saved.token or (0, 0)
        return ours[0] != theirs[0] or not 0 <= ours[1] - theirs[1] < _OFTEN

    def _begin(self, work: Callable[[], None], then: list[Callable[[], None]]) -> None:
        future = self._thread.submit(work)
        future.add_done_callback(lambda done: self._ring())
        self._work = (future, then)

    def _save(self, wanted: Proof) -> None:
        part = self._path.with_name(f"{self._path.name}.part")
        part.unlink(missing_ok=True)  # a pipe there would be waited for
        part.write_text(json.dumps(codec.to_plain(Proof(wanted.process, wanted.stamp, wanted.token))))
        part.chmod(0o600)
        part.replace(self._path)
        self._saved, self._exists = wanted, True

    def _remove(self) -> None:
        self._saved = None
        self._path.unlink(missing_ok=True)
        self._exists = False

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except OSError:
            return  # the ear has enough to hear already, or is closed

    def _hear(self) -> None:
        try:
            while self._ear.recv(64):
                pass
        except BlockingIOError:
            return
