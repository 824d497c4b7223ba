"""Make a switch's certificate and key by ovs-pki(8), or see that those which are there belong together."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ovsha.bootstrap.options import Options
from ovsha.checks import credentials
from ovsha.errors import DriverError
from ovsha.programs import run
from ovsha.setup.files import Wanted

_LIMIT = 300.0
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
    if there and credentials.read(certificate).public != credentials.public_half(key):
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
        output, status, said = run(shell, _LIMIT)
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
