"""What is known of the peer's token outlives the agent, a reboot, a clock that was set and a disk that is full."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.agent.peer_token import FILE, Known, PeerTokenFile, lack_of, noted
from ovsha.core.facts import Lack, Token
from ovsha.core.view import Memory

LAG = 1.0
BEHIND = Memory("x", peer_token=(1, 35), lack=Lack(100.0, (1, 16)))


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def kept_after(directory: Path, memory: Memory, at: float, boot: str = "one") -> PeerTokenFile:
    """Return what an agent reads that is started at once after another one, which knew this, was killed."""
    keeper = PeerTokenFile(directory, boot, Clock(at), Clock(5000.0))
    keeper.run(memory, LAG)
    keeper.close()
    return PeerTokenFile(directory, boot, Clock(at), Clock(5000.0))


def test_it_is_read_again_as_it_was(tmp_path: Path) -> None:
    again = kept_after(tmp_path, BEHIND, 120.0)
    assert again.now.token == (1, 35)
    assert again.lack == Lack(100.0, (1, 16))
    again.close()


def test_within_one_boot_no_change_of_the_wall_clock_matters() -> None:
    kept = noted(Known(), BEHIND, LAG, 120.0, 5000.0, "one")
    for wall in (0.0, 5000.0, 9e9):
        assert lack_of(kept, 150.0, wall, "one") == Lack(100.0, (1, 16))


def test_after_a_reboot_the_wall_clock_tells_for_how_long_the_switch_was_off() -> None:
    kept = noted(Known(), BEHIND, LAG, 120.0, 5000.0, "one")
    assert lack_of(kept, 7.0, 5030.0, "two") == Lack(7.0 - 20.0 - 30.0, (1, 16))


def test_after_a_reboot_with_a_clock_that_was_set_back_it_is_at_least_as_old_as_it_was() -> None:
    kept = noted(Known(), BEHIND, LAG, 120.0, 5000.0, "one")
    lack = lack_of(kept, 7.0, 100.0, "two")
    assert lack == Lack(7.0 - 20.0, (1, 16), None, least=True)
    later = noted(kept, replace(BEHIND, lack=lack), LAG, 50.0, 100.0, "two")
    assert lack_of(later, 60.0, 110.0, "two") == lack, "and that is not forgotten by another start"


def test_copy_that_lacks_nothing_is_kept_as_one_that_lacks_nothing() -> None:
    kept = noted(Known(), Memory("x", peer_token=(1, 35)), LAG, 120.0, 5000.0, "one")
    assert (kept.token, lack_of(kept, 130.0, 5010.0, "one")) == ((1, 35), None)


def writes(tokens: int, interval: float, behind: float | None) -> int:
    """Count how often the disk is written while so many tokens come to a copy that is always so late."""
    kept, count = Known(), 0
    for number in range(tokens):
        now = interval * number
        for at, own in ((now, number - 1), (now + min(behind or 0.0, interval), number)):
            lack = Lack(now, (1, own)) if own < number and behind is not None else None
            wanted = noted(kept, Memory("x", peer_token=(1, number), lack=lack), LAG, at + (behind or 0.0), 0.0, "one")
            count, kept = count + (wanted != kept), wanted
    return count


@pytest.mark.parametrize("behind", [None, 0.5, 1.5, 30.0])
def test_disk_is_not_written_for_each_token(behind: float | None) -> None:
    assert writes(900, 2.0, behind) <= 62, "half an hour, about twice a minute at most"


def test_what_the_copy_lacks_is_kept_at_once_and_then_more_and_more_rarely() -> None:
    kept, at = Known(), []
    for now in range(100, 1000):
        tokens: Token = (1, 16 + now // 2)
        wanted = noted(kept, Memory("x", peer_token=tokens, lack=Lack(100.0, (1, 16))), LAG, float(now), 0.0, "one")
        if wanted != kept:
            at.append(now - 100)
            kept = wanted
    assert at[:7] == [0, 2, 4, 8, 16, 32, 64]
    assert len(at) < 25


def test_what_the_peer_had_when_it_died_is_kept_at_once() -> None:
    kept = noted(Known(), BEHIND, LAG, 120.0, 5000.0, "one")
    died = replace(BEHIND, peer_token=(1, 36), lack=replace(BEHIND.lack, until=121.0))  # type: ignore[type-var]
    assert noted(kept, died, LAG, 121.0, 5001.0, "one").token == (1, 36)


def test_disk_that_takes_no_new_file_takes_it_in_the_place_that_it_has(tmp_path: Path) -> None:
    kept_after(tmp_path, Memory("x", peer_token=(1, 1)), 1.0).close()
    size = (tmp_path / FILE).stat().st_size
    (tmp_path / f"{FILE}.{os.getpid()}.part").mkdir()  # where a new one would be made
    again = kept_after(tmp_path, BEHIND, 120.0)
    assert (again.now.token, again.trouble) == ((1, 35), "")
    assert (tmp_path / FILE).stat().st_size == size
    again.close()


UNREADABLE = ["", "{", "[]", '{"token": [1, "x"]}', '{"token": [1, ' + "9" * 5000 + "]}", "\0" * 512]


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_file_that_cannot_be_read_counts_as_none_and_is_told_of_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / FILE).write_text(text)
    with caplog.at_level(logging.ERROR, "ovsha"):
        keeper = PeerTokenFile(tmp_path, "one", Clock(1.0), Clock(1.0))
    assert (keeper.now, keeper.lack) == (Known(), None)
    assert len(caplog.records) == 1
    keeper.close()
