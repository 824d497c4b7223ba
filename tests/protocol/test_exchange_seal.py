"""A seal is good for one question, at one address, and for its answer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.protocol import seal
from tests.support.asked import HOST, KEY

nonces = st.binary(min_size=seal.NONCE, max_size=seal.NONCE)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(nonces, nonces, st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_a_request_comes_out_as_it_went_in(nonce: bytes, own: bytes, method: str, params: dict[str, Any]) -> None:
    frame = seal.request(KEY, HOST, nonce, own, method, params)
    assert seal.read_request(KEY, HOST, nonce, frame[seal.LENGTH :]) == (method, params, own)


@given(nonces, nonces, nonces, json_values, st.text())
def test_an_answer_comes_out_as_it_went_in(nonce: bytes, own: bytes, following: bytes, result: Any, error: str) -> None:
    frame = seal.answer(KEY, HOST, nonce, own, following, result, error)
    wanted = (None, error, following) if error else (result, "", following)
    assert seal.read_answer(KEY, HOST, nonce, own, frame[seal.LENGTH :]) == wanted


@given(nonces, nonces, st.data())
def test_a_frame_with_one_bit_changed_is_forged(nonce: bytes, own: bytes, data: st.DataObject) -> None:
    frame = bytearray(seal.request(KEY, HOST, nonce, own, "echo", {})[seal.LENGTH :])
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(seal.RequestRefused, match="forged"):
        seal.read_request(KEY, HOST, nonce, bytes(frame))


@given(nonces, nonces)
def test_a_request_is_no_answer_and_an_answer_no_request(nonce: bytes, own: bytes) -> None:
    asked = seal.request(KEY, HOST, nonce, own, "echo", {})[seal.LENGTH :]
    answered = seal.answer(KEY, HOST, nonce, b"", own, {}, "")[seal.LENGTH :]
    with pytest.raises(seal.RequestRefused, match="forged"):
        seal.read_answer(KEY, HOST, nonce, b"", asked)
    with pytest.raises(seal.RequestRefused, match="forged"):
        seal.read_request(KEY, HOST, nonce, answered)


def test_a_slice_fits_an_answer() -> None:
    whole = {"data": base64.b64encode(bytes(seal.SLICE)).decode(), "total": 2**62}
    frame = seal.answer(KEY, HOST, b"n" * 16, b"n" * 16, b"n" * 16, whole, "")
    assert seal.read_answer(KEY, HOST, b"n" * 16, b"n" * 16, frame[seal.LENGTH :])[0] == whole


def test_a_request_too_large_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="a request of"):
        seal.request(KEY, HOST, b"", b"", "echo", {"x": "y" * seal.MAX_REQUEST})
