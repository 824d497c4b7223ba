"""Find the rows that failovers left behind, in the ledgers and the snapshots of both switches."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from lab import Lab
from rpc import DATABASE

TABLE = "Ucast_Macs_Remote"


class SetAside:
    """What failovers left behind: the MACs in the ledgers and the snapshots of both switches, each file read once."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._read: dict[tuple[Path, int], frozenset[str]] = {}

    def macs(self) -> frozenset[str]:
        """Return what is there now, with what was there at earlier looks."""
        for switch in self._lab.switches:
            state = switch.directory / "state"
            for path in (*state.glob("ledgers/*.rows"), *state.glob("snapshots/*.db")):
                with suppress(FileNotFoundError):  # removed meanwhile, to make room for others
                    key = path, path.stat().st_mtime_ns
                    if key not in self._read:
                        self._read[key] = ledger_macs(path) if path.suffix == ".rows" else snapshot_macs(path)
        return frozenset().union(*self._read.values())


def ledger_macs(path: Path) -> frozenset[str]:
    """Return the MACs of the rows in a ledger."""
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return frozenset(entry["row"]["MAC"] for entry in entries if entry["table"] == TABLE and entry["row"])


def snapshot_macs(path: Path) -> frozenset[str]:
    """Return the MACs in a snapshot.  Raises FileNotFoundError when it has been removed."""
    query = json.dumps([DATABASE, {"op": "select", "table": TABLE, "where": [], "columns": ["MAC"]}])
    done = subprocess.run(["ovsdb-tool", "query", str(path), query], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FileNotFoundError(done.stderr)
    return frozenset(row["MAC"] for row in json.loads(done.stdout)[0]["rows"])
