"""Find the rows that failovers left behind, in the ledgers of both switches."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from lab import Lab

TABLE = "Ucast_Macs_Remote"


class SetAside:
    """What failovers left behind: the MACs of the rows in the ledgers of both switches, each file read once."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._read: dict[Path, frozenset[str]] = {}

    def macs(self) -> frozenset[str]:
        """Return what is there now, with what was there at earlier looks.

        A ledger whose head is not there is not whole yet, and its rows do not count.
        """
        for switch in self._lab.switches:
            for head in (switch.directory / "state" / "ledgers").glob("*.json"):
                if head not in self._read:
                    with suppress(FileNotFoundError):  # settled long ago, and removed meanwhile
                        self._read[head] = ledger_macs(head.with_suffix(".rows"))
        return frozenset().union(*self._read.values())


def ledger_macs(path: Path) -> frozenset[str]:
    """Return the MACs of the rows that a ledger lists as they were on the side that was overwritten."""
    entries = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(entry["row"]["MAC"] for entry in entries if entry["table"] == TABLE and entry["row"] is not None)
