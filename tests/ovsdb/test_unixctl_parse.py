"""What ovsdb-server prints of its role is read in every form that its releases have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.core.facts import Role
from ovsha.ovsdb.unixctl import SyncStatus, sync_status, version

OLD_BACKUP = "state: backup\nreplicating: tcp:169.254.0.9:9999\ndatabase: hardware_vtep\n"
NEW_BACKUP = "database: _Server\nstate: active\n\ndatabase: hardware_vtep\nstate: backup\nreplicating: tcp:a:1\n"


def test_active_side_prints_one_line() -> None:
    assert sync_status("state: active\n", "hardware_vtep") == SyncStatus(Role.ACTIVE)


def test_backup_that_replicates_is_seen_to_replicate() -> None:
    status = sync_status(OLD_BACKUP, "hardware_vtep")
    assert status == SyncStatus(Role.BACKUP, True, "replicating: tcp:169.254.0.9:9999")


@pytest.mark.parametrize(
    "line", ["connecting: tcp:192.0.2.254:9999", "not connected to tcp:a:1", "Replication to (tcp:a:1) failed"]
)
def test_backup_that_does_not_replicate_keeps_the_line_that_says_so(line: str) -> None:
    status = sync_status(f"state: backup\n{line}\n", "hardware_vtep")
    assert status == SyncStatus(Role.BACKUP, False, line)


def test_excluded_tables_are_not_taken_for_the_state_of_the_copy() -> None:
    text = OLD_BACKUP + "exclude: hardware_vtep:Manager\n"
    status = sync_status(text, "hardware_vtep")
    assert (status.line, status.excluded) == ("replicating: tcp:169.254.0.9:9999", "hardware_vtep:Manager")
    assert sync_status(OLD_BACKUP, "hardware_vtep").excluded == ""


def test_newer_release_prints_a_block_for_each_database_and_ours_is_read() -> None:
    assert sync_status(NEW_BACKUP, "hardware_vtep") == SyncStatus(Role.BACKUP, True, "replicating: tcp:a:1")


def test_database_that_is_not_there_gives_no_role() -> None:
    assert sync_status(NEW_BACKUP, "other").role is None


@given(st.text())
def test_any_text_gives_a_status_and_never_raises(text: str) -> None:
    assert sync_status(text, "hardware_vtep").role in (None, *Role)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("ovsdb-server (Open vSwitch) 3.1.0\n", (3, 1)),
        ("ovsdb-server (Open vSwitch) 2.8.90\n", (2, 8)),
        ("something else", (0, 0)),
    ],
)
def test_version_is_found_in_what_the_server_prints(text: str, numbers: tuple[int, int]) -> None:
    assert version(text) == numbers
