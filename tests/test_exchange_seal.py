"""A seal is good for one question, at one address, and for its answer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asked import HOST, KEY
from ovsha.core import exchange as codec

nonces = st.binary(min_size=codec.NONCE, max_size=codec.NONCE)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(nonces, nonces, st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_a_request_comes_out_as_it_went_in(nonce: bytes, own: bytes, method: str, params: dict[str, Any]) -> None:
    frame = codec.request(KEY, HOST, nonce, own, method, params)
    assert codec.read_request(KEY, HOST, nonce, frame[codec.LENGTH :]) == (method, params, own)


@given(nonces, nonces, nonces, json_values, st.text())
def test_an_answer_comes_out_as_it_went_in(nonce: bytes, own: bytes, following: bytes, result: Any, error: str) -> None:
    frame = codec.answer(KEY, HOST, nonce, own, following, result, error)
    wanted = (None, error, following) if error else (result, "", following)
    assert codec.read_answer(KEY, HOST, nonce, own, frame[codec.LENGTH :]) == wanted


@given(nonces, nonces, st.data())
def test_a_frame_with_one_bit_changed_is_forged(nonce: bytes, own: bytes, data: st.DataObject) -> None:
    frame = bytearray(codec.request(KEY, HOST, nonce, own, "echo", {})[codec.LENGTH :])
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(codec.Refused, match="forged"):
        codec.read_request(KEY, HOST, nonce, bytes(frame))


@given(nonces, nonces)
def test_a_request_is_no_answer_and_an_answer_no_request(nonce: bytes, own: bytes) -> None:
    asked = codec.request(KEY, HOST, nonce, own, "echo", {})[codec.LENGTH :]
    answered = codec.answer(KEY, HOST, nonce, b"", own, {}, "")[codec.LENGTH :]
    with pytest.raises(codec.Refused, match="forged"):
        codec.read_answer(KEY, HOST, nonce, b"", asked)
    with pytest.raises(codec.Refused, match="forged"):
        codec.read_request(KEY, HOST, nonce, answered)


def test_a_slice_fits_an_answer() -> None:
    whole = {"data": base64.b64encode(bytes(codec.SLICE)).decode(), "total": 2**62}
    frame = codec.answer(KEY, HOST, b"n" * 16, b"n" * 16, b"n" * 16, whole, "")
    assert codec.read_answer(KEY, HOST, b"n" * 16, b"n" * 16, frame[codec.LENGTH :])[0] == whole


def test_a_request_too_large_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="a request of"):
        codec.request(KEY, HOST, b"", b"", "echo", {"x": "y" * codec.MAX_REQUEST})
