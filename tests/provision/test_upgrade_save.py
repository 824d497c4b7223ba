"""What is saved before an upgrade is whole or not there, and comes back as it was."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.cli.upgrade_actions import next_step
from ovsha.config import Config, parse
from ovsha.errors import DriverError
from ovsha.provision import upgrade
from ovsha.provision.upgrade import Database, File, Kind, Manifest, Save, State

CONFIG = """
node: sw2
pair: {id: rack7, preferred: sw1}
nodes: {sw1: {peer_link: 169.254.0.9}, sw2: {peer_link: 169.254.0.10}}
vip: {address: 169.254.0.11}
"""


@pytest.fixture
def config() -> Config:
    return parse(CONFIG, "test")


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """Give a save of two files, a setting and a script, both of which are still there."""
    files = []
    place = tmp_path / "20261121T100000Z"
    for name, kind, mode in (("default", Kind.SETTING, 0o640), ("ctl", Kind.SCRIPT, 0o755)):
        path = tmp_path / "live" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("one\ntwo\n")
        path.chmod(mode)
        file = File(str(path), kind, os.getuid(), os.getgid(), mode, 8, upgrade.digest(b"one\ntwo\n"))
        files.append(file)
        copy = Save(place, _manifest()).copy(file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("one\ntwo\n")
    made = Save(place, _manifest(*files))
    (place / upgrade.NAME).write_text(upgrade.text(made.manifest))
    return made


def _manifest(*files: File) -> Manifest:
    database = Database("hardware_vtep", "20261121T100000Z-term3-0123456789ab.db.gz", 7, 3, "1.7.0")
    return Manifest(upgrade.VERSION, "sw2", "rack7", "2026-11-21T10:00:00+00:00", "0.1.0", "", database, files)


def live(saved: Save, number: int) -> Path:
    return Path(saved.manifest.files[number].path)


def test_manifest_comes_back_as_it_was_written(saved: Save) -> None:
    assert upgrade.load(saved.place) == saved
    assert upgrade.find_saves(saved.place.parent) == [saved.place]


def test_nothing_differs_until_something_is_changed(saved: Save) -> None:
    assert upgrade.find_differences(saved) == []
    live(saved, 0).write_text("one\nthree\nfour\n")
    (found,) = upgrade.find_differences(saved)
    assert (found.state, found.more, found.fewer, found.goes_back) == (State.CHANGED, 2, 1, False)
    assert upgrade.lines(saved, found.file)[-2:] == ["+three", "+four"]
    live(saved, 0).write_text("one\ntwo\n")
    live(saved, 0).chmod(0o600)
    assert [each.state for each in upgrade.find_differences(saved)] == [State.OWNER]


def test_nothing_of_a_key_is_shown(saved: Save) -> None:
    key = replace(saved.manifest.files[0], kind=Kind.KEY)
    live(saved, 0).write_text("another\n")
    assert upgrade.lines(saved, key) == []


def test_missing_setting_is_put_back_with_its_mode_and_a_missing_script_is_not(saved: Save) -> None:
    for number in (0, 1):
        live(saved, number).unlink()
    found = upgrade.find_differences(saved)
    assert [each.state for each in found] == [State.MISSING, State.MISSING]
    assert [each.file.kind for each in found if each.goes_back] == [Kind.SETTING]
    live(saved, 0).parent.rmdir()
    upgrade.put_back(saved, [each for each in found if each.goes_back])
    assert live(saved, 0).read_text() == "one\ntwo\n"
    assert live(saved, 0).stat().st_mode & 0o7777 == 0o640


def test_damaged_copy_is_not_put_back(saved: Save) -> None:
    live(saved, 0).unlink()
    found = replace(upgrade.Difference(saved.manifest.files[0], State.MISSING))
    saved.copy(saved.manifest.files[0]).write_text("one\nTWO\n")
    with pytest.raises(DriverError, match="is not what was saved"):
        upgrade.put_back(saved, [found])
    assert not live(saved, 0).exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is damaged"),
        ("{}", "is damaged"),
        ('{"version": 9, "node": "a", "pair": "b", "at": "c", "release": "2.0", "configuration": "",'
         ' "database": {"name": "n", "file": "f", "rows": 1, "term": 1, "version": "1"}}',
         "another release of ovsha, 2.0"),
        ('{"version": 1, "node": "a", "pair": "b", "at": "c", "release": "2.0", "configuration": "",'
         ' "database": {"name": "n", "file": "../f", "rows": 1, "term": 1, "version": "1"}}', "outside of its place"),
    ],
)  # fmt: skip
def test_manifest_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / upgrade.NAME).write_text(content)
    with pytest.raises(DriverError, match=says):
        upgrade.load(tmp_path)


def test_place_without_a_manifest_is_no_save(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="nothing was saved there"):
        upgrade.load(tmp_path)


def test_the_oldest_saves_go_but_never_the_one_that_is_needed(tmp_path: Path) -> None:
    names = [f"2026112{day}T100000Z" for day in range(6)]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    upgrade.prune(tmp_path, names[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], *names[3:], "elsewhere"]


@pytest.mark.parametrize(
    ("own", "peer", "preferred", "says"),
    [
        ({}, {"serving": True}, {}, "`ovsha upgrade prepare` on sw2"),
        ({"serving": True}, {}, {}, "`ovsha upgrade prepare` on sw1"),
        ({"upgrade": 5.0}, {"serving": True}, {}, "`ovsha upgrade finish` on sw2"),
        ({"serving": True}, {"upgrade": 5.0}, {}, "`ovsha upgrade finish` on sw1"),
        ({"upgraded": 5.0}, {"serving": True}, {}, "`ovsha switchover --to sw2`, then `ovsha upgrade prepare` on sw1"),
        ({"upgraded": 5.0, "serving": True}, {}, {}, "now the other switch: `ovsha upgrade prepare` on sw1"),
        ({"upgraded": 5.0}, {"upgraded": 9.0, "serving": True}, {}, "nothing is left to do"),
        ({"upgraded": 5.0, "serving": True}, {"upgraded": 9.0}, {"chosen": True}, "`ovsha restore-primary`"),
        ({"upgraded": 5.0, "serving": True}, {"upgraded": 9.0}, {"restore": "manual"}, "`ovsha restore-primary`"),
        ({"upgraded": 5.0, "serving": True}, {"upgraded": 9.0}, {}, "by itself"),
    ],
)  # fmt: skip
def test_what_comes_next_is_told(
    config: Config, own: dict[str, object], peer: dict[str, object], preferred: dict[str, object], says: str
) -> None:
    usual = {"upgrade": None, "upgraded": None, "serving": False}
    known = {
        "sides": {"sw1": {**usual, **peer}, "sw2": {**usual, **own}},
        "preferred": {"node": "sw1", "configured": "sw1", "chosen": False, "restore": "automatic", **preferred},
    }
    assert says in next_step(config, known)
