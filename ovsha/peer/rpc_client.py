"""Ask the peer's agent, fetch files from it, and have it do a task; this blocks, so it is not for the loop.

The form of what is said is in ovsha.protocol.seal.  Every wait has a limit, and whatever
goes wrong is one DriverError.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ovsha import atomic_file
from ovsha import config as configuration
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.protocol import seal

REPLACE = "replace-peer"
"""What a unit asks the agent of the pair's other switch to be taken for the one whose place it has."""


class Asker:
    """A connection to the agent at `address`; all that is asked over it may take `limit` seconds together.

    Raises DriverError when nobody answers there, as everything here does for what the other side or the network does.
    """

    def __init__(self, address: str, port: int, key: bytes, limit: float) -> None:
        self.where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._address, self._key, self._limit = address.partition("%")[0], key, limit
        self._deadline = time.monotonic() + limit
        with self._told("cannot be reached"):
            self._sock = socket.create_connection((address, port), limit)
        try:
            greeting = self._receive(seal.GREETING)
            if not greeting.startswith(seal.RPC_MAGIC):
                raise DriverError(f"what answers at {self.where} is no agent of this release; see exchange.port")
        except BaseException:
            self._sock.close()
            raise
        self._nonce = greeting[len(seal.RPC_MAGIC) :]

    def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """Return what the agent answers.  Raises DriverError, also with what it refuses by."""
        own = secrets.token_bytes(seal.NONCE)
        with self._told("does not take the question"):
            self._sock.settimeout(self._left())
            self._sock.sendall(seal.request(self._key, self._address, self._nonce, own, method, params))
        size = int.from_bytes(self._receive(seal.LENGTH))
        if not seal.TAG < size <= seal.MAX_ANSWER + seal.TAG:
            raise DriverError(f"the agent at {self.where} answers {method} with {size} bytes, which cannot be")
        try:
            result, error, self._nonce = seal.read_answer(
                self._key, self._address, self._nonce, own, self._receive(size)
            )
        except seal.RequestRefused as refusal:
            raise DriverError(f"the answer of {self.where} is {refusal.reason}: it has not our pair key") from None
        if error.endswith(seal.UNKNOWN):
            raise DriverError(
                f"the agent at {self.where} is of a release that does not know the question {method!r}:"
                " install the same release on both switches"
            )
        if error:
            raise DriverError(f"the agent at {self.where} refuses {method}: {error}")
        return result

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _receive(self, size: int) -> bytes:
        data = b""
        with self._told("does not answer"):
            while len(data) < size:
                self._sock.settimeout(self._left())
                more = self._sock.recv(min(size - len(data), 65536))
                if not more:
                    raise DriverError(
                        f"the agent at {self.where} ended the connection: it has another key, or too much to do"
                    )
                data += more
        return data

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return left

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise DriverError(f"the agent at {self.where} {what} within {self._limit:g} s; see its log") from None
        except OSError as error:
            raise DriverError(f"the agent at {self.where} {what}: {error.strerror or error}") from None


def ask(address: str, port: int, key: bytes, method: str, params: dict[str, Any], limit: float) -> Any:
    """Return what the agent at `address` answers within `limit` seconds.

    Raises DriverError when nobody answers, when the answer is not that of an agent with our key, or with the reason
    for which the agent refuses.
    """
    with Asker(address, port, key, limit) as asker:
        return asker.ask(method, params)


def fetch(address: str, port: int, key: bytes, kind: str, name: str, target: Path, limit: float) -> int:
    """Save the file `name` of `kind` that the agent at `address` has as `target`; return its size in bytes.

    The file is there whole or not at all.  `limit`: seconds for all of it.  Raises DriverError as `ask` does, and when
    the disk here does not take it or the file changes meanwhile.
    """
    try:
        with Asker(address, port, key, limit) as asker, atomic_file.whole(target, mode=None) as file:
            total = 0
            for data in _slices(asker, kind, name):
                file.write(data)
                total += len(data)
    except OSError as error:
        raise DriverError(f"{target}: cannot be written: {error.strerror or error}") from None
    return total


def _slices(asker: Asker, kind: str, name: str) -> Iterator[bytes]:
    offset, first = 0, None
    while first is None or offset < first:
        found = asker.ask("fetch", {"kind": kind, "name": name, "offset": offset, "size": seal.SLICE})
        data, total = _slice(found, asker.where)
        if total != (total if first is None else first) or (not data and offset < total):
            raise DriverError(f"{kind}/{name} of {asker.where} changed while it was fetched; try again")
        yield data
        offset, first = offset + len(data), total


def _slice(found: Any, where: str) -> tuple[bytes, int]:
    try:
        data, total = base64.b64decode(found["data"], validate=True), found["total"]
    except (KeyError, TypeError, binascii.Error):
        total = None
    if type(total) is not int or total < 0:
        raise DriverError(f"the agent at {where} answers fetch in a form of another release; upgrade both switches")
    return data, total


_ASK_LIMIT = 10.0
_EVERY = 0.3


def peer_place(config: Config) -> tuple[str, int, bytes]:
    """Return address, port and key by which the peer's agent is asked.  Raises ConfigError for a bad key."""
    address = str(config.other.peer_link)
    return address, config.exchange.port, configuration.read_key(config.pair.key_file)


def run_there(config: Config, what: str, limit: float, **params: Any) -> dict[str, Any]:
    """Return the result of a task of the peer's, which may take `limit` seconds.

    Raises DriverError when nobody answers there, when it fails, or is not over in time.
    """
    place, deadline = peer_place(config), time.monotonic() + limit
    started = ask(*place, "task-start", {"what": what, **params}, _ASK_LIMIT)
    while time.monotonic() < deadline:
        time.sleep(_EVERY)
        found = ask(*place, "task-look", started, _ASK_LIMIT)
        if not isinstance(found, dict):
            break
        if found.get("done"):
            result: dict[str, Any] = found["result"]
            return result
    raise DriverError(f"{config.peer} has not ended its part within {limit:g} s")


_FETCH_LIMIT = 300.0


class PeerLedgers:
    """The agent at `address`, with the key of the pair.  Raises DriverError when it does not answer or refuses."""

    def __init__(self, address: str, port: int, key: bytes) -> None:
        self._where = (address, port, key)

    def names(self, kind: str) -> list[str]:
        """Return the names of the files of `kind`."""
        return [str(each["name"]) for each in ask(*self._where, "list", {"kind": kind}, _ASK_LIMIT)]

    def text(self, kind: str, name: str) -> str:
        """Return what a file says.  Raises ValueError when that is no text."""
        with tempfile.TemporaryDirectory(prefix="ovsha-peer-") as place:
            path = Path(place) / name
            self.save(kind, name, path)
            return path.read_text(encoding="utf-8")

    def save(self, kind: str, name: str, path: Path) -> None:
        """Save a file as `path`."""
        fetch(*self._where, kind, name, path, _FETCH_LIMIT)
