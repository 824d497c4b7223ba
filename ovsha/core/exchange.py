"""Seal what one agent asks the other one, and what is answered, so that neither believes a stranger.

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
from typing import Any

MAGIC = b"OVSHX1"
NONCE = 16
GREETING = len(MAGIC) + NONCE
LENGTH = 4
TAG = hashlib.sha256().digest_size

MAX_REQUEST = 16 * 1024
MAX_ANSWER = 256 * 1024
UNKNOWN = "is not known to this release"
"""How every release answers a question that it does not know, after the question's name."""

SLICE = 128 * 1024
"""Bytes of a file that fit one answer, as base64."""


class Refused(ValueError):
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
        raise Refused("malformed") from error
    if not isinstance(method, str) or len(own) != NONCE:
        raise Refused("malformed")
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
        raise Refused("malformed") from error
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
    signed = b"\0".join((MAGIC, purpose, address.encode(), nonce + own, body))
    return hmac.digest(key, signed, "sha256")


def _opened(key: bytes, purpose: bytes, address: str, nonce: bytes, own: bytes, frame: bytes) -> dict[str, Any]:
    body, tag = frame[:-TAG], frame[-TAG:]
    if not hmac.compare_digest(tag, _tag(key, purpose, address, nonce, own, body)):
        raise Refused("forged")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed") from error
    if not isinstance(values, dict):
        raise Refused("malformed")
    return values
