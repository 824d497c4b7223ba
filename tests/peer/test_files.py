"""The peer gets the files that it may have, whole, and no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsha.errors import DriverError
from tests.support.asked import Rig

LARGE = bytes(range(256)) * 2000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_a_file_of_many_slices_is_fetched_whole(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "one.db").write_bytes(LARGE)
    target = tmp_path / "copy"
    assert rig.fetch("bases", "one.db", target) == len(LARGE)
    assert target.read_bytes() == LARGE
    assert list(tmp_path.glob("*.part")) == []


def test_an_empty_file_is_fetched_too(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "forensics" / "id").mkdir(parents=True)
    (tmp_path / "forensics" / "id" / "empty").touch()
    assert rig.fetch("forensics", "id/empty", tmp_path / "copy") == 0
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_file_that_shrinks_meanwhile_leaves_nothing_behind(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    path = tmp_path / "bases" / "one.db"
    path.write_bytes(LARGE)
    honest = rig.server.files["fetch"]

    def shrinking(params: Any) -> Any:
        answer = honest(params)
        path.write_bytes(LARGE[:1000])
        return answer

    rig.server.files["fetch"] = shrinking
    with pytest.raises(DriverError, match="changed while it was fetched"):
        rig.fetch("bases", "one.db", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert list(tmp_path.glob("*.part")) == []


def test_files_are_listed_by_kind_without_what_is_unfinished(rig: Rig, tmp_path: Path) -> None:
    for name in ("a.db", "b.db.part", ".hidden", "x/below"):
        (tmp_path / "bases" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bases" / name).write_text(name)
    for name in ("one/manifest.json", "two.part/manifest.json", "stray"):
        (tmp_path / "forensics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "forensics" / name).write_text(name)
    listed = rig.ask("list", {"kind": "bases"})
    assert [(each["name"], each["size"]) for each in listed] == [("a.db", 4)]
    assert [each["name"] for each in rig.ask("list", {"kind": "forensics"})] == ["one/manifest.json"]
    assert rig.ask("list", {"kind": "ledgers"}) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bases", "../secret"),
        ("bases", ".."),
        ("bases", "/etc/passwd"),
        ("bases", ".hidden"),
        ("bases", "x/y"),
        ("bases", "link"),
        ("bases", "directory"),
        ("bases", "fifo"),
        ("bases", ""),
        ("bases", "missing"),
        ("forensics", "../secret"),
        ("forensics", "id/../secret"),
        ("forensics", "one"),
        ("..", "secret"),
        (".", "secret"),
        ("snapshots", "secret"),
        (7, "secret"),
        ("bases", None),
    ],
)
def test_no_other_file_can_be_had(rig: Rig, tmp_path: Path, kind: Any, name: Any) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "bases" / "directory").mkdir(parents=True)
    (tmp_path / "bases" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "bases" / "fifo")
    with pytest.raises(DriverError):
        rig.ask("fetch", {"kind": kind, "name": name, "offset": 0, "size": 100})


def test_what_is_no_regular_file_is_not_read(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bases" / "directory").mkdir(parents=True)
    os.mkfifo(tmp_path / "bases" / "fifo")
    for name in ("directory", "fifo"):
        with pytest.raises(DriverError, match=f"bases/{name} is not a regular file"):
            rig.ask("fetch", {"kind": "bases", "name": name, "offset": 0, "size": 100})


@pytest.mark.parametrize("params", [{"offset": -1}, {"offset": True}, {"size": None}, {"offset": 2**80}])
def test_a_slice_that_is_none_is_refused(rig: Rig, tmp_path: Path, params: dict[str, Any]) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "a").write_text("a")
    with pytest.raises(DriverError, match="a whole number is wanted"):
        rig.ask("fetch", {"kind": "bases", "name": "a", "offset": 0, "size": 10, **params})
