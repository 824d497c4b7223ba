"""The session to the peer's server against real ones: what it tells of a role, of silence and of death."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from driven import AT_ONCE, HEARTBEAT, SILENCE, STAMP, Local, Watch, local, watch
from ovsha.core.facts import Role, Source
from ovsha.core.lineage import PARKED
from real_server import LIMIT, needs_ovs

pytestmark = needs_ovs


@pytest.fixture
def server(stack: ExitStack, tmp_path: Path) -> Local:
    """Start one that serves."""
    made = local(stack, tmp_path / "sw1")
    made.start()
    made.serve()
    return made


@pytest.fixture
def peer(stack: ExitStack, server: Local) -> Watch:
    """Watch it."""
    made = watch(stack, server.address)
    made.until(lambda: made.facts.loaded and made.facts.role)
    return made


def test_role_of_the_peer_is_told_by_a_write_that_changes_nothing(server: Local, peer: Watch) -> None:
    facts = peer.facts
    assert (facts.role, facts.stamp, facts.token, facts.closed) == (Role.ACTIVE, STAMP, (3, 0), False)
    # By hand, because the driver's way also evicts this session.
    server.real.appctl("ovsdb-server/set-active-ovsdb-server", PARKED)
    server.real.appctl("ovsdb-server/connect-active-ovsdb-server")
    peer.until(lambda: peer.facts.role is Role.BACKUP)
    server.real.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    peer.until(lambda: peer.facts.role is Role.ACTIVE)
    assert (peer.facts.stamp, peer.facts.closed) == (STAMP, False)


def test_tokens_of_the_peer_are_seen_as_they_are_written(server: Local, peer: Watch) -> None:
    server.order(lambda done: server.driver.commit((3, 8), done))
    peer.until(lambda: peer.facts.token == (3, 8))


def test_killed_peer_is_closed_at_once_then_refuses_and_is_read_anew_when_it_is_back(
    server: Local, peer: Watch
) -> None:
    server.real.signal(signal.SIGKILL)
    assert peer.until(lambda: peer.facts.closed, heartbeat=LIMIT) < AT_ONCE
    assert peer.source.trouble in ("connection closed by the other end", "Connection reset by peer")
    assert peer.facts == Source(closed=True)
    server.real.wait()
    peer.until(lambda: peer.source.trouble == "Connection refused")
    assert peer.facts == Source(closed=True)
    server.start()
    peer.until(lambda: peer.facts.loaded and peer.facts.role)
    assert (peer.facts.role, peer.facts.stamp, peer.facts.closed) == (Role.BACKUP, STAMP, False)


def test_peer_that_ends_in_good_order_is_closed(server: Local, peer: Watch) -> None:
    server.real.signal(signal.SIGTERM)
    peer.until(lambda: peer.facts.closed)
    assert peer.facts.life_age is None


def test_frozen_peer_answers_nothing_while_its_host_lives(server: Local, peer: Watch) -> None:
    server.real.signal(signal.SIGSTOP)
    oldest: list[float] = []

    def long_silent() -> bool:
        facts = peer.facts
        oldest.append(facts.life_age if facts.life_age is not None else LIMIT)
        return (facts.answer_age or 0.0) > SILENCE + 4 * HEARTBEAT

    peer.until(long_silent)
    assert max(oldest) < SILENCE / 2, "every probe was acknowledged"
    facts = peer.facts
    assert (facts.closed, facts.stamp, facts.role) == (False, STAMP, Role.ACTIVE), "a silent server is not a dead one"
    server.real.signal(signal.SIGCONT)
    peer.until(lambda: peer.facts.answer_age == 0.0)


def test_peer_frozen_before_we_came_is_connected_but_tells_nothing(server: Local, stack: ExitStack) -> None:
    server.real.signal(signal.SIGSTOP)
    late = watch(stack, server.address)
    late.until(lambda: (late.facts.answer_age or 0.0) > SILENCE)
    assert (late.facts.closed, late.facts.loaded, late.facts.role) == (False, False, None)
    assert late.facts.life_age is not None
    assert late.facts.life_age < SILENCE / 2
