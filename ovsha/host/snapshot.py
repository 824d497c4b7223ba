"""Keep copies of the database file before anything may erase it.

A child does the work, so that a large file or a slow disk never blocks the loop: copy,
fsync, rename, fsync of the directory.  (A hard link would be no copy: ovsdb-server appends
to the file in place.)  A snapshot never fills a disk: without room for it, and for the copy
that is to follow into the database file, it is refused.  A file that has not changed since
its last snapshot is not copied again.

What lies in the directory, and how long:

`TIME-termN.db`
    A database of term N; N is 0 when its lineage is unknown, and these are counted by
    themselves.  Of each of the two the newest `keep` stay, and of those none that is older
    than `max_age` days, but the newest one of all stays in any case.
`TIME-blank.db`
    A database with nothing in it: one just made, or what a copy that was broken off has left
    of one whose snapshot was taken before.  Only the newest one stays, so that many of them
    never push out a good one.  One that is read as blank because its file is damaged is none.
`TIME-..._2.db`
    The second one of that second.
`*.part`
    One that is being taken, or was interrupted: removed at the next start.

TIME is UTC by this switch's clock.  Nothing else is ever touched: an operator who renames a
snapshot keeps it.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ovs.poller import POLLIN, Poller

from ovsha.errors import DriverError
from ovsha.host.disk import require

_SCRIPT = (
    'umask 077 && mkdir -p -- "$3" && cp -- "$1" "$2.part" && sync -- "$2.part"'
    ' && mv -- "$2.part" "$2" && sync -- "$3" || { rm -f -- "$2.part"; exit 1; }'
)
_NAME = re.compile(r"\d{8}T\d{6}Z-(?P<label>term\d+|blank)(_\d+)?\.db")
_BLANK = "blank"
_DAY = 86400.0
Mark = tuple[int | None, int, int, int, int]


def label(term: int, blank: bool) -> str:
    """Return what a snapshot of a database of that term is called; 0 is unknown lineage, `blank` has no switch."""
    return _BLANK if blank and not term else f"term{term}"


class Snapshots:
    """The snapshots in `directory` of the database file `source`: `keep` of a sort, for `max_age` days.

    `trouble` says why old ones cannot be removed, "" when they can.  `last_taken`: the file as it was then, None before
    the first one.
    """

    def __init__(self, source: Path, directory: Path, keep: int, max_age: float) -> None:
        self.trouble = ""
        self.last_taken: Path | None = None
        self._source = source
        self._directory = directory
        self._keep = keep
        self._max_age = max_age
        self._child: subprocess.Popen[bytes] | None = None
        self._target = directory
        self._done: Callable[[str | None], None] = lambda error: None
        self._copying: Mark | None = None
        self._copied: tuple[Mark, Path] | None = None
        self._remove(list(directory.glob("*.part")))
        self._prune()

    def newest(self, count: int = 5) -> tuple[str, ...]:
        """Return the paths of what can be gone back to, the newest first; none when they cannot be read."""
        try:
            return tuple(str(path) for path in reversed(self._known()) if _sort(path) != _BLANK)[:count]
        except OSError:
            return ()

    @property
    def latest(self) -> Path:
        """The snapshot that was taken last; the directory before the first."""
        return self.last_taken or self._directory

    def take(self, what: str, done: Callable[[str | None], None], writer: int | None = None) -> None:
        """Copy the file as it is now; `done` gets None when the copy is on disk, or the error's text.

        `what` is a `label`, `writer` the process of the ovsdb-server that has the file open.
        """
        if self._child is not None:
            done("another snapshot is still being taken")
            return
        try:
            mark = _mark(self._source, writer)
            size = mark[3]
            if self._copied is not None and self._copied[0] == mark and self._copied[1].exists():
                require({self._source: size})
                self.last_taken = self._copied[1]
                done(None)
                return
            self._prune()
            require({self._source: size, self._directory: size})
            if what == _BLANK and not (self._has_grown(mark) or _has_no_record(self._source, size)):
                what = label(0, blank=False)
            self._begin(what, mark)
        except (OSError, DriverError) as error:
            done(self._failure(str(error)))
            return
        self._done = done

    def run(self) -> None:
        """Notice that the copy is complete."""
        child = self._child
        if child is None or child.poll() is None:
            return
        assert child.stderr is not None
        said = child.stderr.read().decode(errors="replace").strip().replace("\n", "; ")
        # The name of the snapshot has the time in it, and would make one failure look like many.
        said = said.replace(f"{self._target}.part", str(self._directory))
        child.stderr.close()
        self._child, done = None, self._done
        if child.returncode:
            done(self._failure(said or f"exit status {child.returncode}"))
            return
        self._note_copy()
        self._prune()
        self.last_taken = self._target
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

    def _begin(self, what: str, mark: Mark) -> None:
        stem, number = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{what}", 1
        self._target = self._directory / f"{stem}.db"
        while self._target.exists():
            number += 1
            self._target = self._directory / f"{stem}_{number}.db"
        words = ("ovsha-snapshot", str(self._source), str(self._target), str(self._directory))
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        self._copying = mark

    def _has_grown(self, mark: Mark) -> bool:
        """Tell whether the server has only appended to what the last snapshot holds."""
        return self._copied is not None and self._copied[0][:3] == mark[:3] and self._copied[1].exists()

    def _note_copy(self) -> None:
        """Remember what was copied, if it was not written to meanwhile."""
        try:
            unchanged = self._copying is not None and _mark(self._source, self._copying[0]) == self._copying
        except OSError:
            unchanged = False
        self._copied = (self._copying, self._target) if unchanged and self._copying is not None else None

    def _failure(self, why: str) -> str:
        return f"a snapshot of {self._source} cannot be taken, and nothing is erased without one: {why}"

    def _known(self) -> list[Path]:
        """Return the snapshots, the oldest first."""
        found = []
        for path in self._directory.glob("*.db"):
            try:
                if _NAME.fullmatch(path.name):
                    found.append((path.stat().st_mtime_ns, path.name, path))
            except FileNotFoundError:
                continue  # somebody else has removed it meanwhile
        return [path for _, _, path in sorted(found)]

    def _prune(self) -> None:
        """Remove what is too many or too old."""
        try:
            self._remove(list(self._surplus(self._known())))
        except OSError as error:
            self.trouble = f"old snapshots cannot be removed: {error}"

    def _surplus(self, known: list[Path]) -> Iterator[Path]:
        protected = {self._target, *[path for path in known if _sort(path) != _BLANK][-1:]}
        oldest_allowed = time.time() - self._max_age * _DAY
        for sort, limit in (("term", self._keep), ("unknown", self._keep), (_BLANK, 1)):
            # What was taken last is the newest, even if the clock was set back.
            alike = sorted((path for path in known if _sort(path) == sort), key=lambda path: path == self._target)
            yield from alike[:-limit]
            for path in alike[-limit:]:
                if path not in protected and path.stat().st_mtime < oldest_allowed:
                    yield path

    def _remove(self, paths: list[Path]) -> None:
        self.trouble = ""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self.trouble = f"an old snapshot cannot be removed: {error}"


def _sort(path: Path) -> str:
    """Return what the snapshot is counted with."""
    match = _NAME.fullmatch(path.name)
    what = match["label"] if match else ""
    return {_BLANK: _BLANK, "term0": "unknown"}.get(what, "term")


def _mark(path: Path, writer: int | None) -> Mark:
    """Return what changes with the file: who writes it, where it is, how long, and when it was written last."""
    status = path.stat()
    return writer, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _has_no_record(path: Path, size: int) -> bool:
    """Tell whether the file holds its schema and nothing else, as ovsdb-tool(1) makes it; see ovsdb(5) for the form."""
    with path.open("rb") as file:
        head = file.readline(256)
    words = head.split()
    return len(words) == 4 and words[2].isdigit() and len(head) + int(words[2]) == size
