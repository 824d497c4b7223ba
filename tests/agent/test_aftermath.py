"""What only one side had is noted before it is overwritten, and what the other one took over is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha import config
from ovsha.agent.divergence import DivergenceTasks
from ovsha.config import Config
from ovsha.core import turn
from ovsha.core.facts import Ask, Grant, Kind, Stamp
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.divergence import baseline, ledger, pending
from ovsha.divergence.compare import Entry
from ovsha.divergence.compare import Kind as Change
from ovsha.divergence.pending import Task
from tests.support.ledger_files import mac, stamp, write
from tests.support.made_up_pair import ACTIVE_PEER, FOLLOWING, MEMORY, SERVING

OWN, THEIRS = Stamp(6, "sw2"), Stamp(7, "sw1")
OVERTAKEN = replace(FOLLOWING, server=replace(FOLLOWING.server, stamp=OWN))
LIMIT = 30.0


class Side:
    """The aftermath on sw2, whose last snapshot is a file of ours, on a clock that we move."""

    def __init__(self, directory: Path) -> None:
        self.config = settings(directory)
        self.state = directory / "state"
        self.state.mkdir(exist_ok=True)
        self.snapshot = directory / "20261121T070000Z-term6.db"
        self.snapshot.write_text("what sw2 held")
        self.now = 1000.0
        self.aftermath = DivergenceTasks(self.config, lambda: self.snapshot)

    def see(self, view: View, decision: Decision) -> None:
        self.aftermath.run(self.now, view, decision)

    def connects(self, view: View = OVERTAKEN) -> list[Task]:
        """Be about to follow the peer; return the errands that there are."""
        self.see(view, replace(turn.turn(view, MEMORY), step=Step.CONNECT))
        return [pending.load(path) for path in pending.pending(self.state / "ledgers")]

    def drains(self, kind: Kind) -> None:
        """Give the service to the peer."""
        decision = turn.turn(OVERTAKEN, MEMORY)
        grant = Grant("one", kind, (6, 9), drained=True)
        self.see(OVERTAKEN, replace(decision, memory=replace(decision.memory, grant=grant), step=None))

    def until(self, condition: str) -> None:
        """Let children do their work until there is such a file, or such a trouble."""
        deadline = time.monotonic() + LIMIT
        while not (self.state / condition).exists() and condition not in self.aftermath.troubles:
            assert time.monotonic() < deadline
            self.now += 0.1
            self.see(SERVING, serving(SERVING))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    monkeypatch.chdir(Path(__file__).parents[2])  # for the children to find the package
    one = Side(tmp_path)
    yield one
    one.aftermath.close()


def settings(directory: Path) -> Config:
    return config.parse(
        f"""
