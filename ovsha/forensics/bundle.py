"""Say what a forensic bundle is on the disk: list, show, clear and limit what is kept.

One directory a bundle, named after the time (UTC) and the term of what was given up:

`manifest.json`
    What happened, when, by which verdict on which two records, and what is missing and why.
`database.db`
    The database as it was before it was erased; ovsdb-tool opens it.
`show-log.txt`
    The last records of it, as `ovsdb-tool show-log -m` prints them.
`trace-NODE.jsonl`
    The decisions of each side, an entry of ovsha.report.trace a line.
`agent.log`
    The last lines of the agent's log.

A bundle that is not complete, or is being removed, has the ending `.part`.  Everything here
reads and writes a disk, so it is for commands, children and threads.  Raises DriverError.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ovsha import atomic_file, codec
from ovsha.errors import DriverError

DIRECTORY = "forensics"
"""Where they are below the state directory."""

MANIFEST, DATABASE, SHOW_LOG, LOG = "manifest.json", "database.db", "show-log.txt", "agent.log"
SCHEMA = 1
LAST = 8
"""Decisions of each side that are shown."""

_IDENT = re.compile(r"[0-9]{8}T[0-9]{6}Z-term[0-9]{1,19}(\.[0-9]{1,4})?")
_TAIL = 64 * 1024


def trace_of(node: str) -> str:
    """Return the name of the file with the decisions of `node`."""
    return f"trace-{node}.jsonl"


def idents(directory: Path) -> list[str]:
    """Return the bundles in `directory`, the oldest first."""
    try:
        return sorted(path.name for path in directory.iterdir() if _IDENT.fullmatch(path.name) and path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DriverError(f"{directory}: cannot be read: {error.strerror}") from None


def find(directory: Path) -> list[dict[str, Any]]:
    """Return what there is to say of each bundle in one line, the oldest first."""
    return [_line(directory, ident) for ident in idents(directory)]


def show(directory: Path, ident: str) -> dict[str, Any]:
    """Return one bundle's manifest, its place, its files with their sizes, and the last decisions of both sides."""
    place = _place(directory, ident)
    manifest = read_manifest(place)
    traces = {path.stem.removeprefix("trace-"): _last(path) for path in sorted(place.glob("trace-*.jsonl"))}
    return {"id": ident, "place": str(place), "files": _sizes(place), "manifest": manifest, "traces": traces}


def clear(directory: Path, ident: str | None) -> list[str]:
    """Remove the bundle `ident`, or all for None; return those that were."""
    removed = idents(directory) if ident is None else [_place(directory, ident).name]
    for each in removed:
        remove(directory / each)
    return removed


def limit(directory: Path, keep: int) -> None:
    """Remove the oldest until `keep` are left."""
    for ident in idents(directory)[:-keep]:
        remove(directory / ident)


def remove(place: Path) -> None:
    """Remove a bundle, which is gone from sight before its files are."""
    part = place.with_name(place.name + ".part")
    try:
        if part.exists():
            shutil.rmtree(part)
        place.rename(part)
        shutil.rmtree(part)
    except FileNotFoundError:
        return  # somebody else was faster
    except OSError as error:
        raise DriverError(f"{place}: cannot be removed: {error.strerror}") from None


def read_manifest(place: Path) -> dict[str, Any]:
    """Return the manifest of the bundle at `place`."""
    try:
        manifest = codec.parse(atomic_file.read(place / MANIFEST))
    except OSError as error:
        raise DriverError(f"{place / MANIFEST}: cannot be read: {error.strerror}") from None
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise DriverError(f"{place / MANIFEST}: is no manifest that this release can read")
    return manifest


def _line(directory: Path, ident: str) -> dict[str, Any]:
    place = directory / ident
    line = {"id": ident, "place": str(place), "bytes": sum(_sizes(place).values())}
    try:
        manifest = read_manifest(place)
    except DriverError as error:
        return {**line, "trouble": str(error)}
    wanted = ("at", "node", "winner", "why", "missing")
    return {**line, **{name: manifest.get(name) for name in wanted}}


def _place(directory: Path, ident: str) -> Path:
    if not _IDENT.fullmatch(ident) or ident not in idents(directory):
        raise DriverError(f"{ident!r:.80} is no bundle of {directory}; see ovsha forensics list")
    return directory / ident


def _sizes(place: Path) -> dict[str, int]:
    sizes = {}
    with suppress(OSError):
        for path in sorted(place.iterdir()):
            sizes[path.name] = path.stat().st_size
    return sizes


def _last(path: Path) -> list[dict[str, Any]]:
    """Return the last decisions in a trace, without the facts they were taken on."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines()[-LAST:]
        entries = [codec.parse(line) for line in lines]
        return [{"at": entry["at"], "why": entry["why"], **entry["outcome"]} for entry in entries]
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DriverError(f"{path}: is no trace that this release can read") from None
