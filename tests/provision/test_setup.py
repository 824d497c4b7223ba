"""Laws of what the commands that set a switch up share: files come whole, and steps say where they failed."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha import config
from ovsha.errors import ConfigError, DriverError
from ovsha.provision import config_file, files
from ovsha.provision.config_file import Node, Settings
from ovsha.provision.files import Wanted
from ovsha.provision.step import Step, plan, run

PAIR = Settings(
    node="sw1",
    pair="rack7",
    preferred="sw1",
    nodes={"sw1": Node(peer_link="169.254.0.9", backup_path="192.168.0.1"), "sw2": Node(peer_link="169.254.0.10",
           backup_path="192.168.0.2")},
    vip="169.254.0.11",
    vip_port=9998,
)  # fmt: skip


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_vrf_of_the_backup_path_is_written_where_there_is_one() -> None:
    assert "vrf" not in config_file.render(PAIR)
    assert "backup_path:\n  vrf: mgmt\n" in config_file.render(replace(PAIR, backup_vrf="mgmt"))


def test_a_new_file_leaves_no_copy(tmp_path: Path) -> None:
    assert files.replace(tmp_path / "below" / "a", "new", 0o640) is None
    assert (tmp_path / "below" / "a").read_text() == "new"
    assert (tmp_path / "below" / "a").stat().st_mode & 0o777 == 0o640
    assert names(tmp_path / "below") == ["a"]


def test_an_older_file_that_differs_is_kept_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    file.chmod(0o604)
    copies = [files.replace(file, text, 0o600) for text in ("new", "newer")]
    assert file.read_text() == "newer"
    assert [copy.read_text() for copy in copies if copy] == ["old", "new"]
    assert copies[0] is not None
    assert re.fullmatch(r"a\.ovsha-\d{8}-\d{6}", copies[0].name)
    assert copies[0].stat().st_mode & 0o777 == 0o604


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("same")
    before = file.stat()
    assert files.replace(file, b"same", 0o600) is None
    assert file.stat().st_ino == before.st_ino
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["a"]


def test_of_several_files_all_or_none_are_put_in_place(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a", tmp_path / "b", tmp_path / "taken"
    first.write_text("old")
    third.mkdir()
    with pytest.raises(DriverError, match=r"taken: cannot be written: .*; nothing was changed"):
        files.together([Wanted(first, b"new", 0o600), Wanted(second, b"new", 0o600), Wanted(third, b"new", 0o600)])
    assert first.read_text() == "old"
    assert names(tmp_path) == ["a", "taken"]


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    with room(1 << 16), pytest.raises(DriverError, match=r"b: cannot be written: .*; nothing was changed"):
        files.together([Wanted(file, b"new", 0o600), Wanted(tmp_path / "b", bytes(1 << 20), 0o600)])
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a"]


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let this process write no file longer than `size` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_new_document_says_what_it_was_told_and_no_default() -> None:
    text = config_file.render(PAIR)
    read = config.parse(text, "it")
    assert (read.node, read.pair.id, read.pair.preferred, str(read.vip.address)) == (
        "sw1", "rack7", "sw1", "169.254.0.11",
    )  # fmt: skip
    assert "9998" not in text
    assert "# What both switches must agree on to know each other.\npair:\n  id: rack7\n" in text
    assert "  sw1: {peer_link: 169.254.0.9, backup_path: 192.168.0.1}\n" in text


def test_ipv6_addresses_and_words_that_yaml_takes_for_others_come_back() -> None:
    nodes = {"yes": Node(peer_link="fd00::9"), "off": Node(peer_link="fd00::a")}
    read = config.parse(config_file.render(Settings(node="yes", pair="null1", nodes=nodes, vip="fd00::b")), "it")
    assert [str(each.peer_link) for each in read.nodes.values()] == ["fd00::9", "fd00::a"]


def test_keys_of_an_older_file_that_are_not_spoken_of_stay() -> None:
    before = config_file.render(PAIR) + "restore: {delay: 2}\nmetrics: {enabled: false}\nmode: advise\n"
    text = config_file.render(Settings(node="sw1", pair="rack8", nodes=PAIR.nodes, vip="169.254.0.12"), before)
    read = config.parse(text, "it")
    assert (read.pair.id, str(read.vip.address)) == ("rack8", "169.254.0.12")
    assert (read.restore.delay, read.metrics.enabled, read.mode, read.pair.preferred) == (2, False, "advise", "sw1")


def test_a_file_that_means_the_same_keeps_its_comments() -> None:
    before = "# mine\n" + config_file.render(PAIR) + "replication: {port: 9999}\n"
    assert config_file.render(PAIR, before) == before


def test_what_cannot_be_used_is_not_written() -> None:
    with pytest.raises(ConfigError, match=r"vip.address"):
        config_file.render(Settings(node="sw1", pair="rack7", nodes=PAIR.nodes, vip="169.254.0.9"))


def test_a_key_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "pair.key"
    assert files.make_once(file)
    first = config.read_key(file)
    assert not files.make_once(file)
    assert config.read_key(file) == first
    assert first != files.make().strip()


def test_a_key_that_others_may_read_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "pair.key"
    file.write_bytes(files.make())
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0600"):
        files.make_once(file)


def failing() -> str:
    raise DriverError("ovs-pki: no space")


def test_a_failing_step_names_itself_and_the_remedy_and_those_before_are_taken_back() -> None:
    told, undone = [], []
    steps = [
        Step("one", "do one", lambda: "1", undo=lambda: undone.append("one")),
        Step("two", "do two", lambda: "2", undo=lambda: undone.append("two")),
        Step("not here", "-", failing, skipped="the active side has it"),
        Step("three", "do three", failing, "make room"),
        Step("four", "do four", failing),
    ]
    with pytest.raises(DriverError, match=r"^three: ovs-pki: no space; make room$"):
        run(steps, lambda step, output: told.append((step.name, output)))
    assert told == [("one", "1"), ("two", "2"), ("not here", "the active side has it")]
    assert undone == ["two", "one"]


def test_a_plan_shows_every_step_and_does_none() -> None:
    steps = [Step("one", "do one\nand more", failing), Step("two", "-", failing, skipped="it is done")]
    assert list(plan(steps)) == ["1. one", "     do one", "     and more", "2. two (skipped: it is done)"]
