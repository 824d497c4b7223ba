"""Find the vendor's own vtep-bootstrap, and run it for its part where it has one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ovsha import programs
from ovsha.bootstrap.options import ACTIVE, Options, bracketed
from ovsha.errors import DriverError

NAMES = ("vtep-bootstrap", "vtep-bootstrap.distrib")
"""Its own name, and the one that dpkg-divert(1) gives it where ours stands in its place."""

WITHIN = "OVSHA_VTEP_BOOTSTRAP"
"""Set in its environment, so that ours, called by a wrapper of that name, does not call itself for ever."""

_LIMIT = 600.0
_OURS = b"ovsha"


def find(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of the vendor's program, None where there is none; a link to ours, or a wrapper, is none."""
    if environment.get(WITHIN):
        return None
    path = f"{environment.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    for name in NAMES:
        found = shutil.which(name, path=path)
        if found is not None and not _is_ours(Path(found)):
            return found
    return None


def knows_pairs(program: str) -> bool:
    """Say whether it has the options of a pair, which some releases have.  Raises DriverError when it does not run."""
    return "--db_ha" in programs.read([program, "--help"], 30.0)[1]


def arguments(options: Options, *, pairs: bool) -> list[str]:
    """Return its arguments: it takes one controller, the first, and the options of a pair only if it has them."""
    words: list[str] = []
    if options.side and pairs:
        vip, source = (
            f"{bracketed(address)}:{port}"
            for address, port in ((options.vip, options.vip_port), (options.source, options.replication_port))
        )
        words += ["--db_ha", options.side, "--db_ha_vip", vip, "--db_ha_repl_sv", source]
    if options.controllers:
        address, _, port = options.controllers[0].partition(":")[2].rpartition(":")
        words += ["--controller_ip", address.strip("[]"), "--controller_port", port]
    if not options.encryption:
        words.append("--no_encryption")
    words += ["--credentials-path", str(options.credentials), "--pki-path", str(options.pki)]
    return [*words, options.name, options.tunnel_ip, options.management_ip]


def hindrance(options: Options, *, pairs: bool, ours_runs: bool) -> str:
    """Say why it is not run here although it is there, "" when it may be."""
    if ours_runs:
        return "ovsha runs the server here already, and it would start another one in its place"
    if options.side not in ("", ACTIVE) and not pairs:
        return "it does not know of a standby, and would make this an active side"
    return ""


def run(program: str, words: list[str]) -> str:
    """Run it, and return what it prints.  Raises DriverError with its output where it fails."""
    status, text = programs.read(["env", f"{WITHIN}=1", program, *words], _LIMIT)
    if status != 0:
        raise DriverError(f"{program} ended with status {status}: {' '.join(text.split()) or 'it printed nothing'}")
    return text.rstrip("\n")


def _is_ours(program: Path) -> bool:
    try:
        if program.resolve() == Path(sys.argv[0]).resolve():
            return True
        with program.open("rb") as file:
            return _OURS in file.read(4096)
    except OSError:
        return False
