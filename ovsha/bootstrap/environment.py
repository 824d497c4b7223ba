"""Say what ovsdb-server is started with besides: the switch's certificate, for TLS towards the controllers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovsha.bootstrap.options import DATA, Options

_TLS = ("--private-key", "--certificate", "--bootstrap-ca-cert", "--ca-cert")
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


def words(options: Options, before: Sequence[str]) -> list[str]:
    """Return the options of the server as they are to be: those for TLS take the place of others, the rest stays."""
    return [*(word for word in before if word.partition("=")[0] not in _TLS), *tls(options)]
