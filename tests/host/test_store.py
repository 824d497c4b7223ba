"""What must survive is on disk whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.core.facts import Stamp
from ovsha.errors import DriverError
from ovsha.host.state_file import PersistentState, Store, load, save

KEPT = PersistentState(
    "rack7", "sw1", term=5, reserved=6, peer_stamp=Stamp(5, "sw2", True), met_in="b007", peer_identity="ab" * 16
)


def wait_for(run: Callable[[], None], until: Callable[[], object]) -> None:
    limit = time.monotonic() + 10
    while not until():
        assert time.monotonic() < limit
        run()


def test_first_start_begins_with_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "state.json", "rack7", "sw1") == PersistentState("rack7", "sw1")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "state.json", KEPT)
    assert load(tmp_path / "state.json", "rack7", "sw1") == KEPT


def test_state_of_a_release_that_knew_no_identities_is_loaded(tmp_path: Path) -> None:
    old = {"pair": "rack7", "node": "sw1", "term": 5, "reserved": 6, "peer_stamp": None, "met_in": None}
    (tmp_path / "state.json").write_text(json.dumps(old))
    assert load(tmp_path / "state.json", "rack7", "sw1").peer_identity == ""


def test_interrupted_save_leaves_the_old_state(tmp_path: Path) -> None:
    save(tmp_path / "state.json", KEPT)
    (tmp_path / "state.json.part").write_text('{"pair": "ra')
    assert load(tmp_path / "state.json", "rack7", "sw1") == KEPT


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"pair": "rack7"}', '{"pair": "rack7", "node": "sw1", "peer_stamp": [1]}',
     json.dumps({"pair": "rack7", "node": "sw1", "term": "5", "reserved": 6, "peer_stamp": None, "met_in": None}),
     json.dumps({"pair": "rack7", "node": "sw1", "peer_stamp": None, "peer_identity": 7}),
     json.dumps({"pair": "rack7", "node": "sw1", "term": -5, "reserved": 6, "peer_stamp": None, "met_in": None})],
)  # fmt: skip
def test_damaged_state_is_refused_by_name_and_never_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(DriverError, match=r"state\.json: is damaged") as refused:
        load(tmp_path / "state.json", "rack7", "sw1")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("pair", "node"), [("rack8", "sw1"), ("rack7", "sw2")])
def test_state_of_another_pair_or_node_is_refused(tmp_path: Path, pair: str, node: str) -> None:
    save(tmp_path / "state.json", KEPT)
    with pytest.raises(DriverError, match="belongs to node sw1 of pair rack7"):
        load(tmp_path / "state.json", pair, node)


def test_store_saves_in_the_background_and_then_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.json", KEPT)
    wanted = replace(KEPT, term=6, reserved=7)
    store.run(0.0, wanted)
    wait_for(lambda: store.run(1.0, wanted), lambda: store.kept == wanted)
    store.close()
    assert load(tmp_path / "state.json", "rack7", "sw1") == wanted


def test_disk_that_refuses_is_reported_and_tried_again(tmp_path: Path) -> None:
    missing = tmp_path / "later"
    store = Store(missing / "state.json", KEPT)
    wanted = replace(KEPT, term=6)
    wait_for(lambda: store.run(0.0, wanted), lambda: store.trouble)
    assert "cannot be written" in store.trouble
    assert store.kept == KEPT
    missing.mkdir()
    wait_for(lambda: store.run(2.0, wanted), lambda: store.kept == wanted)
    assert store.trouble == ""
    store.close()