node: sw2
pair: {{id: rack7, preferred: sw1}}
nodes: {{sw1: {{peer_link: 169.254.0.9}}, sw2: {{peer_link: 169.254.0.10}}}}
vip: {{address: 169.254.0.11}}
server: {{file: {directory}/conf.db}}
state_directory: {directory}/state
run_directory: {directory}
""",
        "made up",
    )


def serving(view: View) -> Decision:
    decision = turn.turn(view, MEMORY)
    assert decision.state.value == "active"
    return replace(decision, step=None)


def test_data_of_our_own_term_is_noted_before_a_newer_term_is_copied_over_it(here: Side) -> None:
    (task,) = here.connects()
    assert (task.lost, task.survivor) == ((6, "sw2"), (7, "sw1"))
    assert (task.snapshot, task.address, task.port) == (here.snapshot.name, "169.254.0.9", 5345)
    here.snapshot.unlink()
    assert Path(task.data).read_text() == "what sw2 held", "whatever becomes of the snapshot"


@pytest.mark.parametrize(
    "stamp", [None, Stamp(6, "sw1"), Stamp(7, "sw1"), Stamp(7, "sw2"), Stamp(8, "sw2")], ids=lambda stamp: str(stamp)
)
def test_a_copy_or_an_unknown_lineage_is_nothing_to_compare(here: Side, stamp: Stamp | None) -> None:
    assert here.connects(replace(OVERTAKEN, server=replace(OVERTAKEN.server, stamp=stamp))) == []


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.RESTORE, Kind.LINK_CUT])
def test_a_service_that_was_given_away_is_compared_too_for_the_peer_may_not_have_waited(here: Side, kind: Kind) -> None:
    here.drains(kind)
    assert len(here.connects()) == 1


def test_the_same_data_is_noted_once_even_by_the_next_agent(here: Side, tmp_path: Path) -> None:
    here.connects()
    assert len(here.connects()) == 1
    again = Side(tmp_path)
    again.snapshot = here.snapshot.with_name("20261121T070003Z-term6.db")
    again.snapshot.write_text("what sw2 held")
    assert len(again.connects()) == 1
    again.snapshot = here.snapshot.with_name("20261121T070009Z-term6.db")
    again.snapshot.write_text("what sw2 held later")
    assert len(again.connects()) == 2
    again.aftermath.close()


def test_what_this_side_held_when_it_took_over_is_kept_before_anything_is_compared_with_it(here: Side) -> None:
    here.see(SERVING, serving(SERVING))
    (task,) = here.connects()
    assert task.tries == 0, "it is not begun"
    here.until("base")  # there is no file to take it from, which is told
    here.now += 3
    here.see(SERVING, serving(SERVING))
    assert pending.load(task.path).tries == 1


def test_a_disk_that_takes_no_errand_is_a_trouble_and_stops_nothing(here: Side) -> None:
    (here.state / "ledgers").write_text("a file where the directory should be")
    assert here.connects() == []
    assert "is not compared" in here.aftermath.troubles["ledger"]


def test_an_errand_left_by_a_dead_agent_is_begun_after_a_while(here: Side, tmp_path: Path) -> None:
    here.connects()
    here.aftermath.close()
    (found,) = pending.pending(here.state / "ledgers")
    pending.save(replace(pending.load(found), tries=0))
    again = Side(tmp_path)
    again.see(FOLLOWING, turn.turn(FOLLOWING, MEMORY))
    assert pending.load(found).tries == 0
    again.now += 6.0
    again.see(FOLLOWING, turn.turn(FOLLOWING, MEMORY))
    assert pending.load(found).tries == 1
    again.aftermath.close()


def test_a_planned_move_to_us_is_noted_as_such(here: Side) -> None:
    ask = Ask("one", Kind.RESTORE)
    grant = Grant("one", Kind.RESTORE, drained=True)
    view = replace(FOLLOWING, record=replace(ACTIVE_PEER, serving=False, grant=grant))
    decision = turn.turn(view, replace(MEMORY, ask=ask, ask_deadline=view.now + 5, asks=1))
    assert decision.rule.name == "granted"
    here.see(view, decision)
    stamped = replace(SERVING, server=replace(SERVING.server, stamp=Stamp(decision.opening.term, "sw2")))
    here.see(stamped, serving(SERVING))
    here.until(f"bases/term{decision.opening.term}.json")
    (base,) = baseline.load(here.state / "bases")
    assert (base.planned, base.origin, base.file) == (True, (7, "sw1"), None)


def test_a_base_that_cannot_be_kept_is_a_trouble(here: Side) -> None:
    here.see(SERVING, serving(SERVING))
    here.until("base")
    assert "conf.db" in here.aftermath.troubles["base"]


def test_a_ledger_is_shown_until_it_is_settled(here: Side) -> None:
    ledgers = here.state / "ledgers"
    ledgers.mkdir()
    head = ledger.Head("one", "sw2", 6, "sw1", 7, "2026-11-21T07:00:00Z", "one.db", 9, "hardware_vtep")
    head = ledger.add(ledgers, head, [Entry("Global", "u", Change.INSERTED, {}, None)])
    here.see(SERVING, serving(SERVING))
    assert [(each.ledger, each.rows) for each in here.aftermath.divergences] == [("one", 1)]
    ledger.update(ledgers, replace(head, dismissed={"reason": "none"}))
    here.now += 10.0
    here.see(SERVING, serving(SERVING))
    assert here.aftermath.divergences == ()


def test_a_base_that_could_not_be_kept_is_tried_again_and_holds_no_comparison_up(here: Side) -> None:
    here.see(SERVING, serving(SERVING))
    here.until("base")
    write(here.config.server.file, {**mac(1), **stamp(term="7", node="sw2")})
    deadline = time.monotonic() + LIMIT
    while "base" in here.aftermath.troubles:
        assert time.monotonic() < deadline
        here.now += 0.1
        here.see(SERVING, serving(SERVING))
    assert (here.state / "bases" / "term7.json").exists()


def test_of_a_ledger_that_was_replayed_in_part_the_rest_is_shown(here: Side) -> None:
    ledgers = here.state / "ledgers"
    ledgers.mkdir()
    head = ledger.Head("one", "sw2", 6, "sw1", 7, "2026-11-21T07:00:00Z", "one.db", 9, "hardware_vtep", base="term7.db")
    rows = [Entry("Global", str(number), Change.INSERTED, {}, None) for number in range(3)]
    head = ledger.add(ledgers, head, rows)
    ledger.update(ledgers, replace(head, replayed={"when": "now", "rows": 2, "left": 1}))
    here.see(SERVING, serving(SERVING))
    assert [(each.rows, each.exact) for each in here.aftermath.divergences] == [(1, True)]
