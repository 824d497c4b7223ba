"""Put one forensic bundle together; the agent starts this as a child and gives it its task on the standard input.

What a bundle is stands in ovsha.forensics.bundle.  It is whole before it can be seen: made in a
directory with the ending `.part`, brought to the disk, renamed.  What cannot be had (a peer
that does not answer, no ovsdb-tool) is named in the manifest, and the rest is kept all the
same; only a disk that does not take it ends this, with one line on the standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tenacity

from ovsha import atomic_file
from ovsha.errors import DriverError
from ovsha.forensics import bundle
from ovsha.host import child
from ovsha.peer.rpc_client import Asker

LIMIT = 110
"""Seconds after which this ends itself, should the agent that watches it be gone."""

_RECORDS = 200
_ANSWER_LIMIT = 5.0
_TOOL_LIMIT = 60.0
_MOST_ENTRIES = 5000


def main() -> int:
    """Make the bundle that the standard input describes; return the exit status."""
    return child.run_job(LIMIT, make)


def make(task: dict[str, Any]) -> Path:
    """Make the bundle of `task` and return its place.  Raises OSError when the disk does not take it."""
    directory = Path(task["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    _remove_stale(directory)
    place = _free(directory, task["id"])
    part = place.with_name(place.name + ".part")
    part.mkdir()
    try:
        _fill(part, task)
        atomic_file.move(part, place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    bundle.limit(directory, task["keep"])
    return place


def _fill(part: Path, task: dict[str, Any]) -> None:
    missing: dict[str, str] = {}

    def gather(name: str, lines: Iterable[str]) -> None:
        try:
            _write(part / name, lines)
        except DriverError as error:
            (part / name).unlink(missing_ok=True)
            missing[name] = str(error)

    peer = task["peer"]
    # The peer first: it goes on deciding, and forgets.
    gather(bundle.trace_of(peer["node"]), _json_lines(_ask(peer, bytes.fromhex(task["key"]))))
    gather(bundle.trace_of(task["node"]), _json_lines(task["trace"]))
    gather(bundle.LOG, (line + "\n" for line in task["log"]))
    if task["database"] is None:
        missing[bundle.DATABASE] = missing[bundle.SHOW_LOG] = task["no_database"]
    else:
        _keep(Path(task["database"]), part / bundle.DATABASE)
        gather(bundle.SHOW_LOG, _last_records(part / bundle.DATABASE))
    manifest = {"schema": bundle.SCHEMA, **task["manifest"], "missing": missing}
    _write(part / bundle.MANIFEST, [json.dumps(manifest, indent=2) + "\n"])


def _ask(peer: dict[str, Any], key: bytes) -> Iterable[dict[str, Any]]:
    """Give the decisions that the peer remembers.  Raises DriverError when it does not tell them."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DriverError),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_fixed(1.0),
        reraise=True,
    )
    yield from retrying(lambda: _ask_once(peer, key))


def _ask_once(peer: dict[str, Any], key: bytes) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    with Asker(peer["address"], peer["port"], key, _ANSWER_LIMIT) as asker:
        while len(entries) < _MOST_ENTRIES:
            after = entries[-1]["number"] if entries else 0
            answer = asker.ask("trace", {"after": after})
            try:
                got, more = answer["entries"], answer["more"]
                if any(entry["number"] <= after for entry in got):
                    raise ValueError
            except (KeyError, TypeError, ValueError):
                raise DriverError(f"the agent at {asker.where} tells its decisions in another form") from None
            entries += got
            if not more or not got:
                break
    return entries


def _last_records(database: Path) -> Iterable[str]:
    """Give the last records of the file, as ovsdb-tool tells them.  Raises DriverError when it cannot."""
    records: deque[list[str]] = deque([[]], maxlen=_RECORDS)
    try:
        with subprocess.Popen(
            ["ovsdb-tool", "-vconsole:off", "show-log", "-m", str(database)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as tool:
            assert tool.stdout is not None
            for line in tool.stdout:
                if line.startswith("record "):
                    records.append([])
                records[-1].append(line)
            status = tool.wait(_TOOL_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"ovsdb-tool show-log: {error}") from None
    if status:
        # What it printed is of no less use for that: a damaged file is read up to the damage.
        records.append([f"(ovsdb-tool ended with status {status})\n"])
    for record in records:
        yield from record


def _json_lines(values: Iterable[dict[str, Any]]) -> Iterable[str]:
    return (json.dumps(value) + "\n" for value in values)


def _keep(source: Path, target: Path) -> None:
    """Have a snapshot, which nobody changes any more, under a second name, or copied where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    atomic_file.sync(target)


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    atomic_file.sync(path)


def _remove_stale(directory: Path) -> None:
    """Remove what a killed child has left, but not what another one is at: the agent may have been restarted."""
    for part in directory.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > LIMIT:
                shutil.rmtree(part)


def _free(directory: Path, ident: str) -> Path:
    place, number = directory / ident, 1
    while place.exists() or place.with_name(place.name + ".part").exists():
        number += 1
        place = directory / f"{ident}.{number}"
    return place


if __name__ == "__main__":
    sys.exit(main())
