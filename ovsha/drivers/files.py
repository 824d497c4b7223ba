"""Give the peer the files it may have: those in a few directories below the state directory.

Everything here reads a disk and may take as long as that does: it is called by a thread.
Raises DriverError for what is not there or may not be had.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovsha.core.exchange import SLICE
from ovsha.errors import DriverError

COLLECTED = "collect"
"""Below the state directory: where archives are until the peer has them."""

KINDS = {"backups": 1, "bases": 1, COLLECTED: 1, "forensics": 2, "journal": 1, "ledgers": 1}
"""The directories, and of how many words a name in each consists: forensics/ID/FILE."""

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@-]{0,127}")
_MOST = 1000
_UNFINISHED = ".part"


class Files:
    """What of the files below `directory` the peer may have; `elsewhere` names kinds that are in other directories."""

    def __init__(self, directory: Path, elsewhere: Mapping[str, Path] | None = None) -> None:
        self._places = {kind: directory / kind for kind in KINDS} | dict(elsewhere or {})

    def fetch(self, params: Any) -> dict[str, Any]:
        """Return `size` bytes of the file `name` of `kind` from `offset` on, as base64, and the file's `total` size."""
        kind, name = text(params, "kind"), text(params, "name")
        offset, size = whole(params, "offset"), min(whole(params, "size"), SLICE)
        path = self._place(kind).joinpath(*_words(kind, name))
        try:
            # Not to follow a link out of the directory, nor to wait for a FIFO.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode):
                    raise DriverError(f"{kind}/{name} is not a regular file")
                data = os.pread(file, size, offset)
            finally:
                os.close(file)
        except OSError as error:
            raise DriverError(f"{kind}/{name} cannot be read: {error.strerror}") from None
        return {"data": base64.b64encode(data).decode(), "total": found.st_size}

    def list(self, params: Any) -> list[dict[str, Any]]:
        """Return name, size and time of change (seconds since 1970) of the files of `kind`, by their names."""
        kind = text(params, "kind")
        depth, place = _depth(kind), self._place(kind)
        entries = []
        for path in sorted(place.glob("/".join(["*"] * depth))):
            words = path.relative_to(place).parts
            if not all(map(_WORD.fullmatch, words)) or any(word.endswith(_UNFINISHED) for word in words):
                continue
            try:
                found = path.lstat()
            except OSError:
                continue  # gone between the two looks
            if stat.S_ISREG(found.st_mode):
                entries.append({"name": "/".join(words), "size": found.st_size, "mtime": found.st_mtime})
        return entries[-_MOST:]

    def _place(self, kind: str) -> Path:
        _depth(kind)
        return self._places[kind]


def text(params: Any, name: str) -> str:
    """Return a text among the parameters of a request.  Raises DriverError when there is none."""
    value = params.get(name) if isinstance(params, dict) else None
    if not isinstance(value, str):
        raise DriverError(f"{name}: a text is wanted")
    return value


def whole(params: Any, name: str) -> int:
    """Return a whole number, from 0 to 2**62, among the parameters.  Raises DriverError when there is none."""
    value = params.get(name) if isinstance(params, dict) else None
    if type(value) is not int or not 0 <= value <= 2**62:
        raise DriverError(f"{name}: a whole number is wanted")
    return value


def _depth(kind: str) -> int:
    if kind not in KINDS:
        raise DriverError(f"kind: {kind!r:.40} is not one of {', '.join(KINDS)}")
    return KINDS[kind]


def _words(kind: str, name: str) -> list[str]:
    words = name.split("/")
    if len(words) != _depth(kind) or not all(map(_WORD.fullmatch, words)):
        raise DriverError(f"name: {name!r:.80} is not the name of a file of {kind}")
    return words
