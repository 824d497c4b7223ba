"""Read what the peer's agent keeps: its bases and its ledgers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ovsha import exchange

_ASK_LIMIT = 10.0
_FETCH_LIMIT = 300.0


class Peer:
    """The agent at `address`, with the key of the pair.  Raises DriverError when it does not answer or refuses."""

    def __init__(self, address: str, port: int, key: bytes) -> None:
        self._where = (address, port, key)

    def names(self, kind: str) -> list[str]:
        """Return the names of the files of `kind`."""
        return [str(each["name"]) for each in exchange.ask(*self._where, "list", {"kind": kind}, _ASK_LIMIT)]

    def text(self, kind: str, name: str) -> str:
        """Return what a file says.  Raises ValueError when that is no text."""
        with tempfile.TemporaryDirectory(prefix="ovsha-peer-") as place:
            path = Path(place) / name
            self.save(kind, name, path)
            return path.read_text(encoding="utf-8")

    def save(self, kind: str, name: str, path: Path) -> None:
        """Save a file as `path`."""
        exchange.fetch(*self._where, kind, name, path, _FETCH_LIMIT)
