"""Make the certificates of the lab: two authorities, one certificate for each switch and one for the controller.

ovs-pki(8) does the work.  It needs seconds, so one set is made and kept in the temporary directory, and all labs of the
same user share it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """The three files that one end of a TLS connection needs, and how each program calls them."""

    private_key: Path
    certificate: Path
    ca_certificate: Path

    def options(self) -> tuple[str, ...]:
        """Return them as options that ovsdb-server and the controller's stand-in both take."""
        return (
            f"--private-key={self.private_key}",
            f"--certificate={self.certificate}",
            f"--ca-cert={self.ca_certificate}",
        )


def credentials(name: str) -> Credentials:
    """Return the files of `name`: sw1, sw2 or ctl.  A switch trusts the controllers' authority, and the other way."""
    directory = _ready()
    other = "switchca" if name == "ctl" else "controllerca"
    return Credentials(
        directory / f"{name}-privkey.pem", directory / f"{name}-cert.pem", directory / "pki" / other / "cacert.pem"
    )


def pair() -> Credentials:
    """Return the files that both switches have for TLS between them: one certificate, and both authorities."""
    directory = _ready()
    bundle = directory / "both-cacert.pem"
    if not bundle.exists():
        part = directory / f"both-cacert.{os.getpid()}"
        authorities = [directory / "pki" / f"{name}ca" / "cacert.pem" for name in ("controller", "switch")]
        part.write_text("".join(each.read_text() for each in authorities))
        part.replace(bundle)
    return replace(credentials("sw1"), ca_certificate=bundle)


def _ready() -> Path:
    directory = Path(tempfile.gettempdir()) / f"ovsha-lab-pki-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            _make(directory)
            (directory / "complete").touch()
    return directory


def _make(directory: Path) -> None:
    pki = f"--dir={directory / 'pki'}"
    log = f"--log={directory / 'ovs-pki.log'}"
    subprocess.run(["rm", "-rf", str(directory / "pki")], check=True)
    subprocess.run(["ovs-pki", "--force", pki, log, "init"], cwd=directory, check=True, capture_output=True)
    for name, authority in (("sw1", "switch"), ("sw2", "switch"), ("ctl", "controller")):
        subprocess.run(
            ["ovs-pki", "--force", "-u", pki, log, "req+sign", name, authority],
            cwd=directory,
            check=True,
            capture_output=True,
        )
