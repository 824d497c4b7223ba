"""A database file is cut, damaged, replaced by a blank or by an old one: the healthy side serves, the damaged one is
kept and rebuilt from it; where there is no healthy side nobody serves until an operator has decided.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import history
import seed
from lab import Lab
from story import (
    LAST_MOMENT,
    LIMIT,
    SERVICE,
    MakeLab,
    acks,
    await_copy,
    await_every_row,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    begin,
    is_read_only,
    log,
    open_here,
    other,
    problems,
    snapshots,
    status,
    undisturbed,
)
from switch import Switch

MANUAL = {"restore": {"mode": "manual"}}


def cut(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def flip_a_byte(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 0x01
    database.write_bytes(content)


def head_cut_off(database: Path) -> None:
    database.write_bytes(database.read_bytes()[100:])


def make_blank(database: Path) -> None:
    database.unlink()
    seed.blank(database)


def take_back(database: Path) -> None:
    shutil.copyfile(yesterday(database), database)


def yesterday(database: Path) -> Path:
    return database.with_name("yesterday.db")


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "cut": cut,
    "a byte is another": flip_a_byte,
    "blank": make_blank,
    "yesterday's": take_back,
}


def begin_with_a_past(lab: MakeLab, **overrides: Mapping[str, Any]) -> Lab:
    """Return a pair that has copies of both databases as they were some hundred rows ago."""
    pair = begin(lab, rate=200, overrides={**MANUAL, **overrides})
    for switch in pair.switches:
        shutil.copyfile(switch.database, yesterday(switch.database))
    await_rows(pair, 300)
    return pair


def await_tokens(pair: Lab, switch: Switch) -> None:
    """Wait until several tokens more are committed on the active side, and so both databases have moved on."""

    def number() -> int:
        return int(switch.global_config()["ovsha:token"].partition(".")[2])

    before = number()
    pair.wait_until(lambda: number() >= before + 6, LIMIT, "tokens are committed")
    await_every_row_since(pair, other(pair, switch))


def damage(switch: Switch, how: str) -> bytes:
    """Kill the server, damage its file, and return what is in it now."""
    switch.server.kill()
    DAMAGES[how](switch.database)
    return switch.database.read_bytes()


def assert_kept(switch: Switch, content: bytes) -> None:
    directory = switch.directory / "state" / "snapshots"
    assert any((directory / name).read_bytes() == content for name in snapshots(switch)), "the damaged file is kept"


def test_damaged_side_is_kept_and_rebuilt_from_the_healthy_one(lab: MakeLab) -> None:
    pair = begin_with_a_past(lab)
    active, backup = pair.sw1, pair.sw2
    for how in DAMAGES:
        with undisturbed(pair, rows=30):
            content = damage(backup, how)
            backup.server.start(wait=False)
            await_copy(pair, backup)
        assert_kept(backup, content)
        await_every_row(pair, backup)
    # A file without its head is refused by ovsdb-server itself.
    with undisturbed(pair, rows=30):
        backup.server.kill()
        head_cut_off(backup.database)
        backup.server.start(wait=False)
        pair.wait_until(lambda: not backup.server.running, LIMIT, "ovsdb-server gives up")
        await_problem(pair, backup, "ovsdb-server on sw2 is not running", "blank if its file is damaged")
        make_blank(backup.database)
        backup.server.start(wait=False)
        await_copy(pair, backup)
    for how in DAMAGES:
        content = damage(active, how)
        await_service(pair, backup)
        active.server.start(wait=False)
        await_pair(pair, backup)
        assert_kept(active, content)
        await_rows(pair, 30)
        active, backup = backup, active
        assert pair.seeded <= active.rows()
        await_every_row_but_the_last(pair, backup)


def await_every_row_but_the_last(pair: Lab, switch: Switch) -> None:
    """Wait until what has been acknowledged is there, but for what had not left the side that died when it died."""
    acknowledged = acks(pair)
    most = 4 * LAST_MOMENT
    pair.wait_until(lambda: len(history.missing(acknowledged, switch.rows())) <= most, LIMIT, "the rows are there")


def test_nobody_serves_damaged_data_until_an_operator_decides(lab: MakeLab) -> None:
    pair = begin_with_a_past(lab)

    await_snapshots_of_data(pair)

    # Both are damaged: nobody serves, and both say what there is to choose from.
    contents = [damage(switch, how) for switch, how in zip(pair.switches, ("cut", "a byte is another"), strict=True)]
    pair.wait_until(lambda: not any(open_here(switch) for switch in pair.switches), LIMIT, "nobody serves")
    for switch in pair.switches:
        switch.server.start(wait=False)
    for switch in pair.switches:
        await_problem(pair, switch, f"{switch.node} needs a decision", "ovsha resolve --keep")
    assert not any(open_here(switch) for switch in pair.switches)
    assert [switch.database.read_bytes() for switch in pair.switches] == contents, "and nothing was done to them"
    assert str(pair.sw2.directory / "state" / "snapshots") in problems(pair.sw2)

    # The operator keeps one, and the other one becomes its copy.
    resolved = pair.sw1.ovsha("resolve", "--yes", "--keep", "self", "--reason", "it has more rows")
    assert resolved.returncode == 0, resolved.stderr
    await_pair(pair, pair.sw1)
    assert_kept(pair.sw2, contents[1])
    await_rows(pair, 30)
    await_every_row_since(pair, pair.sw2)

    # The peer is away: alone, the damaged one does not serve either, until it is decided.
    pair.sw1.power_off("cut")
    content = damage(pair.sw2, "yesterday's")
    pair.sw2.server.start(wait=False)
    await_problem(pair, pair.sw2, "sw2 needs a decision", "snapshots", "ovsha resolve --keep")
    assert not open_here(pair.sw2)
    assert pair.sw2.database.read_bytes() == content
    # It comes back with the newer data, which serves.
    pair.sw1.power_on()
    await_pair(pair, pair.sw1)
    assert_kept(pair.sw2, content)


def await_snapshots_of_data(pair: Lab) -> None:
    """Have the backup copy anew, for which it keeps what it has, and let some time pass after that."""
    pair.sw2.server.kill()
    pair.sw2.server.start()
    await_copy(pair, pair.sw2)
    await_tokens(pair, pair.sw1)


def await_every_row_since(pair: Lab, switch: Switch) -> None:
    """Wait until what was acknowledged since the service last moved is there."""
    session = acks(pair)[-1].session
    recent = [ack for ack in acks(pair) if ack.session == session]
    pair.wait_until(lambda: not history.missing(recent, switch.rows()), LIMIT, "what was written since is there")


def test_blank_database_on_an_unwatched_active_side_leaves_the_backup_untouched_and_alarms(lab: MakeLab) -> None:
    # A switch whose agent and server are both gone for longer than this is dead, and its peer takes over.
    pair = begin_with_a_past(lab, heartbeat={"dead_interval": 2.0})
    rows = pair.sw2.rows()
    pair.sw1.agent.kill()
    pair.sw1.server.kill()
    make_blank(pair.sw1.database)
    pair.sw1.server_plain = True
    said = len(log(pair.sw2))
    pair.sw1.server.start()
    assert pair.sw1.role() == "active"
    await_word(pair, pair.sw2, "needs-decision", since=said)
    await_problem(pair, pair.sw2, "sw2 needs a decision", "must not be copied")
    assert rows <= pair.sw2.rows()
    assert is_read_only(pair.sw2)
    # An agent that finds it makes nothing new of it, and the good data serves.
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    assert rows <= pair.sw2.rows()
    await_every_row_but_the_last(pair, pair.sw2)

    # The same with an old copy, which has the lineage of the new one but ends earlier.
    shutil.copyfile(pair.sw2.database, yesterday(pair.sw2.database))
    await_tokens(pair, pair.sw2)
    rows = pair.sw1.rows()
    pair.sw2.agent.kill()
    pair.sw2.server.kill()
    take_back(pair.sw2.database)
    pair.sw2.server_plain = True
    said = len(log(pair.sw1))
    pair.sw2.server.start()
    await_word(pair, pair.sw1, "needs-decision", since=said)
    assert rows <= pair.sw1.rows()
    assert is_read_only(pair.sw1)
    pair.sw2.agent.start()
    for switch in (pair.sw2, pair.sw1):  # the new agent first: what the old one last said is still believed
        heard = f"{switch.node} hears the other agent"
        pair.wait_until(lambda switch=switch: status(switch)["presence"] == "alive", LIMIT, heard)  # type: ignore[misc]
    assert rows <= pair.sw1.rows()
    resolved = pair.sw1.ovsha("resolve", "--yes", "--keep", "self", "--reason", "the other one was taken back")
    assert resolved.returncode == 0, resolved.stderr
    await_pair(pair, pair.sw1)
    assert rows <= pair.sw1.rows()

    # Gone for longer: the peer has taken over, and a blank one that comes back with the VIP still there gives way.
    pair.sw1.agent.kill()
    pair.sw1.server.kill()
    pair.wait_until(lambda: open_here(pair.sw2) == SERVICE, LIMIT, "sw2 takes over")
    rows = pair.sw2.rows()
    make_blank(pair.sw1.database)
    pair.sw1.server_plain = True
    pair.sw1.server.start()
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    assert rows <= pair.sw2.rows()
    assert rows <= pair.sw1.rows()
