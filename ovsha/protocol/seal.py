"""Seal what goes over both wires between the agents, heartbeats and peer RPC, by HMAC (RFC 2104).

A packet is the magic ``OVSHA1``, a compact JSON object in UTF-8, and the
HMAC-SHA256 (RFC 2104) of both under the pair's key.  The whole is no longer
than MAX_PACKET, so that it fits one frame on any path.  Nothing of a packet is
looked at before its HMAC has been checked.

This module knows the form of a heartbeat and nothing of its meaning: whether
an authentic packet is to be believed is decided in ovsha.protocol.heartbeat.

A connection begins with the greeting of the side that is asked: MAGIC and a nonce.  A
request and an answer are each a frame: four bytes with the length of what follows, a JSON
object in UTF-8, and the HMAC-SHA256 (RFC 2104) of the object under the pair's key.  These
laws hold for whoever has not the key, whatever is recorded, cut, repeated or relayed:

* a request is good once, on the connection whose nonce it was sealed for, and at the
  address it was meant for; the answer brings the nonce of the next request;
* an answer is good for the one request whose nonce it was sealed for;
* nothing of a frame but its length is looked at before its HMAC has been checked;
* a heartbeat is no frame and a frame is no heartbeat: each seal names its purpose.

What is asked and answered can be read on the wire: it is sealed, not hidden.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEARTBEAT_MAGIC = b"OVSHA1"
MAX_PACKET = 1400
_TAG = hashlib.sha256().digest_size

# What JSON makes of hostile but authentic text: bad syntax and bad UTF-8 are
# ValueErrors, nesting too deep for the parser is a RecursionError.
_UNREADABLE = (ValueError, RecursionError)


class Refused(ValueError):
    """A packet that is not believed; `reason` is the counter it is counted under.

    `claim`: what its sender says it is, when that gets in the way of the pair; None when not.
    """

    def __init__(self, reason: str, claim: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.claim = claim


class TooLarge(ValueError):
    """A state that does not fit a packet."""


@dataclass(frozen=True)
class Echo:
    """What the sender last accepted from the incarnation `boot` of the receiver.

    `newest` is the highest number accepted over any path, `here` the highest
    over the path this packet travels (0: none), and `held` the microseconds
    between the arrival of `here` and the departure of this packet.
    """

    boot: str
    newest: int
    here: int
    held: int


@dataclass(frozen=True)
class Hello:
    """A packet the sender heard of an incarnation it does not believe in yet."""

    boot: str
    seq: int


@dataclass(frozen=True)
class Message:
    """One heartbeat.

    `boot` names the sender's incarnation, `seq` counts its packets over all
    paths from 1, and `at` is the sender's monotonic clock in microseconds.
    `identity` names the sender's switch beyond its restarts, "" when it has none.
    `others`: by path, the highest number the sender accepted over each path but
    the one this packet travels.  `state` is the sender's whole record, of which
    nothing is known here.
    """

    pair: str
    node: str
    boot: str
    seq: int
    path: str
    at: int
    echo: Echo | None
    hello: Hello | None
    state: Mapping[str, Any]
    others: Mapping[str, int] = field(default_factory=dict)
    identity: str = ""


def pack(message: Message, key: bytes) -> bytes:
    """Return the packet that carries `message`, authenticated with `key`.

    Raises TooLarge when the state does not fit MAX_PACKET, ValueError or
    TypeError when it is not JSON: a bug of ours, since the agent wrote it.
    """
    echo, hello = message.echo, message.hello
    body: dict[str, Any] = {
        "pair": message.pair,
        "node": message.node,
        "boot": message.boot,
        "seq": message.seq,
        "path": message.path,
        "at": message.at,
        "echo": [echo.boot, echo.newest, echo.here, echo.held] if echo else None,
        "hello": [hello.boot, hello.seq] if hello else None,
        "state": dict(message.state),
    }
    if message.others:
        body["others"] = dict(message.others)
    if message.identity:
        body["id"] = message.identity
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    signed = HEARTBEAT_MAGIC + text.encode()
    size = len(signed) + _TAG
    if size > MAX_PACKET:
        raise TooLarge(f"a heartbeat of {size} bytes; {MAX_PACKET} is the most")
    return signed + hmac.digest(key, signed, "sha256")


def unpack(packet: bytes, key: bytes) -> Message:
    """Return the heartbeat in `packet`.

    Raises Refused: `oversize`, `malformed` when it does not begin as a
    heartbeat or an authentic one has not the form of one (a peer of another
    version), and `forged` when it was not made with our key or was changed.
    """
    if len(packet) > MAX_PACKET:
        raise Refused("oversize")
    if not packet.startswith(HEARTBEAT_MAGIC) or len(packet) <= len(HEARTBEAT_MAGIC) + _TAG:
        raise Refused("malformed")
    signed, tag = packet[:-_TAG], packet[-_TAG:]
    if not hmac.compare_digest(tag, hmac.digest(key, signed, "sha256")):
        raise Refused("forged", "")
    try:
        body = json.loads(signed[len(HEARTBEAT_MAGIC) :].decode())
    except _UNREADABLE as err:
        raise Refused("malformed") from err
    if not isinstance(body, dict):
        raise Refused("malformed")
    return Message(
        pair=_text(body, "pair"),
        node=_text(body, "node"),
        boot=_text(body, "boot"),
        seq=_whole(body.get("seq"), 1),
        path=_text(body, "path"),
        at=_whole(body.get("at"), -_HUGE),
        echo=_echo(body.get("echo")),
        hello=_hello(body.get("hello")),
        state=_record(body.get("state")),
        others={path: _whole(newest, 1) for path, newest in _record(body.get("others", {})).items()},
        identity=_text(body, "id") if "id" in body else "",
    )


_HUGE = 2**62


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise Refused("malformed")
    return value


def _whole(value: object, least: int) -> int:
    # type() and not isinstance(): True is an int to Python and not to us.
    if type(value) is not int or not least <= value <= _HUGE:
        raise Refused("malformed")
    return value


def _record(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("malformed")
    return value


def _echo(value: object) -> Echo | None:
    match value:
        case None:
            return None
        case [str(boot), newest, here, held]:
            return Echo(boot, _whole(newest, 1), _whole(here, 0), _whole(held, 0))
    raise Refused("malformed")


def _hello(value: object) -> Hello | None:
    match value:
        case None:
            return None
        case [str(boot), seq]:
            return Hello(boot, _whole(seq, 1))
    raise Refused("malformed")


RPC_MAGIC = b"OVSHX1"
NONCE = 16
GREETING = len(RPC_MAGIC) + NONCE
LENGTH = 4
TAG = hashlib.sha256().digest_size

MAX_REQUEST = 16 * 1024
MAX_ANSWER = 256 * 1024
UNKNOWN = "is not known to this release"
"""How every release answers a question that it does not know, after the question's name."""

