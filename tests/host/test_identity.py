"""A switch keeps its identity for as long as its state directory."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from ovsha.errors import DriverError
from ovsha.host.state_file import own_identity


def test_an_identity_is_drawn_once_and_is_nobody_elses_business(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    drawn = own_identity(path)
    assert re.fullmatch(r"[0-9a-f]{32}", drawn)
    assert own_identity(path) == drawn
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["identity"]


def test_two_switches_have_two(tmp_path: Path) -> None:
    assert own_identity(tmp_path / "one") != own_identity(tmp_path / "two")


def test_a_first_start_that_was_interrupted_is_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "identity.part").write_text("abc")
    assert len(own_identity(tmp_path / "identity")) == 32


@pytest.mark.parametrize("text", [b"", b"abc\n", b"x" * 32, b"\xff" * 32, b"ab" * 17, b"0" * 10_000])
def test_a_damaged_identity_is_refused_by_name_with_what_to_do(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "identity"
    path.write_bytes(text)
    with pytest.raises(DriverError, match=r"identity: is damaged; .*`ovsha peer forget` on the peer"):
        own_identity(path)
    assert path.read_bytes() == text


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="identity of this switch cannot be kept: No such file"):
        own_identity(tmp_path / "missing" / "identity")


def test_a_directory_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    with pytest.raises(DriverError, match="identity: cannot be read: Is a directory"):
        own_identity(tmp_path / "identity")
