"""Laws of TLS towards the peer's server: it is never waited for, and what ends it is told in words."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ovs.poller import Poller

from ovsha.errors import DriverError
from ovsha.ovsdb import transport
from ovsha.ovsdb.channel import Channel
from ovsha.ovsdb.transport import Credentials

LIMIT = 10.0


def made(directory: Path, name: str) -> Credentials:
    """Return a certificate that is its own authority."""
    key, certificate = directory / f"{name}-key.pem", directory / f"{name}.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", f"/CN={name}"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return Credentials(key, certificate, certificate)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return made(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        sock.settimeout(LIMIT)
        yield sock


def server(listener: socket.socket, serve: Callable[[socket.socket], None]) -> threading.Thread:
    """Have a thread serve one connection."""

    def run() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(LIMIT)
            serve(sock)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def secured(credentials: Credentials) -> Callable[[socket.socket], None]:
    """Serve an echo over TLS, to whom shows a certificate that is believed here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate, credentials.private_key)
    context.load_verify_locations(credentials.ca_cert)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) as stream:
                asked = stream.recv(4096)
                number = asked.partition(b'"id":')[2].partition(b",")[0].partition(b"}")[0].decode()
                # More than one TLS record, in one piece: what is left in the library must not be waited for.
                filler = "x" * 40000
                stream.sendall(f'{{"id":{number},"result":["{filler}"],"error":null}}'.encode())
                stream.recv(1)
        except OSError:
            return

    return serve


class Talk:
    """A channel with one request under way."""

    def __init__(self, listener: socket.socket, credentials: Credentials) -> None:
        target = f"ssl:127.0.0.1:{listener.getsockname()[1]}"
        transport.use(target, credentials)
        self.channel = Channel(target, 60.0, self._greet)
        self.answers: list[tuple[Any, str | None]] = []

    def _greet(self) -> None:
        self.channel.request("echo", [], lambda result, error: self.answers.append((result, error)))

    def turn(self, limit: float = 1.0) -> None:
        """Turn the loop once: sleep until there is something to do."""
        now = time.monotonic()
        self.channel.run(now)
        poller = Poller()
        self.channel.wait(poller, now)
        poller.timer_wait(int(limit * 1000))
        poller.block()

    def until_answered(self) -> tuple[Any, str | None]:
        """Return what the request came to."""
        until = time.monotonic() + LIMIT
        while not self.answers:
            assert time.monotonic() < until
            self.turn()
        self.channel.close(time.monotonic(), "over")
        return self.answers[0]


def test_a_request_is_answered_over_tls_in_as_many_records_as_it_takes(
    listener: socket.socket, ours: Credentials
) -> None:
    thread = server(listener, secured(ours))
    result, error = Talk(listener, ours).until_answered()
    assert (error, len(result[0])) == (None, 40000)
    thread.join(LIMIT)


def test_a_server_that_is_too_busy_to_shake_hands_is_connected_to_and_owes_an_answer(
    listener: socket.socket, ours: Credentials
) -> None:
    talk, free = Talk(listener, ours), threading.Event()
    thread = server(listener, lambda sock: (free.wait(LIMIT), secured(ours)(sock))[1])
    for _ in range(5):
        talk.turn(0.05)
    assert talk.channel.connected
    assert talk.channel.closed_at is None
    assert talk.channel.waiting
    assert talk.channel.trouble == "not connected yet"
    free.set()
    assert talk.until_answered()[1] is None
    thread.join(LIMIT)


def test_the_loop_sleeps_while_a_handshake_is_under_way(listener: socket.socket, ours: Credentials) -> None:
    talk, free = Talk(listener, ours), threading.Event()
    thread = server(listener, lambda sock: (free.wait(LIMIT), None)[1])
    for _ in range(5):
        talk.turn(0.05)
    spent = time.thread_time()
    talk.turn(0.5)
    assert time.thread_time() - spent < 0.25
    free.set()
    thread.join(LIMIT)
    talk.channel.close(0.0, "over")


def test_whoever_shows_another_certificate_is_told_from_whom_ours_is_refused_by(
    listener: socket.socket, ours: Credentials, tmp_path: Path
) -> None:
    other = made(tmp_path, "other")
    thread = server(listener, secured(other))
    assert Talk(listener, ours).until_answered() == (
        None, "the certificate shown there is refused: self-signed certificate"
    )  # fmt: skip
    thread.join(LIMIT)
    both = tmp_path / "both.pem"
    both.write_text(ours.ca_cert.read_text() + other.ca_cert.read_text())
    thread = server(listener, secured(other))
    refused = Talk(listener, Credentials(ours.private_key, ours.certificate, both)).until_answered()
    assert refused == (
        None, "our certificate is refused there: it is not signed by an authority that the server there knows"
    )  # fmt: skip
    thread.join(LIMIT)


@pytest.mark.parametrize("says", [b"", b'{"method":"echo","params":[],"id":"echo"}'])
def test_a_server_without_tls_is_named(listener: socket.socket, ours: Credentials, says: bytes) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(says)
        sock.recv(4096)

    thread = server(listener, serve)
    _, error = Talk(listener, ours).until_answered()
    assert error in ("the server there ended the handshake, as one without TLS does",
                     "the server there does not speak TLS")  # fmt: skip
    thread.join(LIMIT)


def test_a_file_that_cannot_be_used_is_named(ours: Credentials, tmp_path: Path) -> None:
    missing, odd = tmp_path / "missing.pem", tmp_path / "odd.pem"
    odd.write_text("nothing of the kind")
    other = made(tmp_path, "other")
    for credentials, words in (
        (Credentials(missing, ours.certificate, ours.ca_cert), f"{missing}: cannot be read: No such file"),
        (Credentials(ours.private_key, ours.certificate, odd), f"{odd}: cannot be used for TLS: no certificate or crl"),
        (Credentials(other.private_key, ours.certificate, ours.ca_cert), "key values mismatch"),
    ):
        with pytest.raises(DriverError) as caught:
            credentials.context()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
