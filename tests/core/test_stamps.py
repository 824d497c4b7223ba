"""Whatever is written in the place of a term, a token, a name or a record, it is read as what it is or as nothing."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovsha import codec
from ovsha.core import stamps
from ovsha.core.facts import Proof, Record, Stamp
from ovsha.divergence import baseline, ledger, pending
from ovsha.errors import DriverError
from ovsha.host import state_file
from ovsha.ovsdb import proofs
from ovsha.ovsdb.database import _read
from ovsha.protocol import record

ABSURD = ["", " 1", "1 ", "-1", "+1", "1.0", "1e3", "nan", "inf", "0x10", "1_000", "\u0661", "\u00b2", "True",
          "9" * 5000, "9" * 65536, str(2**62 + 1), "\0", "[" * 65536, "1\n"]  # fmt: skip
texts = st.sampled_from(ABSURD) | st.text(max_size=30) | st.integers(-5, 2**70).map(str)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**4000) | st.just(-(10**4000)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("text", ABSURD, ids=lambda text: repr(text[:8]))
def test_what_is_no_number_is_none(text: str) -> None:
    assert stamps.number(text) is None
    assert stamps.token(f"{text}.1") is None
    assert stamps.token(f"1.{text}") is None
    assert stamps.stamp_of({stamps.TERM: text, stamps.NODE: "sw1"}) is None


def test_a_number_is_read_up_to_what_is_ever_written() -> None:
    assert stamps.number("0") == 0
    assert stamps.number("007") == 7
    assert stamps.number(str(2**62)) == 2**62
    assert stamps.stamp_of({stamps.TERM: "0", stamps.NODE: "sw1"}) is None, "terms begin with 1"


@given(st.integers(1, 2**62), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True), st.booleans(),
       st.integers(0, 2**62))  # fmt: skip
def test_what_is_written_is_read_back(term: int, node: str, chosen: bool, number: int) -> None:
    pairs = stamps.written(Stamp(term, node, chosen), (term, number))
    assert stamps.stamp_of(pairs) == Stamp(term, node, chosen)
    assert stamps.token_of(pairs) == (term, number)


@given(st.dictionaries(st.sampled_from([stamps.TERM, stamps.NODE, stamps.CHOSEN, stamps.TOKEN, "x"]), values))
def test_any_map_is_read(pairs: dict[str, Any]) -> None:
    stamp, token = stamps.stamp_of(pairs), stamps.token_of(pairs)
    assert stamp is None or (1 <= stamp.term <= 2**62 and len(stamp.node) <= 63)
    assert token is None or max(token) <= 2**62


@given(values)
def test_any_column_and_any_row_are_read(value: Any) -> None:
    assert isinstance(stamps.pairs_of(value), dict)
    assert isinstance(stamps.pairs_of(["map", value]), dict)
    for row in ({"other_config": value}, {"other_config": ["map", value]}, {"switches": value}):
        assert _read({"Global": {"u": row}, "Manager": {}}).loaded


@given(st.dictionaries(st.sampled_from(sorted(Record.__dataclass_fields__)), values))
def test_any_record_is_read_or_refused_in_one_line(fields: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        read = record.from_plain({"node": "sw1", **fields})
        numbers = (read.term, *(read.token or ()), read.stamp.term if read.stamp else 0)
        assert max(numbers) <= stamps.BELIEVED_END
        assert min(numbers) >= 0


def test_a_number_beyond_belief_is_dropped_and_the_rest_of_the_record_is_not() -> None:
    told = {"node": "sw2", "term": 2**61 + 1, "token": [1, 10**4000], "stamp": [2**61, "sw2", False], "serving": True}
    read, unread = record.read(told)
    assert read == Record("sw2", stamp=Stamp(2**61, "sw2"), serving=True)
    assert [each.partition(" ")[0] for each in unread] == ["term", "token"]


KEPT = {"pair": "rack7", "node": "sw1", "term": 3, "reserved": 4, "peer_stamp": None, "met_in": None, "held": None}
SPOILT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@SPOILT
@given(st.sampled_from([*KEPT, "peer_identity", "founding"]), values)
def test_any_state_is_read_or_refused(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "state.json"
    with contextlib.suppress(ValueError):  # a number of thousands of digits has no text
        path.write_text(json.dumps({**KEPT, name: value}))
        with contextlib.suppress(DriverError):
            kept = state_file.load(path, "rack7", "sw1")
            assert max(kept.term, kept.reserved, *(kept.held or ())) <= stamps.BELIEVED_END


@pytest.mark.parametrize("name", ["term", "reserved", "held", "peer_stamp"])
def test_a_number_beyond_belief_in_the_state_is_dropped_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path, far = tmp_path / "state.json", 2**61 + 1
    value = {"held": [3, far], "peer_stamp": {"term": far, "node": "sw2", "chosen": False}}.get(name, far)
    path.write_text(json.dumps({**KEPT, name: value}))
    kept = state_file.load(path, "rack7", "sw1")
    assert asdict(kept)[name] in (0, None)
    assert len(caplog.records) == 1
    assert f"{name} is beyond" in caplog.text


@pytest.mark.parametrize("text", ["", "[" * 65536, "{", "9" * 5000, "NaN", '{"process": 1}', "[]",
                                  '{"process": "x", "stamp": {"term": 9' + "0" * 30 + ', "node": "sw1"}}'],
                         ids=lambda text: repr(text[:8]))  # fmt: skip
def test_what_is_no_proof_is_passed_over_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    path = tmp_path / proofs.NAME
    assert proofs.load(path) is None
    assert not caplog.records, "there is none yet"
    path.write_text(text)
    assert proofs.load(path) is None
    assert len(caplog.records) == 1


def until(holds: Callable[[], object], act: Callable[[float], None]) -> None:
    """Act until it holds, for as long as a slow disk may need."""
    begun = time.monotonic()
    while not holds():
        act(time.monotonic())
        assert time.monotonic() - begun < 60, "it does not come to that"
        time.sleep(0.001)


def test_a_proof_is_kept_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / proofs.NAME
    proof = Proof("boot:1:2", Stamp(3, "sw1"), (3, 7))
    keeper, dropped = proofs.Proofs(path), []
    try:
        until(lambda: path.exists(), lambda now: keeper.run(now, proof))
        assert proofs.load(path) == proof
        keeper.drop(lambda: dropped.append(path.exists()))
        until(lambda: dropped, lambda now: keeper.run(now, proof))
        assert dropped == [False]
    finally:
        keeper.close()


@given(st.sampled_from(["", "[" * 65536, "9" * 5000, "NaN", "[]", "{}", "null"]) | st.text(max_size=40))
def test_what_is_no_base_no_ledger_and_no_errand_is_a_value_error(text: str) -> None:
    for read in (baseline.parse, lambda text: ledger.parse(text, "x"), pending.parse, codec.parse):
        with contextlib.suppress(ValueError):
            read(text)


@pytest.mark.parametrize("number", [2**61 + 1, -1, True, 1.5, "1", None, [1]])
def test_a_base_with_a_number_that_is_none_is_passed_over(number: Any) -> None:
    good = asdict(baseline.Baseline(3, "sw1", (2, "sw2"), (2, 9)))
    assert baseline.parse(json.dumps(good)).term == 3
    for spoilt in ({"term": number}, {"origin": [number, "sw2"]}, {"token": [2, number]}):
        with pytest.raises(ValueError, match="whole number"):
            baseline.parse(json.dumps({**good, **spoilt}))
