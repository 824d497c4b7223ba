"""What an agent reads when it starts is read if it is a file; whatever else was put in its place holds nothing up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ovsha import atomic_file
from ovsha.agent import maintenance, peer_token, upgrade
from ovsha.agent.peer_token import Known
from ovsha.core.facts import Mode
from ovsha.divergence import baseline, ledger, pending
from ovsha.errors import DriverError
from ovsha.host import boot_clock, journal, state_file
from ovsha.host.boot_clock import Clocks
from ovsha.host.state_file import UPGRADE_MARK, UPGRADES
from ovsha.ovsdb import process, proofs

CLOCKS = Clocks("boot", lambda: 1000.0, lambda: 500.0)


def pipe(path: Path) -> None:
    """Put a pipe there that nobody writes to."""
    os.mkfifo(path)


def device(path: Path) -> None:
    """Put a link there to what has no end."""
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """Put a file there that fills the memory."""
    path.touch()
    os.truncate(path, 2**40)


PLACED: dict[str, Callable[[Path], object]] = {
    "a pipe": pipe, "a device": device, "a directory": Path.mkdir, "far too much": huge,
}  # fmt: skip

whatever_is_there = pytest.mark.parametrize("place", PLACED.values(), ids=PLACED)


@whatever_is_there
def test_what_is_no_file_of_a_size_is_an_error_at_once(tmp_path: Path, place: Callable[[Path], object]) -> None:
    place(tmp_path / "file")
    with pytest.raises(OSError, match=r"Not a regular file|Is a directory|File too large"):
        atomic_file.read(tmp_path / "file")


def test_a_file_is_read_whole_up_to_what_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("sechs ü")
    assert atomic_file.read(path, 8) == "sechs ü"
    with pytest.raises(OSError, match="too large"):
        atomic_file.read(path, 7)


def read_pause(directory: Path) -> None:
    keeper = maintenance.MaintenanceFile(directory, False, CLOCKS)
    assert keeper.mode is Mode.ACTIVE
    assert keeper.unread
    keeper.close()


def read_peer_token(directory: Path) -> None:
    keeper = peer_token.PeerTokenFile(directory, "boot", lambda: 500.0, lambda: 1000.0)
    assert keeper.now == Known()
    keeper.close()


def read_upgrade(directory: Path) -> None:
    keeper = upgrade.Upgrading(directory, 600.0, CLOCKS)
    assert keeper.now is None
    keeper.close()


def read_mark(directory: Path) -> None:
    keeper = upgrade.Upgrading(directory, 600.0, CLOCKS)
    assert keeper.age == 0.0, "it is only more careful"
    keeper.close()


DROPPED: dict[str, Callable[[Path], object]] = {
    proofs.NAME: lambda directory: proofs.load(directory / proofs.NAME),
    maintenance.FILE: read_pause,
    maintenance.PASSED: lambda directory: boot_clock.load(directory / maintenance.PASSED),
    peer_token.FILE: read_peer_token,
    f"{UPGRADES}/{UPGRADE_MARK}": read_mark,
    f"{UPGRADES}/{upgrade.FINISHED}": read_upgrade,
    "term3.json": baseline.load,
}


@whatever_is_there
@pytest.mark.parametrize("name", DROPPED)
def test_what_cannot_be_read_is_passed_over_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, place: Callable[[Path], object]
) -> None:
    (tmp_path / UPGRADES).mkdir()
    place(tmp_path / name)
    DROPPED[name](tmp_path)
    assert [str(tmp_path / name) in record.getMessage() for record in caplog.records] == [True]


REFUSED: dict[str, Callable[[Path], object]] = {
    "state.json": lambda path: state_file.load(path, "rack7", "sw1"),
    "identity": state_file.own_identity,
    "20260101T000000Z-term3.errand": pending.load,
}


@whatever_is_there
@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_guessed_is_refused_in_one_line(
    tmp_path: Path, name: str, place: Callable[[Path], object]
) -> None:
    place(tmp_path / name)
    with pytest.raises(DriverError, match=f"{name}: cannot be read: "):
        REFUSED[name](tmp_path / name)


@whatever_is_there
def test_neither_a_pidfile_nor_a_ledger_holds_anybody_up(
    tmp_path: Path, place: Callable[[Path], object]
) -> None:
    for name in ("ovsdb-server.pid", "x.json"):
        place(tmp_path / name)
    assert process.named_by(tmp_path / "ovsdb-server.pid") is None
    heads, troubles = ledger.heads(tmp_path)
    assert (heads, len(troubles)) == ([], 1)


@pytest.mark.parametrize("place", [pipe, device, Path.mkdir], ids=["a pipe", "a device", "a directory"])
def test_a_journal_goes_on_in_the_next_file(tmp_path: Path, place: Callable[[Path], object]) -> None:
    place(tmp_path / "events-00000007.jsonl")
    writer = journal.Journal(tmp_path, {"events": 100_000}, 1e9)
    writer.append("events", lambda: {"kind": "said"})
    writer.close()
    assert "said" in (tmp_path / "events-00000008.jsonl").read_text()
