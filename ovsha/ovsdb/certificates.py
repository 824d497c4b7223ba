"""Find the certificate, the key and the authority that ovsdb-server uses, and have openssl read them.

Never is a key read by us, nor told to anybody: openssl derives its public half, and that is
compared with the certificate's.
"""

from __future__ import annotations

import re
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.ovsdb import own_server

_LIMIT = 5.0
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_PUBLIC = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Files:
    """Where a server's credentials are; None is an option that it was not given."""

    key: Path | None = None
    certificate: Path | None = None
    authority: Path | None = None
    bootstrap: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says; times are seconds since 1970."""

    subject: str
    fingerprint: str
    begins: float
    ends: float
    public: str


def files(config: Config, server: own_server.OwnServer) -> Files:
    """Return the files that the running server was told to use.

    A value such as ``db:hardware_vtep,SSL,certificate`` stands in the database.  Raises DriverError when that
    cannot be asked.
    """
    words = server.words
    bootstrap = own_server.option(words, "bootstrap-ca-cert")
    given = (
        own_server.option(words, "private-key", "p"),
        own_server.option(words, "certificate", "c"),
        bootstrap if bootstrap is not None else own_server.option(words, "ca-cert", "C"),
    )
    key, certificate, authority = (_place(config, server, each) for each in given)
    return Files(key, certificate, authority, bootstrap is not None)


def read(path: Path) -> Certificate:
    """Return what the first certificate in a file says.  Raises DriverError when it is none."""
    return read_all(path)[0]


def read_all(path: Path) -> list[Certificate]:
    """Return what all certificates in a file say, at least one.  Raises DriverError."""
    try:
        blocks = _BLOCK.findall(path.read_bytes())
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    if not blocks:
        raise DriverError(f"{path}: is not a certificate that openssl can read")
    return [_read(path, block) for block in blocks]


def believed(certificate: Path, authorities: Path) -> bool:
    """Return whether a certificate is signed by one of the authorities, whatever its dates.  Raises DriverError."""
    words = ["openssl", "verify", "-no_check_time", "-CAfile", str(authorities), str(certificate)]
    return child.read_output(words, _LIMIT)[0] == 0


def _read(path: Path, block: bytes) -> Certificate:
    fields = ("-fingerprint", "-sha256", "-startdate", "-enddate", "-subject", "-pubkey")
    with tempfile.NamedTemporaryFile() as alone:  # openssl reads the first one of a file only
        alone.write(block)
        alone.flush()
        status, text = child.read_output(["openssl", "x509", "-in", alone.name, "-noout", *fields], _LIMIT)
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    public = _PUBLIC.search(text)
    fingerprint = next((value for name, value in found.items() if name.lower().endswith("fingerprint")), "")
    if status or not fingerprint or public is None:
        raise DriverError(f"{path}: is not a certificate that openssl can read")
    return Certificate(
        found.get("subject", "").strip(),
        fingerprint.replace(":", "").lower(),
        float(ssl.cert_time_to_seconds(found["notBefore"])),
        float(ssl.cert_time_to_seconds(found["notAfter"])),
        public[0],
    )


def public_half(path: Path) -> str:
    """Return the public half of a private key.  Raises DriverError when it cannot be read, or has a passphrase."""
    status, text = child.read_output(["openssl", "pkey", "-in", str(path), "-pubout", "-passin", "pass:"], _LIMIT)
    public = _PUBLIC.search(text)
    if status or public is None:
        raise DriverError(f"{path}: is not a private key that openssl can read without a passphrase")
    return public[0]


def told(config: Config) -> dict[str, object]:
    """Return what the peer may know of our certificate: no key, no file."""
    server = own_server.look(config)
    if server.pid is None:
        raise DriverError(f"ovsdb-server does not run: {server.trouble}")
    found = files(config, server)
    if found.certificate is None:
        return {"tls": False, "fingerprint": None, "ends_in": None, "authorities": None}
    certificate = read(found.certificate)
    return {
        "tls": True,
        "fingerprint": certificate.fingerprint,
        "ends_in": certificate.ends - time.time(),
        "authorities": authorities(found),
    }


def authorities(found: Files) -> list[str] | None:
    """Return the fingerprints of the authorities that a server believes, None where there are none (yet).

    Raises DriverError.
    """
    if found.authority is None or not found.authority.exists():
        return None
    return sorted(each.fingerprint for each in read_all(found.authority))


def _place(config: Config, server: own_server.OwnServer, value: str | None) -> Path | None:
    if value is None or value == "none":
        return None
    if value.startswith("db:"):
        value = _from_database(config, value)
        if not value:
            return None
    path = Path(value)
    return path if path.is_absolute() else Path(f"/proc/{server.pid}/cwd").resolve() / path


def _from_database(config: Config, value: str) -> str:
    """Return what stands in the one row of ``db:DATABASE,TABLE,COLUMN`` (ovsdb-server(1))."""
    parts = value.removeprefix("db:").split(",")
    if len(parts) != 3 or parts[0] != config.server.database:
        raise DriverError(f"ovsdb-server has {value} among its options, which is not in {config.server.database}")
    with own_server.database(config) as session:
        rows = own_server.select(session, parts[1], parts[2])
    return str(rows[0][parts[2]]) if rows and isinstance(rows[0][parts[2]], str) else ""
