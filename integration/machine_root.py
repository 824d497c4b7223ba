"""Make the Debian 12 root that machines start from, once, and keep it.

It is what debootstrap gives, with systemd, and the packages that ovsha needs lie in apt's cache: a machine without any
network can install them.  Needs root and a Debian mirror the first time.  Nothing is ever written to it afterwards; a
machine lays its own files over it.  To have a newer one, remove it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("OVSHA_MACHINES_CACHE", "/var/tmp/ovsha-machines"))
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
WITHIN = ("systemd", "systemd-sysv", "dbus", "iproute2", "procps", "ca-certificates")
FETCHED = (
    "adduser",
    "openvswitch-common",
    "openvswitch-vtep",
    "python3-netaddr",
    "python3-openvswitch",
    "python3-prometheus-client",
    "python3-pyroute2",
    "python3-rich",
    "python3-tenacity",
    "python3-yaml",
)
ALSO = ("frr", "ifupdown2", "openssh-client", "openssh-server", "openssl")
"""What some test puts on a machine besides; it lies in apt's cache as well, and nobody gets it who does not ask."""

SOURCES = f"""deb {MIRROR} bookworm main
deb {MIRROR} bookworm-updates main
deb {SECURITY} bookworm-security main
"""
_LIMIT = 1800


def root() -> Path:
    """Return the directory of the root, which is made if it is not there; another one who makes it is waited for.

    Raises subprocess.CalledProcessError where debootstrap or apt fail; their output is in root.log beside it.
    """
    whole = place()
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / "lock"):
        if not whole.exists():
            part = CACHE / "root.part"
            shutil.rmtree(part, ignore_errors=True)
            _make(part)
            part.rename(whole)
    return whole


def place() -> Path:
    """Return where the root is, or will be: another set of packages is another root."""
    stamp = hashlib.sha256(repr((WITHIN, FETCHED, ALSO, SOURCES)).encode()).hexdigest()[:12]
    return CACHE / f"root-{stamp}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file at `path`; it falls away with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(part: Path) -> None:
    _run("debootstrap", "--variant=minbase", f"--include={','.join(WITHIN)}", "bookworm", str(part), MIRROR)
    (part / "etc/apt/sources.list").write_text(SOURCES)
    forbid = part / "usr/sbin/policy-rc.d"
    forbid.write_text("#!/bin/sh\nexit 101\n")
    forbid.chmod(0o755)
    for arguments in (["update"], ["-y", "dist-upgrade"], ["-y", "--download-only", "install", *FETCHED, *ALSO]):
        _run("chroot", str(part), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *arguments)
    forbid.unlink()
    # Each machine gets its own.
    (part / "etc/machine-id").write_text("")


def _run(*command: str) -> None:
    with (CACHE / "root.log").open("a") as log:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=_LIMIT)
