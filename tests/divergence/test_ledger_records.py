"""What a database held before a term began is all that stands before that term's stamp in its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsha.errors import DriverError
from ovsha.ovsdb import log_file
from tests.support.ledger_files import SCHEMA, mac, record, stamp, write

BEFORE = (stamp(term="6", node="sw1", token="6.0"), mac(1), mac(2))
AFTER = (stamp(term="7", node="sw2", token="7.0"), mac(3))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "base.db"


def test_what_follows_the_stamp_is_cut_off(tmp_path: Path, target: Path) -> None:
    source = write(tmp_path / "conf.db", *BEFORE, *AFTER)
    assert log_file.cut(source, target, 7, "sw2") == len(BEFORE)
    assert target.read_bytes() == b"".join(map(record, (SCHEMA, *BEFORE)))


def test_a_stamp_of_the_same_node_is_known_by_its_term_alone(tmp_path: Path, target: Path) -> None:
    """The node's name keeps its value, so the file's record of the change does not repeat it."""
    source = write(tmp_path / "conf.db", *BEFORE, stamp(term="7", token="7.0"), mac(3))
    assert log_file.cut(source, target, 7, "sw1") == len(BEFORE)


def test_the_stamps_of_other_terms_and_nodes_and_tokens_cut_nothing(tmp_path: Path, target: Path) -> None:
    others = (stamp(token="6.7"), stamp(term="7", node="sw1"), stamp(term="77", node="sw2"))
    source = write(tmp_path / "conf.db", *BEFORE, *others, *AFTER)
    assert log_file.cut(source, target, 7, "sw2") == len(BEFORE) + len(others)


def test_a_torn_end_is_nothing_to_what_stands_before_the_stamp(tmp_path: Path, target: Path) -> None:
    source = write(tmp_path / "conf.db", *BEFORE, *AFTER)
    source.write_bytes(source.read_bytes()[:-7])
    assert log_file.cut(source, target, 7, "sw2") == len(BEFORE)


def test_nothing_behind_a_damaged_record_counts(tmp_path: Path, target: Path) -> None:
    damaged = record(mac(2)).replace(b"00:02", b"00:09")
    source = tmp_path / "conf.db"
    source.write_bytes(record(SCHEMA) + record(BEFORE[0]) + damaged + record(AFTER[0]))
    with pytest.raises(DriverError, match="stamp of term 7 of sw2 is not in it"):
        log_file.cut(source, target, 7, "sw2")


def test_a_compacted_file_has_no_past(tmp_path: Path, target: Path) -> None:
    source = write(tmp_path / "conf.db", {**mac(1), **stamp(term="7", node="sw2")}, mac(2))
    with pytest.raises(log_file.Compacted):
        log_file.cut(source, target, 7, "sw2")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, target: Path) -> None:
    with pytest.raises(DriverError, match=r"gone\.db: No such file"):
        log_file.cut(tmp_path / "gone.db", target, 7, "sw2")


def test_the_schema_is_what_a_file_begins_with(tmp_path: Path) -> None:
    assert log_file.schema(write(tmp_path / "conf.db", *BEFORE)) == SCHEMA


@pytest.mark.parametrize("content", [b"", b"OVSDB CLUSTER 3 aaa\n{}\n", b"text", record([]), record({"tables": 1})])
def test_what_is_no_standalone_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "conf.db"
    path.write_bytes(content)
    with pytest.raises(DriverError, match="no standalone database"):
        log_file.schema(path)