SLICE = 128 * 1024
"""Bytes of a file that fit one answer, as base64."""


class RequestRefused(ValueError):
    """A frame that is not believed; `reason` is the counter it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def request(key: bytes, address: str, nonce: bytes, own: bytes, method: str, params: Mapping[str, Any]) -> bytes:
    """Return the frame that asks the side at `address`, whose `nonce` it answers; `own` is drawn for this request.

    Raises ValueError or TypeError for params that are not JSON or larger than MAX_REQUEST.
    """
    body = _body({"method": method, "params": dict(params), "nonce": own.hex()})
    if len(body) > MAX_REQUEST:
        raise ValueError(f"a request of {len(body)} bytes; {MAX_REQUEST} is the most")
    return _frame(body, _tag(key, b"ask", address, nonce, b"", body))


def read_request(key: bytes, address: str, nonce: bytes, frame: bytes) -> tuple[str, Any, bytes]:
    """Return method, params and nonce of the request in `frame`, which comes without its length.

    Raises Refused: `forged` when it was not sealed with our key for this address and nonce,
    `malformed` when it was but has not the form of a request.
    """
    body = _opened(key, b"ask", address, nonce, b"", frame)
    try:
        method, params, own = body["method"], body["params"], bytes.fromhex(body["nonce"])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestRefused("malformed") from error
    if not isinstance(method, str) or len(own) != NONCE:
        raise RequestRefused("malformed")
    return method, params, own


def answer(key: bytes, address: str, nonce: bytes, own: bytes, following: bytes, result: Any, error: str) -> bytes:
    """Return the frame that answers the request of these two nonces; `following` is the nonce of the next one.

    `error`, when not empty, is why there is no result.  A result too large for a frame is answered as an error.
    Raises ValueError or TypeError for a result that is not JSON: a bug of ours.
    """
    body = _body({"error": error} if error else {"result": result}, following)
    if len(body) > MAX_ANSWER:
        body = _body({"error": f"the answer has {len(body)} bytes and {MAX_ANSWER} is the most"}, following)
    return _frame(body, _tag(key, b"answer", address, nonce, own, body))


def read_answer(key: bytes, address: str, nonce: bytes, own: bytes, frame: bytes) -> tuple[Any, str, bytes]:
    """Return result, error ("" when there is none) and next nonce of the answer in `frame`, without its length.

    Raises Refused as `read_request` does.
    """
    body = _opened(key, b"answer", address, nonce, own, frame)
    try:
        following = bytes.fromhex(body["next"])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestRefused("malformed") from error
    if "error" in body:
        return None, str(body["error"]), following
    return body.get("result"), "", following


def _body(values: dict[str, Any], following: bytes | None = None) -> bytes:
    if following is not None:
        values["next"] = following.hex()
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def _frame(body: bytes, tag: bytes) -> bytes:
    return (len(body) + TAG).to_bytes(LENGTH) + body + tag


def _tag(key: bytes, purpose: bytes, address: str, nonce: bytes, own: bytes, body: bytes) -> bytes:
    # The nonces and the magic have fixed lengths, and no address holds a zero byte.
    signed = b"\0".join((RPC_MAGIC, purpose, address.encode(), nonce + own, body))
    return hmac.digest(key, signed, "sha256")


def _opened(key: bytes, purpose: bytes, address: str, nonce: bytes, own: bytes, frame: bytes) -> dict[str, Any]:
    body, tag = frame[:-TAG], frame[-TAG:]
    if not hmac.compare_digest(tag, _tag(key, purpose, address, nonce, own, body)):
        raise RequestRefused("forged")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestRefused("malformed") from error
    if not isinstance(values, dict):
        raise RequestRefused("malformed")
    return values
