"""Check the certificate that stands for the pair towards the controller: one on both sides, valid, with its key."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ovsha import exchange
from ovsha.checks import answers, credentials, targets
from ovsha.checks.credentials import Certificate, Files
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, unknown, warning
from ovsha.config import read_key
from ovsha.core.words import span
from ovsha.errors import ConfigError, DriverError

_ASK_LIMIT = 10.0
_WARN = 30 * 86400.0
_COPY = "copy the certificate and its key from the side that the controller knows, over a secure way, and restart it"
_RENEW = "make a new one, paste it into NSX Manager, and copy it with its key to both switches"


def check(look: Look) -> Outcome:
    """Return how the certificate is, and whether the peer has the same one."""
    server = look.server
    if server.pid is None:
        return unknown(f"ovsdb-server does not run: {server.trouble}", "see ovsha check server")
    try:
        files = credentials.files(look.config, server)
        if files.certificate is None:
            return _without(look)
        certificate = credentials.read(files.certificate)
    except DriverError as error:
        return critical(str(error), "see the --certificate and --private-key of ovsdb-server's command line")
    left = certificate.ends - time.time()
    facts = {"tls": True, "fingerprint": certificate.fingerprint, "ends_in": left, "file": str(files.certificate)}
    own = [*_valid(certificate, str(files.certificate), left), *_key(files, certificate, server.pid)]
    own += _authority(files)
    same, words = ([], "no peer needs the same") if look.config.standalone else _peer(look, certificate.fingerprint)
    text = f"{files.certificate} is valid for another {span(max(0.0, left))}, its key matches, {words}"
    return joined([*own, *same], ok(text, **facts))


def _without(look: Look) -> Outcome:
    try:
        wanting = [row.target for row in targets.managers(look.config) if row.target.startswith(("ssl:", "pssl:"))]
    except DriverError:
        return ok("ovsdb-server was started without TLS", tls=False)
    if wanting:
        do = "start ovsdb-server with --private-key, --certificate and --bootstrap-ca-cert (ovs-ctl-vtep)"
        return critical(f"ovsdb-server was started without TLS, but {wanting[0]} needs it", do, tls=False)
    return ok("ovsdb-server was started without TLS, and no controller asks for it", tls=False)


def _valid(certificate: Certificate, name: str, left: float) -> list[Outcome]:
    if left <= 0:
        return [critical(f"{name} expired {span(-left)} ago: no new session with a controller comes up", _RENEW)]
    if certificate.begins > time.time():
        what = f"{name} is valid only in {span(certificate.begins - time.time())}"
        return [critical(what, "see the clock of this switch (timedatectl)")]
    if left < _WARN:
        return [warning(f"{name} expires in {span(left)}", _RENEW)]
    return []


def _key(files: Files, certificate: Certificate, pid: int) -> list[Outcome]:
    if files.key is None:
        return [critical("ovsdb-server has a certificate, but no --private-key", "give it both (ovs-ctl-vtep)")]
    try:
        state = files.key.stat()
        public = credentials.public_half(files.key)
    except OSError as error:
        return [critical(f"{files.key}: the key cannot be read: {error.strerror}", _COPY)]
    except DriverError as error:
        return [critical(str(error), _COPY if os.geteuid() == 0 else "run this as root")]
    if public != certificate.public:
        return [critical(f"{files.key} is not the key of {files.certificate}", _COPY)]
    user = _user(pid)
    if user not in (0, None) and user != state.st_uid and not state.st_mode & 0o044:
        what = f"{files.key} cannot be read by the user {user} that ovsdb-server runs as"
        return [critical(what, f"chown {user} {files.key}")]
    if state.st_mode & 0o077:
        return [warning(f"{files.key} can be read by others", f"chmod 600 {files.key}")]
    return []


def _authority(files: Files) -> list[Outcome]:
    path = files.authority
    if path is None:
        what = "ovsdb-server has no --ca-cert nor --bootstrap-ca-cert, so it cannot know the controller"
        return [critical(what, "give it one (ovs-ctl-vtep)")]
    if not path.exists():
        what = f"{path} is not there yet: it is fetched at the first contact with a controller, so at a failover"
        do = f"copy {path.name} from the side that has been connected"
        return [warning(what, do) if files.bootstrap else critical(f"{path} does not exist", do)]
    try:
        left = credentials.read(path).ends - time.time()
    except DriverError as error:
        return [critical(str(error), "copy it from the side that is connected")]
    if left <= 0:
        return [critical(f"the controller's authority {path} expired {span(-left)} ago", "fetch the new one")]
    return [warning(f"the controller's authority {path} expires in {span(left)}", "renew it")] if left < _WARN else []


def _user(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _peer(look: Look, fingerprint: str) -> tuple[list[Outcome], str]:
    config, peer = look.config, look.config.peer
    try:
        key, address = read_key(config.pair.key_file), str(config.other.peer_link)
        theirs = exchange.ask(address, config.exchange.port, key, answers.CERTIFICATE, {}, _ASK_LIMIT)
        other = theirs["fingerprint"]
    except (DriverError, ConfigError, KeyError, TypeError) as error:
        what = f"whether {peer} has the same certificate is not known: {error}"
        return [unknown(what, f"see that ovsha runs on {peer} (ovsha check peer)")], ""
    if other is None:
        what = f"{peer}'s ovsdb-server was started without TLS, so no controller accepts it after a failover"
        return [critical(what, f"give {peer} the same files and options as this side")], ""
    if other != fingerprint:
        what = f"{peer} has another certificate ({other[:16]}... and not {fingerprint[:16]}...)"
        return [critical(f"{what}: the controller takes it for another switch, or refuses it", _COPY)], ""
    return [], f"{peer} has the same one"
