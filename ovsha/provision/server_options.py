"""Read and write what ovsdb-server alone is given, its certificate above all."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.ovsdb import certificates, own_server
from ovsha.ovsdb.launch import OPTIONS
from ovsha.provision import files
from ovsha.provision.bundle import File
from ovsha.provision.vtep_options import DATA, Options

FILE = Path("/etc/default/ovsha-ovsdb-server")
MODE = 0o644

_TLS = ("private-key", "certificate", "ca-cert", "bootstrap-ca-cert", "ssl-protocols", "ssl-ciphers")
_SHORT = {"-p": "private-key", "-c": "certificate", "-C": "ca-cert"}


def given(file: Path = FILE) -> list[str]:
    """Return the options that stand in the file, none where there is no file.  Raises DriverError."""
    for line in (files.read(file) or b"").decode(errors="replace").splitlines():
        name, _, value = line.strip().removeprefix("export ").partition("=")
        if name == OPTIONS:
            try:
                return [word for part in shlex.split(value) for word in shlex.split(part)]
            except ValueError as error:
                raise DriverError(f"{file}: {OPTIONS}: {str(error).lower()}") from None
    return []


def tls_of(words: Sequence[str]) -> list[str]:
    """Return what a command line says of TLS, each option with its value in one word."""
    found = []
    for number, word in enumerate(words):
        name, separator, value = word.partition("=")
        long = name.removeprefix("--") if name.startswith("--") else _SHORT.get(name, "")
        if long not in _TLS:
            continue
        if not separator:
            value = words[number + 1] if number + 1 < len(words) else ""
        found.append(f"--{long}={value}")
    return found


def text(options: Iterable[str], file: Path = FILE) -> str:
    """Return the content of the file with these options; its other lines stay."""
    old = (files.read(file) or b"").decode(errors="replace").splitlines()
    kept = [line for line in old if line.strip().removeprefix("export ").partition("=")[0] != OPTIONS]
    return "\n".join([*kept, f'{OPTIONS}="{shlex.join(options)}"']) + "\n"


def shared(config: Config, file: Path = FILE) -> tuple[File, ...]:
    """Return the files that both servers need alike: certificate, key and authority of the running one, its options.

    A certificate of an authority that no controller has sent yet is left out.  Raises DriverError.
    """
    server = own_server.look(config)
    if server.pid is None:
        raise DriverError(f"ovsdb-server does not run: {server.trouble}")
    found = certificates.files(config, server)
    paths = [path for path in (found.key, found.certificate, found.authority) if path is not None]
    if found.bootstrap and found.authority is not None and not found.authority.exists():
        paths.remove(found.authority)
    there = [_file(path, 0o600 if path == found.key else None) for path in paths]
    return (*there, *([_file(file, None)] if file.exists() else []))


def _file(path: Path, mode: int | None) -> File:
    try:
        return File(str(path), path.stat().st_mode & 0o777 if mode is None else mode, path.read_bytes())
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None


_TLS_OPTIONS = ("--private-key", "--certificate", "--bootstrap-ca-cert", "--ca-cert")
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
    return [*(word for word in before if word.partition("=")[0] not in _TLS_OPTIONS), *tls(options)]
