"""Keep copies of the database file before anything may erase it.

A child does the work, so that a large file or a slow disk never blocks the loop: copy,
fsync, rename, fsync of the directory.  A copy that was interrupted keeps the ending
`.part` and is removed at the next start.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from ovs.poller import POLLIN, Poller

_SCRIPT = (
    'umask 077 && mkdir -p -- "$3" && cp -- "$1" "$2.part" && sync -- "$2.part"'
    ' && mv -- "$2.part" "$2" && sync -- "$3"'
)


class Snapshots:
    """The last `keep` snapshots in `directory` of the database file `source`."""

    def __init__(self, source: Path, directory: Path, keep: int) -> None:
        self._source = source
        self._directory = directory
        self._keep = keep
        self._child: subprocess.Popen[bytes] | None = None
        self._done: Callable[[str | None], None] = lambda error: None
        for part in directory.glob("*.part"):
            part.unlink(missing_ok=True)

    def take(self, name: str, done: Callable[[str | None], None]) -> None:
        """Copy the file as it is now; `done` gets None when the copy is on disk, or the error's text."""
        if self._child is not None:
            done("another snapshot is still being taken")
            return
        target = self._directory / f"{name}.db"
        command = ["/bin/sh", "-c", _SCRIPT, "ovsha-snapshot", str(self._source), str(target), str(self._directory)]
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            done(f"a snapshot of {self._source} cannot be taken: {error}")
            return
        self._done = done

    def run(self) -> None:
        """Notice that the copy is complete."""
        child = self._child
        if child is None or child.poll() is None:
            return
        assert child.stderr is not None
        said = child.stderr.read().decode(errors="replace").strip()
        child.stderr.close()
        self._child, done = None, self._done
        if child.returncode:
            done(f"a snapshot of {self._source} cannot be taken: {said or f'exit status {child.returncode}'}")
            return
        self._prune()
        done(None)

    def wait(self, poller: Poller) -> None:
        """Wake the loop when the child ends: it then closes its end of the pipe."""
        if self._child is not None and self._child.stderr is not None:
            poller.fd_wait(self._child.stderr.fileno(), POLLIN)

    def close(self) -> None:
        """End a copy that is under way."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            if self._child.stderr is not None:
                self._child.stderr.close()
            self._child = None

    def _prune(self) -> None:
        """Remove all but the newest snapshots."""
        found = sorted(self._directory.glob("*.db"), key=lambda path: path.stat().st_mtime_ns)
        for path in found[: -self._keep]:
            path.unlink(missing_ok=True)


