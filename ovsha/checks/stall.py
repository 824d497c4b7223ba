"""Measure, on a copy of this database, for how long a full copy silences both servers.

Two private ovsdb-servers on Unix sockets in a temporary directory hold a copy each; one is told to follow the other,
which makes it erase what it has and copy everything.  The longest wait for an answer of either is the stall.  The
pair's own server is not touched; the processor is used, and a copy of the file is written three times.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ovsha.checks.context import PreflightContext
from ovsha.checks.pair import megabytes
from ovsha.checks.result import Finding, Row, fail, passed, skip, together, warn
from ovsha.errors import DriverError
from ovsha.host import disk
from ovsha.ovsdb import own_server
from ovsha.ovsdb.own_server import Control
from ovsha.words import span

_MARGIN = 3.0
"""How many times longer than the stall a time limit should be: the other switch may be slower, or have more to do."""

_START_LIMIT = 60.0
_COPY_LIMIT = 300.0
_LOOK_EVERY = 0.002


@dataclass(frozen=True, slots=True)
class Stall:
    """What one full copy took, in seconds: all of it, and the longest silence of either server."""

    whole: float
    active: float
    backup: float


def measured(ground: PreflightContext) -> Finding:
    """Measure the stall of this database, and compare the time limits with it."""
    if ground.quick:
        return skip("the stall of a full copy was not measured", "run ovsha preflight without --quick")
    file = ground.config.server.file
    try:
        stall = calibrate(file, own_server.program(ground.look.server))
        size = file.stat().st_size
    except OSError as error:
        return fail(f"{file}: {error.strerror or error}", "see server.file in the configuration")
    except DriverError as error:
        return warn(
            f"the stall of a full copy could not be measured: {error}", "see the room in the temporary directory"
        )
    return judge(ground, stall, size)


def calibrate(file: Path, program: str) -> Stall:
    """Return what a full copy of this database takes here, between servers of this program.

    Raises DriverError, and OSError for the file.
    """
    with tempfile.TemporaryDirectory(prefix="ovsha-preflight-") as name, ExitStack() as stack:
        place = Path(name)
        disk.require({place: 6 * file.stat().st_size})
        for each in ("active", "backup"):
            shutil.copyfile(file, place / f"{each}.db")
        active = stack.enter_context(_server(program, place, "active"))
        source = f"unix:{place / 'active.sock'}"
        backup = stack.enter_context(_server(program, place, "backup", f"--sync-from={source}", "--active"))
        return _copied(active, backup)


def _copied(active: Path, backup: Path) -> Stall:
    watch = _Watch(active)
    watch.start()
    try:
        with Control(backup, _COPY_LIMIT) as control:
            began = last = time.monotonic()
            longest = 0.0
            control.command("ovsdb-server/connect-active-ovsdb-server")
            while True:
                said = control.command("ovsdb-server/sync-status")
                now = time.monotonic()
                longest, last = max(longest, now - last), now
                if "replicating:" in said:
                    return Stall(now - began, watch.ended(), longest)
                if "state: active" in said and now - began > 1:
                    raise DriverError("the private backup gave replication up")
                if now - began > _COPY_LIMIT:
                    raise DriverError(f"a copy takes longer than {span(_COPY_LIMIT)}")
                time.sleep(_LOOK_EVERY)
                last = time.monotonic()
    finally:
        watch.ended()


class _Watch(threading.Thread):
    """Ask a server all the time, and remember its longest silence."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path, self._longest, self._over = path, 0.0, threading.Event()

    def run(self) -> None:
        """Ask until told to stop; a server that has ended is noticed by who follows it."""
        try:
            with Control(self._path, _COPY_LIMIT) as control:
                while not self._over.wait(_LOOK_EVERY):
                    began = time.monotonic()
                    control.command("version")
                    self._longest = max(self._longest, time.monotonic() - began)
        except DriverError:
            return

    def ended(self) -> float:
        """Stop, and return the longest silence in seconds."""
        self._over.set()
        self.join(_COPY_LIMIT)
        return self._longest


@contextmanager
def _server(program: str, place: Path, name: str, *options: str) -> Iterator[Path]:
    """Run a private server until the block ends; give its control socket."""
    control = place / f"{name}.ctl"
    command = [program, f"--remote=punix:{place / name}.sock", f"--unixctl={control}"]
    command += ["-vconsole:off", "-vsyslog:off", "-vfile:off", *options, str(place / f"{name}.db")]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OVS_RUNDIR": str(place)},
        )
    except OSError as error:
        raise DriverError(f"{program} cannot be run: {error.strerror}") from None
    try:
        _await(process, control)
        yield control
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], control: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DriverError(f"a private ovsdb-server ended with status {process.returncode}")
        try:
            with Control(control, _START_LIMIT) as session:
                session.command("version")
            return
        except DriverError:
            time.sleep(0.02)
    raise DriverError(f"a private ovsdb-server has not answered within {span(_START_LIMIT)}")


def judge(ground: PreflightContext, stall: Stall, size: int) -> Finding:
    """Return what a stall means for the time limits; `size`: the bytes of the database."""
    config = ground.config
    limits = (
        ("backup silent", "server.stall_limit", config.server.stall_limit, stall.backup),
        ("active silent", "heartbeat.stall_interval", config.heartbeat.stall_interval, stall.active),
    )
    rows = [Row(f"full copy: {what}", f"below {key} = {span(limit)}", span(took)) for what, key, limit, took in limits]
    rows.append(Row("full copy: the whole", "-", f"{span(stall.whole)} for {megabytes(size)}"))
    found = []
    for what, key, limit, took in limits:
        advice = f"set {key}: {max(1.0, round(_MARGIN * took, 1)):g} at least"
        if took >= limit:
            found.append(
                fail(f"a full copy keeps the {what} for {span(took)}, longer than {key} ({span(limit)})", advice)
            )
        elif took * _MARGIN > limit:
            what = f"a full copy keeps the {what} for {span(took)}, close to {key} ({span(limit)})"
            found.append(warn(what, advice))
    silent = f"the backup for {span(stall.backup)}, the active side for {span(stall.active)}"
    text = f"a full copy of this database silences {silent}"
    facts = {"backup": stall.backup, "active": stall.active, "whole": stall.whole, "bytes": size}
    return together(found, replace(passed(text, **facts), rows=tuple(rows)))
