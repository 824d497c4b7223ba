"""The database file is moved, deleted or replaced under its running server: it is told with the cure, which works."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import seed
from driven import local
from lab import Lab
from real_server import Server, needs_ovs
from story import LIMIT, MakeLab, await_every_row, await_pair, await_problem, begin, in_sync, problems, undisturbed
from switch import Switch


def delete(file: Path) -> None:
    file.unlink()


def move(file: Path) -> None:
    file.rename(file.with_name("moved.db"))


def replace(file: Path) -> None:
    """Put another database in its place, as somebody does who restores a backup and forgets the server."""
    other = file.with_name("other.db")
    seed.blank(other)
    other.rename(file)


@needs_ovs
@pytest.mark.parametrize("lose", [delete, move, replace], ids=lambda lose: lose.__name__)
def test_file_that_is_gone_is_told_within_seconds_and_no_more_when_it_is_written_anew(
    stack: ExitStack, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    server = local(stack, tmp_path / "sw1")
    server.start()
    server.serve()
    real: Server = server.real
    real.appctl("ovsdb-server/compact")
    server.until(lambda: server.driver.facts(0.0).loaded)
    assert server.driver.astray == "", "who compacts the database has it in its place"
    lose(real.database)
    server.until(lambda: server.driver.astray)
    became = "replaced by another file" if lose is replace else "moved or deleted"
    assert server.driver.astray == f"{real.database} was {became}"
    assert [each for each in server.driver.losses if server.driver.astray in each]
    real.appctl("ovsdb-server/compact")
    server.until(lambda: not server.driver.astray)


def check(switch: Switch) -> str:
    return switch.ovsha("check", "server").stdout


def cure(switch: Switch, said: str) -> None:
    """Do what was said to be the cure."""
    switch.run(*said.partition("`")[2].partition("`")[0].split())


def told_and_cured(pair: Lab, switch: Switch, lose: Callable[[Path], None]) -> None:
    """Lose the file; hold that both sides tell it, and that the cure that they name ends it unnoticed."""
    with undisturbed(pair):
        lose(switch.database)
        await_problem(pair, switch, f"{switch.database} was", f"on {switch.node}: `ovs-appctl -t ")
        other = next(each for each in pair.switches if each is not switch)
        await_problem(pair, other, f"{switch.node}: {switch.database} was")
        assert in_sync(pair), "the pair does what it should"
        shown, checked = switch.ovsha("status"), check(switch)
        assert "DEGRADED" in shown.stdout, shown.stdout
        assert checked.startswith("WARNING server: "), checked
        assert f"{switch.database} was" in checked
        cure(switch, checked)
        lost = f"{switch.database} was"
        pair.wait_until(lambda: lost not in problems(switch) + problems(other), LIMIT, "it is told no more")
        assert check(switch).startswith("OK server: ")


def test_backup_whose_file_was_deleted_is_told_on_both_sides_and_cured_while_it_copies(lab: MakeLab) -> None:
    pair = begin(lab)
    told_and_cured(pair, pair.sw2, delete)


@pytest.mark.long
@pytest.mark.parametrize("lose", [delete, replace], ids=lambda lose: lose.__name__)
def test_active_side_whose_file_was_lost_is_cured_while_it_serves_and_starts_with_every_row(
    lab: MakeLab, lose: Callable[[Path], None]
) -> None:
    pair = begin(lab)
    told_and_cured(pair, pair.sw1, lose)
    pair.sw2.agent.stop()
    pair.sw2.server.stop()
    pair.controller.kill()
    pair.sw1.server.kill()
    pair.sw1.server.start()
    await_every_row(pair, pair.sw1)


@pytest.mark.long
def test_backup_whose_file_was_deleted_and_whose_server_is_restarted_copies_anew(lab: MakeLab) -> None:
    pair = begin(lab)
    delete(pair.sw2.database)
    await_problem(pair, pair.sw2, "moved or deleted")
    pair.sw2.server.kill()
    seed.blank(pair.sw2.database)  # as ovsha-ovsdb-server does where there is none
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)
    assert "moved or deleted" not in problems(pair.sw2)
