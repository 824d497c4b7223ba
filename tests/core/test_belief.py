"""What is believed of our database and of the peer's, whatever a client writes into their rows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.core import belief, turn
from ovsha.core.facts import Mode, Proof, Role, Server, Stamp, Token, Written
from ovsha.core.lineage import PARKED
from ovsha.core.stamps import BELIEVED_END, LEAP
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, View
from tests.support.views import NODE, PEER, a_peer, active_case, backup_case

P1, P2 = "boot:100:7", "boot:101:8"
ACTIVE = active_case({"server": replace(active_case().view.server, process=P1)})
COPY = backup_case({"server": replace(backup_case().view.server, process=P1)})


def settled(view: View, memory: Memory) -> Memory:
    """Return the memory of a side that has seen the view for two turns."""
    for _ in range(2):
        memory = turn.turn(view, memory).memory
    return memory


def with_rows(view: View, stamp: Stamp | None, token: Token | None, **changed: object) -> View:
    return replace(view, server=replace(view.server, stamp=stamp, token=token, **changed))  # type: ignore[arg-type]


def told(decision: Decision) -> tuple[str, Stamp | None, Token | None, Step | None]:
    record = decision.record
    return decision.rule.name, record.stamp, record.token, decision.step


OVERWRITTEN = {
    "cleared": (None, None),
    "token removed": (Stamp(3, NODE), None),
    "token set back": (Stamp(3, NODE), (3, 4)),
    "token of another term": (Stamp(3, NODE), (2, 99)),
    "token beyond belief": (Stamp(3, NODE), (3, 10 + LEAP + 1)),
    "term lowered": (Stamp(1, NODE), (1, 5)),
    "term beyond belief": (Stamp(3 + LEAP + 1, NODE), (3 + LEAP + 1, 0)),
    "the peer's name": (Stamp(3, PEER), (3, 10)),
    "a stranger's name": (Stamp(3, "spine1"), (3, 10)),
    "chosen": (Stamp(3, NODE, True), (3, 10)),
}


@pytest.mark.parametrize("rows", OVERWRITTEN.values(), ids=OVERWRITTEN)
def test_the_serving_side_goes_on_in_its_term_and_writes_its_stamp_again(
    rows: tuple[Stamp | None, Token | None]
) -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    decision = turn.turn(with_rows(ACTIVE.view, *rows), memory)
    assert told(decision) == ("we-serve", Stamp(3, NODE), (3, 10), Step.HEAL)
    assert decision.above == (3, 11)
    assert decision.record.overwritten
    assert decision.memory.term == 3


@pytest.mark.parametrize("rows", OVERWRITTEN.values(), ids=OVERWRITTEN)
def test_the_backup_that_received_it_takes_over_when_the_server_dies_before_the_heal(
    rows: tuple[Stamp | None, Token | None]
) -> None:
    stamp, token = rows
    names = {NODE: PEER, PEER: NODE}
    theirs = None if stamp is None else replace(stamp, node=names.get(stamp.node, stamp.node))
    memory = settled(COPY.view, COPY.memory)
    received = with_rows(COPY.view, theirs, token)
    memory = turn.turn(received, memory).memory
    gone = replace(
        received, record=replace(a_peer(), serving=False), heard_age=9.0, link_silent_for=9.0,
        source=replace(received.source, loaded=False, closed=True, life_age=None, answer_age=None, role=None),
    )  # fmt: skip
    decision = turn.turn(gone, memory)
    assert told(decision)[:3] == ("peer-dead", Stamp(3, PEER), (3, 10))
    assert decision.opening.term == 4, "and opens a term of its own"


def test_a_term_is_believed_up_to_a_million_above_the_highest_that_is_known() -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    raised = Stamp(3 + LEAP, NODE)
    decision = turn.turn(with_rows(ACTIVE.view, raised, (raised.term, 7)), memory)
    assert told(decision) == ("we-serve", raised, (raised.term, 7), None)
    fresh = replace(Memory("x"), met=True, lapsed=False)
    assert turn.turn(with_rows(ACTIVE.view, Stamp(LEAP + 4, NODE), None), fresh).record.stamp is None
    assert turn.turn(with_rows(ACTIVE.view, Stamp(LEAP, NODE), None), fresh).record.stamp == Stamp(LEAP, NODE)
    high = replace(memory, term=BELIEVED_END - 5, proof=None)
    over = with_rows(ACTIVE.view, Stamp(BELIEVED_END + 1, NODE), None)
    assert turn.turn(over, high).record.stamp is None


def test_a_raised_token_is_gone_on_from() -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    decision = turn.turn(with_rows(ACTIVE.view, Stamp(3, NODE), (3, 5000)), memory)
    assert told(decision) == ("we-serve", Stamp(3, NODE), (3, 5000), None)
    assert decision.memory.held == (3, 5000)


def test_another_process_that_holds_less_is_rolled_back() -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    for rows in ((None, None), (Stamp(3, NODE), (3, 4))):
        decision = turn.turn(with_rows(ACTIVE.view, *rows, process=P2), memory)
        assert decision.rule.name == "rolled-back"
        assert decision.memory.proof is None


def test_a_server_that_was_not_watched_is_believed_by_its_rows() -> None:
    decision = turn.turn(with_rows(ACTIVE.view, None, None, process=""), ACTIVE.memory)
    assert decision.record.stamp is None


def test_what_a_server_held_is_no_proof_any_more_once_it_copies_from_another() -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    assert memory.proof == Proof(P1, Stamp(3, NODE), (3, 10), written=Written(Stamp(3, NODE), (3, 10)))
    filled = with_rows(COPY.view, None, None)
    decision = turn.turn(filled, memory)
    assert decision.memory.proof is None
    assert decision.record.stamp is None, "what is being filled is no copy"


def test_a_copy_that_may_be_of_another_source_proves_nothing() -> None:
    memory = settled(COPY.view, COPY.memory)
    closed = replace(COPY.view, source=replace(COPY.view.source, closed=True))
    memory = turn.turn(closed, memory).memory
    last_word = with_rows(replace(closed, now=closed.now + 0.2), None, None)
    assert turn.turn(last_word, memory).record.stamp == Stamp(3, PEER), "it was under way when the session ended"
    anew = with_rows(replace(closed, now=closed.now + 1.2), None, None)
    assert turn.turn(anew, memory).record.stamp is None
    parked = replace(anew, server=replace(COPY.view.server, source=PARKED))
    assert turn.turn(parked, memory).record.stamp == Stamp(3, PEER), "a parked one is what it was"


def test_heals_are_a_second_apart_and_at_last_a_minute() -> None:
    view, memory = ACTIVE.view, settled(ACTIVE.view, ACTIVE.memory)
    cleared, moments = with_rows(view, None, None), []
    for tick in range(4000):
        now = view.now + tick / 10
        decision = turn.turn(replace(cleared, now=now), memory)
        memory = decision.memory
        if decision.step is Step.HEAL:
            moments.append(round(now - view.now, 1))
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(moments)]
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    memory = turn.turn(replace(view, now=view.now + 1000), memory).memory
    assert memory.heals == 0


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.ADVISE])
def test_a_side_that_carries_out_nothing_heals_nothing_and_says_what_it_would_do(mode: Mode) -> None:
    memory = settled(ACTIVE.view, ACTIVE.memory)
    decision = turn.turn(replace(with_rows(ACTIVE.view, None, None), mode=mode), memory)
    assert (decision.rule.name, decision.step, decision.would) == ("we-serve", None, (Step.HEAL,))
    assert decision.memory.heals == 0


def test_a_peers_database_is_what_its_agent_says_while_it_says_that_a_client_wrote_there() -> None:
    for overwritten in (False, True):
        record = a_peer(overwritten=overwritten)
        source = replace(COPY.view.source, stamp=None, token=None)
        parked = replace(COPY.view.server, source=PARKED, saved=True)
        decision = turn.turn(replace(COPY.view, record=record, source=source, server=parked), COPY.memory)
        assert decision.rule.name == ("peer-serves" if overwritten else "source-refused")


def test_the_peers_token_is_not_believed_beyond_what_is_known() -> None:
    source = replace(COPY.view.source, token=(3, BELIEVED_END))
    memory = turn.turn(replace(COPY.view, source=source), COPY.memory).memory
    assert memory.peer_token == (3, 10)


def test_what_was_overwritten_is_named_with_its_age() -> None:
    def words(stamp: Stamp | None, token: Token | None) -> str:
        view = belief.believed(
            with_rows(ACTIVE.view, stamp, token), replace(ACTIVE.memory, proof=Proof(P1, Stamp(3, NODE), (3, 460)))
        )
        return belief.overwriting(view.server, 2.0)

    assert words(None, None) == "the stamp of term 3 and its token are gone"
    assert words(Stamp(3, NODE), (3, 10)) == "the token is 3.10, about 15 min older than 3.460"
    older = "the stamp is of term 2 by sw2, the token is 2.10, of an older term than 3.460"
    assert words(Stamp(2, PEER), (2, 10)) == older
    assert words(Stamp(3, NODE), None) == "the token is gone or unreadable"
    assert belief.overwriting(Server(), 2.0) == ""


rows = st.tuples(
    st.none() | st.builds(Stamp, st.integers(0, 2**62), st.sampled_from([NODE, PEER, "spine1"]), st.booleans()),
    st.none() | st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)),
)


@given(st.lists(st.tuples(rows, st.sampled_from([0.0, 0.1, 1.0])), max_size=6), st.booleans())
def test_whatever_clients_write_one_after_the_other_nobody_is_parked(
    writes: list[tuple[tuple[Stamp | None, Token | None], float]], active: bool
) -> None:
    case = ACTIVE if active else COPY
    view, memory = case.view, settled(case.view, case.memory)
    rule = turn.turn(view, memory).rule
    for written, pause in writes:
        view = replace(with_rows(view, *written), now=view.now + pause)
        decision = turn.turn(view, memory)
        memory = decision.memory
        assert decision.rule is rule
        stamp = decision.record.stamp
        assert stamp is not None
        assert stamp.term <= 3 + LEAP * len(writes)
        again = belief.believed(decision.view, memory)
        assert again == decision.view, "what is believed is believed of itself"
    assert view.server.role in (Role.ACTIVE, Role.BACKUP)
