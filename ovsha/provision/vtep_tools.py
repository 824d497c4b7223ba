"""Run ovs-pki, the vendor's own vtep-bootstrap, and the vendor's VTEP daemon.

The vendor's own service starts a server too, so it cannot start the daemon alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.host.child import run
from ovsha.ovsdb import certificates
from ovsha.provision import files
from ovsha.provision.discover import VENDORS_START
from ovsha.provision.files import Wanted
from ovsha.provision.vtep_options import ACTIVE, Options, bracketed

_PKI_LIMIT = 300.0
_WORK = ".ovsha-setup-"
_MODES = {"privkey": 0o600, "cert": 0o644, "req": 0o644}


def present(options: Options) -> bool:
    """Say whether certificate and key are there.

    Raises DriverError when only one of them is, or when they do not belong together.
    """
    key, certificate = options.credential("privkey"), options.credential("cert")
    there = [path for path in (key, certificate) if path.exists()]
    if len(there) == 1:
        (lacking,) = {key, certificate} - set(there)
        raise DriverError(f"{there[0]} is there without {lacking.name}: bring that beside it, or move the first away")
    if there and certificates.read(certificate).public != certificates.public_half(key):
        raise DriverError(f"{certificate} is not the certificate of {key.name}: copy both from the same switch")
    return bool(there)


class Maker:
    """Makes them in `work`, a directory that is removed afterwards; nothing of them is in its place before the end."""

    def __init__(self, options: Options, work: Path) -> None:
        self._options, self._work = options, work

    def request(self) -> str:
        """Make a key and a request, and the authorities where there are none; return what ovs-pki prints."""
        if not self._options.pki.is_dir():
            self._authorities()
        return self._ovs_pki(self._options.pki, "req", self._options.name)

    def sign(self) -> str:
        """Sign the request; return what ovs-pki prints: its name and date, and its fingerprint."""
        return self._ovs_pki(self._options.pki, "sign", self._options.name, "switch")

    def wanted(self) -> list[Wanted]:
        """Return the files as they are to be."""
        found = []
        for kind, mode in _MODES.items():
            path = self._options.credential(kind)
            found.append(Wanted(path, (self._work / path.name).read_bytes(), mode))
        return found

    def _authorities(self) -> None:
        """Make them under another name first: ovs-pki would never go on with half of them."""
        pki = self._options.pki
        try:
            pki.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{pki.name}-", dir=pki.parent) as part:
                self._ovs_pki(Path(part) / "pki", "init")
                (Path(part) / "pki").rename(pki)
        except OSError as error:
            raise DriverError(f"{pki}: cannot be made: {error.strerror}") from None

    def _ovs_pki(self, pki: Path, *words: str) -> str:
        line = ["ovs-pki", "--batch", f"--dir={pki}", f"--log={self._work / 'ovs-pki.log'}", *words]
        # It works in its current directory.
        shell = ["env", "-C", str(self._work), "LC_ALL=C", *line]
        output, status, said = run(shell, _PKI_LIMIT)
        if status != 0:
            log = self._work / "ovs-pki.log"
            tail = log.read_text(errors="replace").split("\n") if log.exists() else []
            last = next((each.strip() for each in reversed(tail) if each.strip()), "")
            words_of_it = "; ".join(dict.fromkeys(filter(None, (said, last)))) or f"exit status {status}"
            raise DriverError(f"ovs-pki {words[0]}: {words_of_it}")
        return output.decode(errors="replace").strip() if words[0] == "sign" else ""


def work(options: Options) -> tempfile.TemporaryDirectory[str]:
    """Make the directory to work in, beside where the files go, so that there is room for them.

    What a killed command has left there is removed; there is no other one meanwhile.  Raises DriverError.
    """
    try:
        options.credentials.mkdir(parents=True, exist_ok=True)
        for left in options.credentials.glob(f"{_WORK}*"):
            shutil.rmtree(left)
        return tempfile.TemporaryDirectory(prefix=_WORK, dir=options.credentials)
    except OSError as error:
        raise DriverError(f"{options.credentials}: cannot be written: {os.strerror(error.errno or 0)}") from None


NAMES = ("vtep-bootstrap", "vtep-bootstrap.distrib")
"""Its own name, and the one that dpkg-divert(1) gives it where ours stands in its place."""

WITHIN = "OVSHA_VTEP_BOOTSTRAP"
"""Set in its environment, so that ours, called by a wrapper of that name, does not call itself for ever."""

_VENDOR_LIMIT = 600.0
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
    return "--db_ha" in child.read_output([program, "--help"], 30.0)[1]


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


def run_vendor(program: str, words: list[str]) -> str:
    """Run it, and return what it prints.  Raises DriverError with its output where it fails."""
    status, text = child.read_output(["env", f"{WITHIN}=1", program, *words], _VENDOR_LIMIT)
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


UNIT = "ovsha-vtepd"
FILE = Path(f"/etc/systemd/system/{UNIT}.service")
VLAN_AWARE = "--enable-vlan-aware-mode"

_TEXT = """\
# Written by ovsha vtep-bootstrap.  The daemon's further options: systemctl edit {unit}
[Unit]
Description=VTEP daemon, connected to the OVSDB server of an MLAG pair
Documentation=man:ovsha(8)
ConditionPathExists=/etc/ovsha/ovsha.yaml
After=network.target networking.service switchd.service ovsha-ovsdb-server.service
# It starts a server and a daemon of its own.
Conflicts=openvswitch-vtep.service
StartLimitIntervalSec=0

[Service]
ExecStart={program} {server} {options}
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""


def program() -> str | None:
    """Return the path of the daemon, None where there is none."""
    return shutil.which("ovs-vtepd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def unit(found: str, config: Config) -> str:
    """Return the unit that runs it."""
    vip = config.vip.address
    server = f"unix:{config.server.socket}" if vip is None else f"tcp:{bracketed(str(vip))}:{config.vip.port}"
    words = [
        *("-vconsole:emer", "-vsyslog:err", "-vfile:info", "--log-file=/var/log/openvswitch/ovs-vtepd.log"),
        f"--pidfile={config.server.pidfile.parent / 'ovs-vtepd.pid'}",
    ]
    script = (files.read(VENDORS_START) or b"").decode(errors="replace")
    if is_vlan_aware(script):
        words.append(VLAN_AWARE)
    return _TEXT.format(unit=UNIT, program=found, server=server, options=" ".join(words))


def is_vlan_aware(script: str) -> bool:
    """Say whether the vendor's start script has that option, on a line that is no comment."""
    return re.search(rf"^[^#\n]*{VLAN_AWARE}\b", script, re.MULTILINE) is not None
