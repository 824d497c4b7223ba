"""A silent peer, a busy one, a dead one and one that refuses are four different facts."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsha.core import lineage as schemas
from ovsha.core.facts import Role, Source, Stamp
from ovsha.core.stamps import written
from ovsha.ovsdb.peer_server import PeerSource
from tests.support.endpoint import Endpoint, spin

ROW = "6b1c2c54-0000-4000-8000-000000000001"
STAMP = Stamp(7, "sw2")
CONFIG = ["map", [list(pair) for pair in written(STAMP, (STAMP.term, 0)).items()]]
CONTENT = {"Global": {ROW: {"new": {"other_config": CONFIG, "managers": ["set", []], "switches": ["set", []]}}}}
WRITABLE = [{"count": 0}]
READ_ONLY = [{"error": "not allowed", "details": "operation not allowed when database server is in read only mode"}]
SILENCE_LIMIT = 2.0
SCHEMA = {"name": "hardware_vtep", "version": "1.7.0", "tables": {"Global": {"columns": {}}}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.sock"


@pytest.fixture
def peer(path: Path) -> Iterator[Endpoint]:
    answers: dict[str, Callable[[list[Any]], Any]] = {
        "list_dbs": lambda params: ["hardware_vtep"],
        "get_schema": lambda params: SCHEMA, "monitor": lambda params: CONTENT, "transact": lambda params: WRITABLE
    }  # fmt: skip
    endpoint = Endpoint(path, answers)
    yield endpoint
    endpoint.close()


@pytest.fixture
def sources(path: Path) -> Iterator[Callable[..., PeerSource]]:
    made: list[PeerSource] = []

    def make(target: str = f"unix:{path}") -> PeerSource:
        made.append(PeerSource(target, "hardware_vtep", SILENCE_LIMIT))
        return made[-1]

    yield make
    for source in made:
        source.close(0.0)


def turns(source: PeerSource, probe_every: float = 0.0) -> Callable[[float], None]:
    return lambda now: source.run(now, probe_every)


def unanswered(source: PeerSource) -> bool:
    """Tell whether the peer's server owes an answer."""
    return source.facts(0.0).answer_age not in (None, 0.0)


def probes(peer: Endpoint) -> int:
    return sum(method == "transact" for method, _ in peer.asked)


@pytest.fixture
def source(sources: Callable[..., PeerSource], peer: Endpoint) -> PeerSource:
    """Give one that has read the peer's database and knows its role."""
    source = sources()
    spin(turns(source), [peer], lambda: source.facts(0.0).loaded and source.facts(0.0).role)
    return source


def test_before_the_first_attempt_nothing_is_known(sources: Callable[..., PeerSource]) -> None:
    assert sources().facts(0.0) == Source()


def test_lineage_and_role_of_the_peer_are_read(peer: Endpoint, source: PeerSource) -> None:
    now = spin(turns(source, 1e9), [peer], lambda: source.contents.loaded and not unanswered(source))
    assert source.facts(now) == Source(
        loaded=True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, stamp=STAMP, token=(7, 0), empty=True,
        schema=schemas.describe_schema(SCHEMA), role_age=source.facts(now).role_age,
    )
    assert source.trouble == ""


@pytest.mark.parametrize(("answer", "role"), [(WRITABLE, Role.ACTIVE), (READ_ONLY, Role.BACKUP), ([{}, 3], Role.ACTIVE),
                                              ([{"error": "timed out"}], None)])  # fmt: skip
def test_role_follows_what_becomes_of_the_write_probe(
    peer: Endpoint, source: PeerSource, answer: list[Any], role: Role | None
) -> None:
    peer.answers["transact"] = lambda params: READ_ONLY
    spin(turns(source), [peer], lambda: source.facts(0.0).role is Role.BACKUP)
    peer.answers["transact"] = lambda params: answer
    asked = probes(peer)
    spin(turns(source), [peer], lambda: source.facts(0.0).role is role and probes(peer) > asked)


def test_probe_writes_to_no_row(peer: Endpoint, source: PeerSource) -> None:
    operations = [params[1] for method, params in peer.asked if method == "transact"]
    assert {each["op"] for each in operations} == {"mutate"}
    assert {each["where"][0][2][1] for each in operations} == {"00000000-0000-0000-0000-000000000000"}


