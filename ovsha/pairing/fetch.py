"""Get the bundle from a file, or from the other switch by ssh(1), in which the operator's own hand proves who it is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ovsha.errors import DriverError, UsageError
from ovsha.setup import bundle
from ovsha.setup.bundle import Bundle

SCHEME = "ssh://"
REMOTE = "if [ $(id -u) = 0 ]; then exec ovsha init --print-bundle; else exec sudo -n ovsha init --print-bundle; fi"

WHERE = re.compile(
    r"(?:(?P<user>[^@\s/:-][^@\s/:]*)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@\s/:\[\]-][^@\s/:\[\]]*)"
    r"(?::(?P<port>\d+))?/?"
)


def get(source: str) -> Bundle:
    """Return the bundle from the path or from the ssh://[USER@]HOST[:PORT] that `source` is.

    Raises UsageError and DriverError.
    """
    if "://" in source and not source.startswith(SCHEME):
        raise UsageError(f"{source}: a bundle is a file, or comes from {SCHEME}[USER@]HOST[:PORT]")
    return over_ssh(source) if source.startswith(SCHEME) else bundle.load(Path(source))


def over_ssh(source: str) -> Bundle:
    """Return what `ovsha init --print-bundle` prints on the other switch.

    ssh asks its questions on the terminal itself.  Raises UsageError for no such address, DriverError.
    """
    found = WHERE.fullmatch(source.removeprefix(SCHEME))
    if found is None:
        raise UsageError(f"{source}: is no {SCHEME}[USER@]HOST[:PORT]")
    user, host = found["user"], found["host"].strip("[]")
    where = f"{user}@{host}" if user else host
    command = ["ssh", *(["-p", found["port"]] if found["port"] else []), "--", where, REMOTE]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise DriverError(f"ssh cannot be run: {error.strerror}; bring the bundle as a file instead") from None
    if done.returncode != 0:
        raise DriverError(
            f"no bundle came from {where} (exit status {done.returncode}, its words are above): run there, as root,"
            " `ovsha init --print-bundle >FILE`, and bring the file"
        )
    return bundle.unpack(done.stdout.decode(errors="replace"), source)
