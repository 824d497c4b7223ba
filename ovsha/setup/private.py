"""Run an ovsdb-server of our own on a database file that no other one serves, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ovsha.errors import DriverError
from ovsha.ledger.session import Session

_LIMIT = 60.0
_LOOK_EVERY = 0.02


@contextlib.contextmanager
def server(file: Path, program: str = "ovsdb-server") -> Iterator[str]:
    """Give the target, such as ``unix:/tmp/x/db.sock``, of a server of `file` that listens nowhere else.

    ovsdb-server locks the file, so it does not start beside another one.  It has ended when the block has, and ends
    with this process too.  Raises DriverError with its own words when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ovsha-db-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        said = stack.enter_context((place / "said").open("w+b"))
        command = [
            *("setpriv", "--pdeathsig", "KILL", program, f"--remote=punix:{place / 'db.sock'}"),
            *(f"--unixctl={place / 'ctl'}", "-vconsole:warn", "-vsyslog:off", "-vfile:off", str(file)),
        ]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd="/"
            )
        except OSError as error:
            raise DriverError(f"{command[0]} cannot be run: {error.strerror}") from None
        stack.callback(_end, process)
        target = f"unix:{place / 'db.sock'}"
        deadline = time.monotonic() + _LIMIT
        while not _answers(target):
            if process.poll() is not None or time.monotonic() > deadline:
                said.seek(0)
                words = " ".join(said.read().decode(errors="replace").split()) or "it does not answer"
                raise DriverError(f"{file}: no private ovsdb-server could be started on it: {words}")
            time.sleep(_LOOK_EVERY)
        yield target


def _answers(target: str) -> bool:
    try:
        Session(target, "", 5.0).close()
    except DriverError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