def test_it_probes_as_often_as_it_is_told(peer: Endpoint, source: PeerSource) -> None:
    now = spin(turns(source, 1e9), [peer], lambda: source.contents.loaded and not unanswered(source))
    before, counts = probes(peer), []
    for later in (1.1, 1.5, 2.05, 2.2):
        moment = now + later
        source.run(moment, 1.0)
        peer.run()
        counts.append(probes(peer) - before)
        spin(turns(source, 1e9), [peer], lambda: not unanswered(source))
    assert counts == [1, 1, 1, 2]


def test_closed_session_is_seen_in_the_next_turn_and_nothing_of_it_is_believed(
    peer: Endpoint, source: PeerSource
) -> None:
    peer.hang_up()
    now = spin(turns(source), [], lambda: source.facts(0.0).closed)
    assert source.facts(now) == Source(closed=True)
    assert source.trouble


def test_peer_that_refuses_is_closed(path: Path, sources: Callable[..., PeerSource]) -> None:
    Endpoint(path, {}).close()
    source = sources()
    source.run(1.0, 0.1)
    assert (source.facts(1.0), source.trouble) == (Source(closed=True), "Connection refused")


def test_peer_that_comes_back_is_read_anew(peer: Endpoint, source: PeerSource) -> None:
    peer.hang_up()
    spin(turns(source), [peer], lambda: source.facts(0.0).closed)
    peer.answers["monitor"] = lambda params: {}
    peer.answers["transact"] = lambda params: READ_ONLY
    spin(turns(source), [peer], lambda: source.facts(0.0).loaded and source.facts(0.0).role)
    assert (source.facts(0.0).stamp, source.facts(0.0).role) == (None, Role.BACKUP)


def test_host_that_acknowledges_lives_however_long_its_server_says_nothing(
    sources: Callable[..., PeerSource],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        source = sources(f"tcp:127.0.0.1:{frozen.getsockname()[1]}")
        now = spin(turns(source), [], lambda: unanswered(source))
        for later in (1.0, 5.0, 60.0):
            source.run(now + later, 0.1)
            facts = source.facts(now + later)
            assert (facts.closed, facts.loaded, facts.role) == (False, False, None)
            assert facts.life_age == 0.0
            assert facts.answer_age is not None
            assert later - 0.5 < facts.answer_age < later + 0.5


def test_host_that_acknowledges_nothing_grows_old_and_is_given_up(peer: Endpoint, source: PeerSource) -> None:
    # A socket without TCP_INFO shows no acknowledgement, as one to a dead host does not.
    peer.answers.clear()
    silent = spin(turns(source), [peer], lambda: unanswered(source))
    for later in (0.5, 1.0, 1.9):
        source.run(silent + later, 0.1)
        age = source.facts(silent + later).life_age
        assert age is not None
        assert later - 0.3 < age < later + 0.3
        assert not source.facts(silent + later).closed
    source.run(silent + SILENCE_LIMIT + 0.5, 0.1)
    assert source.facts(silent + SILENCE_LIMIT + 0.5) == Source(closed=True)
    assert source.trouble == "silent for 2 s"


def test_silent_server_is_not_asked_for_ever(sources: Callable[..., PeerSource]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = sources(f"tcp:127.0.0.1:{server.getsockname()[1]}")
        spin(turns(source), [], lambda: source.facts(0.0).answer_age is not None)
        frozen = server.accept()[0]
    with frozen:
        for second in range(1, 100):
            source.run(1e6 + second, 0.1)
        frozen.setblocking(False)
        assert frozen.recv(65536).count(b'"transact"') <= 3


def test_a_host_is_asked_on_as_long_as_its_silent_server_may_only_be_busy(peer: Endpoint, path: Path) -> None:
    """What has nothing to acknowledge tells nothing, and a host that dies meanwhile would look alive."""
    del peer.answers["transact"]
    source = PeerSource(f"unix:{path}", "hardware_vtep", SILENCE_LIMIT, 10.0)
    spin(turns(source, 1e9), [peer], lambda: source.contents.loaded)
    asked = probes(peer)
    for tenth in range(1, 12):
        source._acknowledged_at = now = 1e6 + tenth
        source.run(now, 0.1)
        peer.run()
    assert probes(peer) - asked > SILENCE_LIMIT / 0.5
    source.close(0.0)


def test_silence_ends_with_any_answer(peer: Endpoint, source: PeerSource) -> None:
    answers = dict(peer.answers)
    peer.answers.clear()
    silent = spin(turns(source), [peer], lambda: unanswered(source))
    source.run(silent + 1.5, 0.1)
    peer.answers.update(answers)
    peer.notify("update", ["ovsha", CONTENT])
    source.run(silent + 1.9, 0.1)
    assert source.facts(silent + 1.9).life_age == 0.0
