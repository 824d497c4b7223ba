"""Write what ovsdb-server is started with besides: the certificate, in /etc/default/ovsha-ovsdb-server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from ovsha.bootstrap.options import DATA, Options
from ovsha.errors import ConfigError
from ovsha.safe_start import OPTIONS

FILE = Path("/etc/default/ovsha-ovsdb-server")

_HEAD = "# What ovsdb-server is started with besides; see ovsha-ovsdb-server(8).  Written by ovsha vtep-bootstrap.\n"
_TLS = ("--private-key", "--certificate", "--bootstrap-ca-cert", "--ca-cert")
_LINE = re.compile(rf"^\s*{OPTIONS}=(.*)$", re.MULTILINE)
_WRITABLE = (Path("/var"), Path("/run"), Path("/etc/openvswitch"), Path("/home/cumulus"))
"""Where ovsha-ovsdb-server.service lets the server write the authority that it learns (systemd/)."""


def tls(options: Options) -> list[str]:
    """Return the options of ovsdb-server for TLS towards the controllers."""
    if not options.encryption:
        return []
    place = options.credentials
    authority = place if any(place.is_relative_to(each) for each in _WRITABLE) else DATA
    return [
        f"--private-key={options.credential('privkey')}",
        f"--certificate={options.credential('cert')}",
        f"--bootstrap-ca-cert={authority / 'controller.cacert'}",
    ]


def value(text: str) -> str:
    """Return what systemd reads as the server's further options out of the file (systemd.exec(5)); "" for none."""
    found = _LINE.findall(text)
    try:
        return " ".join(shlex.split(found[-1])) if found else ""
    except ValueError as error:
        raise ConfigError(f"{FILE}: {OPTIONS}: {error}; correct it") from None


def text(before: str, wanted: Iterable[str]) -> str:
    """Return the file with these options for TLS in the place of others, all else as it was."""
    kept = [word for word in shlex.split(value(before)) if word.partition("=")[0] not in _TLS]
    line = f'{OPTIONS}="{" ".join(shlex.quote(word) for word in (*kept, *wanted))}"'
    if not _LINE.search(before):
        return f"{before or _HEAD}{line}\n"
    *_, last = _LINE.finditer(before)
    return f"{before[: last.start()]}{line}{before[last.end() :]}"
