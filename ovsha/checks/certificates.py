"""Check the certificate that stands for the pair towards the controller: one on both sides, valid, with its key."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ovsha.checks import survey
from ovsha.checks.context import Context
from ovsha.checks.result import Result, critical, joined, ok, unknown, warning
from ovsha.config import read_key
from ovsha.errors import ConfigError, DriverError
from ovsha.ovsdb import certificates, endpoints, own_server
from ovsha.ovsdb.certificates import Certificate, Files
from ovsha.peer import rpc_client
from ovsha.words import span

_ASK_LIMIT = 10.0
_WARN = 30 * 86400.0
_COPY = "copy the certificate and its key from the side that the controller knows, over a secure way, and restart it"
_RENEW = "make a new one, paste it into NSX Manager, and copy it with its key to both switches"


def check(look: Context) -> Result:
    """Return how the certificate is, and whether the peer has the same one."""
    server = look.server
    if server.pid is None:
        return unknown(f"ovsdb-server does not run: {server.trouble}", "see ovsha check server")
    try:
        files = certificates.files(look.config, server)
        if files.certificate is None:
            return _without(look)
        certificate = certificates.read(files.certificate)
    except DriverError as error:
        return critical(str(error), "see the --certificate and --private-key of ovsdb-server's command line")
    left = certificate.ends - time.time()
    facts = {"tls": True, "fingerprint": certificate.fingerprint, "ends_in": left, "file": str(files.certificate)}
    own = [*_valid(certificate, str(files.certificate), left), *_key(files, certificate, server.pid)]
    own += [*_authority(files), *_copied(look, files)]
    same: list[Result] = []
    words = "no peer needs the same"
    if not look.config.standalone:
        same, words = _peer(look, certificate.fingerprint, files)
    text = f"{files.certificate} is valid for another {span(max(0.0, left))}, its key matches, {words}"
    return joined([*own, *same], ok(text, **facts))


def _without(look: Context) -> Result:
    try:
        wanting = [row.target for row in own_server.managers(look.config) if row.target.startswith(("ssl:", "pssl:"))]
    except DriverError:
        return ok("ovsdb-server was started without TLS", tls=False)
    if wanting:
        do = "start ovsdb-server with --private-key, --certificate and --bootstrap-ca-cert (ovs-ctl-vtep)"
        return critical(f"ovsdb-server was started without TLS, but {wanting[0]} needs it", do, tls=False)
    return ok("ovsdb-server was started without TLS, and no controller asks for it", tls=False)


def _valid(certificate: Certificate, name: str, left: float) -> list[Result]:
    if left <= 0:
        return [critical(f"{name} expired {span(-left)} ago: no new session with a controller comes up", _RENEW)]
    if certificate.begins > time.time():
        what = f"{name} is valid only in {span(certificate.begins - time.time())}"
        return [critical(what, "see the clock of this switch (timedatectl)")]
    if left < _WARN:
        return [warning(f"{name} expires in {span(left)}", _RENEW)]
    return []


def _key(files: Files, certificate: Certificate, pid: int) -> list[Result]:
    if files.key is None:
        return [critical("ovsdb-server has a certificate, but no --private-key", "give it both (ovs-ctl-vtep)")]
    try:
        state = files.key.stat()
        public = certificates.public_half(files.key)
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


def _authority(files: Files) -> list[Result]:
    path = files.authority
    if path is None:
        what = "ovsdb-server has no --ca-cert nor --bootstrap-ca-cert, so it cannot know the controller"
        return [critical(what, "give it one (ovs-ctl-vtep)")]
    if not path.exists():
        what = f"{path} is not there yet: it is fetched at the first contact with a controller, so at a failover"
        do = f"copy {path.name} from the side that has been connected"
        return [warning(what, do) if files.bootstrap else critical(f"{path} does not exist", do)]
    try:
        believed = certificates.read_all(path)
    except DriverError as error:
        return [critical(str(error), "copy it from the side that is connected")]
    found = []
    for each in believed:
        left, what = each.ends - time.time(), f"the authority {each.subject or each.fingerprint[:16]} in {path}"
        if left <= 0:
            found.append(critical(f"{what} expired {span(-left)} ago", "put the new one in its place"))
        elif left < _WARN:
            found.append(warning(f"{what} expires in {span(left)}", "renew it"))
    return found


def _copied(look: Context, files: Files) -> list[Result]:
    """Return what hinders the peer and this side from showing each other their certificates."""
    wanted = endpoints.credentials(look.config)
    if not look.config.replication.tls or wanted is None or files.certificate is None:
        return []
    if files.bootstrap:
        what = "with --bootstrap-ca-cert ovsdb-server believes one authority, the controller's, and not the peer's"
        return [critical(what, f"give it --ca-cert={wanted.ca_cert}, with both in it (docs/tls.rst)")]
    told = {"private_key": files.key, "certificate": files.certificate, "ca_cert": files.authority}
    for name, path in told.items():
        if path is not None and path.resolve() != getattr(wanted, name).resolve():
            what = f"ovsdb-server was started with {path}, and replication.{name} is {getattr(wanted, name)}"
            return [warning(what, "restart it with the files of the configuration")]
    try:
        if not certificates.believed(wanted.certificate, wanted.ca_cert):
            what = f"{wanted.certificate} is signed by no authority in {wanted.ca_cert}, so the peer refuses it"
            return [critical(what, f"add the authority that has signed it to {wanted.ca_cert}, on both switches")]
    except DriverError as error:
        return [unknown(str(error), "install openssl")]
    return []


def _user(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _peer(look: Context, fingerprint: str, files: Files) -> tuple[list[Result], str]:
    config, peer = look.config, look.config.peer
    try:
        key, address = read_key(config.pair.key_file), str(config.other.peer_link)
        theirs = rpc_client.ask(address, config.exchange.port, key, survey.CERTIFICATE, {}, _ASK_LIMIT)
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
    return _authorities(peer, files, theirs.get("authorities", ...)), f"{peer} has the same one"


def _authorities(peer: str, files: Files, theirs: object) -> list[Result]:
    """Compare whom both servers believe; a peer of an older release does not tell."""
    try:
        ours = certificates.authorities(files)
    except DriverError:
        return []  # told already
    if theirs is ... or ours is None or files.authority is None:
        return []
    if theirs is None:
        what = f"{peer} has no {files.authority.name} yet, and fetches it at its first contact with a controller"
        return [warning(f"{what}, so at a failover", f"copy {files.authority} to {peer}")]
    if theirs != ours:
        what = f"{peer} believes other authorities than this side, so one of them may refuse a controller"
        return [warning(what, f"copy {files.authority} from the side that is connected to the other one")]
    return []
