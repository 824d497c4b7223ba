"""The TCP and TLS streams of python-ovs, with zones for link-local addresses and certificates that are verified.

ovsdb-server takes such a target, but python-ovs hands the address to the kernel without its zone, and so it is refused
(EINVAL).  Everything else is left to python-ovs.

python-ovs has a stream for that, but it shakes hands before it counts as connected: a server that is busy copying would
look as if it refused us.  Here a connection is one as soon as its TCP connection is, as without TLS, and the handshake
is what is sent first; what ends it stands in `trouble`.  Nothing blocks but the reading of three small files.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovs.poller import POLLIN, POLLOUT, Poller
from ovs.stream import Stream, TCPStream

from ovsha.errors import DriverError

__all__ = ["Stream", "ZonedStream"]


class ZonedStream(TCPStream):  # type: ignore[misc]
    """A stream over TCP that keeps the zone of its address."""

    @staticmethod
    def _open(suffix: str, dscp: int) -> tuple[int, socket.socket | None]:
        """Begin to connect; return an errno, 0 when it goes on, and the socket."""
        host, _, port = suffix.rpartition(":")
        if "%" not in host:
            opened: tuple[int, socket.socket | None] = TCPStream._open(suffix, dscp)
            return opened
        try:
            kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
            (_, _, _, _, place), *_ = socket.getaddrinfo(
                host.strip("[]"), int(port), socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            return errno.ENODEV, None  # it is a number, so what is not known is the interface
        sock = socket.socket(socket.AF_INET6, kind)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = sock.connect_ex(place)
        except OSError as refused:
            error = refused.errno or errno.EINVAL
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            return error, None
        return 0, sock


Stream.register_method("tcp", ZonedStream)


_SEND = Stream.W_SEND

_REFUSALS = {
    "ALERT_UNKNOWN_CA": "it is not signed by an authority that the server there knows",
    "ALERT_CERTIFICATE_EXPIRED": "it has expired",
    "ALERT_CERTIFICATE_REQUIRED": "it has seen none",
    "ALERT_HANDSHAKE_FAILURE": "it has seen none, or there is no cipher in common",
}
"""What a server makes of our certificate, by the alert that it sends (RFC 8446 section 6)."""

_UNHEARD = "the server there ended the session before it said anything; it may not believe our certificate"
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files for one connection: our key and its certificate, and the authorities that are believed."""

    private_key: Path
    certificate: Path
    ca_cert: Path

    def context(self) -> ssl.SSLContext:
        """Return what a connection is made with.  Raises DriverError that names the file which is of no use."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Both switches show one certificate, which names neither of them.
        context.check_hostname = False
        what = self.ca_cert
        try:
            context.load_verify_locations(self.ca_cert)
            what = self.certificate
            what.open("rb").close()
            what = self.private_key
            what.open("rb").close()
            context.load_cert_chain(self.certificate, self.private_key, password=_no_passphrase)
        except ssl.SSLError as error:
            word = (error.reason or str(error)).lower().replace("_", " ")
            raise DriverError(f"{what}: cannot be used for TLS: {word}") from None
        except OSError as error:
            raise DriverError(f"{what}: cannot be read: {error.strerror or error}") from None
        return context


_credentials: dict[str, Credentials] = {}


def use(target: str, credentials: Credentials) -> None:
    """Have connections to `target` made with these; the files are read for each connection anew."""
    _credentials[target] = credentials


class TlsStream(ZonedStream):
    """A stream over TLS; `trouble` says what went wrong with it, "" when nothing has, and `secured` that it is up."""

    def __init__(self, sock: Any, name: str, status: int, **how: Any) -> None:
        super().__init__(sock, name, status, **how)
        self.socket: Any = sock
        self.trouble = ""
        self.secured = False
        self._heard = False
        self._tls: ssl.SSLSocket | None = None
        self._writing = False

    def _recv(self, n: int) -> tuple[int, bytes | str]:
        error = self._shake_hands()
        if error or self._tls is None:
            return error, ""
        try:
            data = self._tls.recv(n)
        except ssl.SSLWantReadError:
            return errno.EAGAIN, ""
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            data = b""
        except ssl.SSLError as refused:
            return self._failed(refused), ""
        self._heard = self._heard or bool(data)
        if not self._heard:
            self.trouble = _UNHEARD
        return 0, data

    def _send(self, buf: str | bytes) -> int:
        error = self._shake_hands()
        if error or self._tls is None:
            return -error
        try:
            return self._tls.send(buf.encode() if isinstance(buf, str) else buf)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return -errno.EAGAIN
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            # With TLS 1.3 our certificate is looked at after the handshake, and what was said of it is still unread.
            error, _ = self.recv(1)
            return -(error if error not in (0, errno.EAGAIN) else errno.EPIPE)
        except ssl.SSLError as refused:
            return -self._failed(refused)

    def wait(self, poller: Poller, wait: int) -> None:
        """Wake the loop for what the handshake waits for, or for what was asked."""
        if self._tls is None or self.trouble:
            super().wait(poller, wait)
        elif self.secured and self._tls.pending():
            poller.immediate_wake()
        else:
            sends = wait == _SEND if self.secured else self._writing
            poller.fd_wait(self._tls, POLLOUT if sends else POLLIN)

    def _shake_hands(self) -> int:
        """Go on with the handshake; return 0 when it is done, EAGAIN while it is not, or why it failed."""
        error: int = self.connect()
        if error or self.secured:
            return error
        if self.trouble:
            return errno.EPROTO
        try:
            if self._tls is None:
                self._begin()
            assert self._tls is not None
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self._writing = isinstance(want, ssl.SSLWantWriteError)
            return errno.EAGAIN
        except DriverError as unusable:
            self.trouble = str(unusable)
            return errno.EPROTO
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            # One that dies just then is not told from one that did not understand our hello.
            self.trouble = "the server there ended the handshake, as one without TLS does"
            return errno.EPROTO
        except ssl.SSLError as refused:
            return self._failed(refused)
        self.secured = True
        return 0

    def _begin(self) -> None:
        credentials = _credentials.get(self.name)
        if credentials is None:
            raise DriverError(f"{self.name}: there is no certificate to show there")
        self._tls = credentials.context().wrap_socket(self.socket, do_handshake_on_connect=False)
        self.socket = self._tls  # the old one has given its descriptor away

    def _failed(self, refused: ssl.SSLError) -> int:
        self.trouble = _words(refused)
        return errno.EPROTO


def _words(error: ssl.SSLError) -> str:
    """Return on one line what an operator has to put right."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate shown there is refused: {error.verify_message}"
    reason = error.reason or ""
    for alert, meaning in _REFUSALS.items():
        if reason.endswith(alert):
            return f"our certificate is refused there: {meaning}"
    if any(word in reason for word in _PLAIN):
        return "the server there does not speak TLS"
    return f"TLS fails: {(reason or str(error)).lower().replace('_', ' ')}"


def _no_passphrase() -> str:
    """Answer for a key with a passphrase, which would be asked for on the terminal."""
    return ""


Stream.register_method("ssl", TlsStream)
