"""A decision is explained by its facts, the rules that were asked, and what would have changed it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from ovsha import times
from ovsha.cli import main
from ovsha.config.switch import Recorder as Limits
from ovsha.core import election
from ovsha.core import turn as turns
from ovsha.core.facts import Ask, Grant, Kernel, Kind, Life, MlagRole, Presence, Role
from ovsha.core.view import Memory, View
from ovsha.history.recorder import Recorder
from ovsha.report import explain, trace, what_if
from ovsha.report.trace import Entry, Trace
from tests.report.test_history import CONFIG, moved
from tests.support.views import NOW, active_case, an_idle_peer, backup_case, memories, views

TIMERS = what_if.Timers(0.15, 0.45, 10.0, 3.0, 60.0, 2.0, 1.0, 5.0, 3.0)


def entry(view: View, memory: Memory) -> Entry:
    return Trace().note(1.6e9, view, memory, turns.turn(view, memory))


def explained(view: View, memory: Memory) -> dict[str, Any]:
    told = explain.explain(entry(view, memory))
    return {**told, "notes": [], "timers": what_if.document(TIMERS, 0.03, None, 0.001)}


STEADY = backup_case()


@given(views, memories)
def test_every_decision_can_be_explained_and_the_rule_that_fired_is_the_last_one_told(
    view: View, memory: Memory
) -> None:
    told, decision = explained(view, memory), turns.turn(view, memory)
    *others, fired = told["rules"]
    assert (fired["rule"], fired["holds"], fired["why"]) == (decision.rule.name, True, decision.why)
    assert not any(rule["holds"] for rule in others)
    assert [rule["rule"] for rule in told["rules"]] == [rule.name for rule in election.RULES][: len(told["rules"])]
    assert json.loads(json.dumps(told)) == told
    assert explain.text(told, times.local_moment)


@given(views, memories)
def test_whatever_is_said_to_change_a_decision_does(view: View, memory: Memory) -> None:
    flips = {flip.fact: flip for flip in what_if.FLIPS}
    actual = turns.turn(view, memory)
    for other in what_if.others(view, memory):
        decision = turns.turn(*flips[other.fact].change(view, memory))
        assert (decision.rule.goal.value, decision.why) == (other.goal, other.why)
        assert decision.rule.goal is not actual.rule.goal or (decision.memory.ask and not actual.memory.ask)


def changes(view: View, memory: Memory) -> dict[str, str]:
    return {other.fact: other.rule for other in what_if.others(view, memory)}


def test_a_backup_would_take_over_from_a_peer_that_is_dead_and_not_from_one_whose_agent_is() -> None:
    found = changes(STEADY.view, STEADY.memory)
    assert found["the peer were silent on every path"] == "peer-dead"
    assert found["the peer's ovsdb-server were down"] == "peer-cannot"
    assert found["the peer's agent were silent, but its ovsdb-server answered"] == "peer-silent"
    assert found["our session to the peer's ovsdb-server were closed"] == "source-lost"
    assert "the VIP were lost here" not in found
    assert "clagd said that the peer is gone on both its paths" not in found, "clagd's word alone moves nothing"


def test_an_active_side_goes_on_whatever_becomes_of_its_peer() -> None:
    case = active_case()
    found = changes(case.view, case.memory)
    assert found["our ovsdb-server died"] == "server-down"
    assert not [fact for fact in found if fact.startswith("the peer")]


@pytest.mark.parametrize("flip", what_if.FLIPS, ids=lambda flip: flip.fact)
def test_each_flip_makes_its_sentence_true(flip: what_if.Flip) -> None:
    """A flip that never applied, or changed nothing, would tell of nothing without a word."""
    asking = replace(an_idle_peer(), ask=Ask("sw2-y-0", Kind.RESTORE))
    cases = [
        STEADY,
        active_case(),
        active_case({"record": asking}, {"grant": Grant("sw2-y-0", Kind.RESTORE)}),
        backup_case({"clag": replace(STEADY.view.clag, role=MlagRole.SECONDARY)}),
        backup_case({"record": None, "heard_age": None}),
        backup_case({"source": replace(STEADY.view.source, closed=True)}),
        backup_case({"server": replace(STEADY.view.server, life=Life.DOWN, loaded=False)}),
        backup_case({"record": an_idle_peer(life=Life.DOWN)}),
        backup_case({"heard_age": 5.0, "source": replace(STEADY.view.source, life_age=0.0, answer_age=0.0)}),
    ]
    used = [case for case in cases if flip.applies(case.view, case.memory)]
    assert used
    assert any(flip.change(case.view, case.memory) != (case.view, case.memory) for case in used)


def test_the_facts_are_told_in_words() -> None:
    facts = {each["fact"]: each["value"] for each in explained(STEADY.view, STEADY.memory)["facts"]}
    assert facts["our ovsdb-server"] == "up, backup of tcp:169.254.0.10:9999"
    assert facts["our database"] == "term 3 of sw2, last token 3.10"
    assert facts["open here"] == "nothing"
    assert facts["it serves"] == "yes"
    assert facts["our copy"] == "in sync for 1 min, last lag 0.001 s"


def test_what_another_release_decided_is_told_beside_what_this_one_does() -> None:
    then = replace(entry(STEADY.view, STEADY.memory), why="it was so")
    told = {**explained(STEADY.view, STEADY.memory), **explain.explain(then)}
    assert told["same"] is False
    assert "note: then it was decided otherwise, by rule peer-serves: it was so; this release would not" in (
        explain.text(told, times.local_moment)
    )


def test_the_worst_case_is_made_of_the_timers() -> None:
    told = what_if.document(TIMERS, 0.03, 0.04, 0.001)
    after = {each["fault"]: each["detected_after"] for each in told["faults"]}
    assert after["its switch dies or falls silent"] == 0.45
    assert after["its ovsdb-server hangs"] == 3.45
    assert after["its agent or all its programs stop, later its switch falls silent"] == pytest.approx(0.725)
    assert told["exposure"] == 3.0
    assert "the last 3.00 s at most" in what_if.text(told)[-1]
    assert "not measured yet" in what_if.text(what_if.document(TIMERS, None, None, None))[1]


# -- the commands, on what was recorded --------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Record a backup that takes over when its peer falls silent, and a failover of it."""
    (tmp_path / "ovsha.yaml").write_text(CONFIG.format(directory=tmp_path))
    recorder, decisions = Recorder(tmp_path / "state", Limits(), "r1"), Trace()
    recorder.silently("start", "ovsha started")
    now = time.time() - 100
    for turn in range(20):
        view, memory = replace(STEADY.view, now=NOW + turn), STEADY.memory
        if turn >= 10:
            view, memory = what_if._dead(view, memory)
        recorder.note(decisions.note(now + turn, view, memory, turns.turn(view, memory)))
        if turn == 12:
            facts = {key: value for key, value in moved(0.0, age=2.0).items() if key not in ("kind", "text")}
            recorder.silently("service", "failover", **facts)
    recorder.close()
    _move_events_to(tmp_path, now + 12)
    yield tmp_path
    shutil.rmtree(tmp_path / "state")


def _move_events_to(place: Path, at: float) -> None:
    """Let the recorded failover have been told at this time: the recorder's clock is the real one."""
    path = place / "state" / "journal" / "events-00000001.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**event, "at": at}) + "\n" for event in events))


def run(place: Path, *args: str) -> int:
    return main.main([*args, "--config", str(place / "ovsha.yaml")])


def test_a_past_moment_is_explained_by_the_last_decision_recorded_by_then(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ago, rule in (("95s", "peer-serves"), ("85s", "peer-dead")):
        assert run(place, "explain", "--at", ago, "--json") == 0
        assert json.loads(capsys.readouterr().out)["rule"] == rule


def test_a_move_is_explained_by_the_decision_that_began_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "explain", "--at", "failover", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rule"], told["turn"], told["goal"]) == ("peer-dead", 11, "serve")
    assert told["timers"]["move"] == pytest.approx(0.0), "all of that failover was waiting"


def test_without_an_agent_the_last_decision_recorded_is_explained_and_that_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, "explain") == 0
    out = capsys.readouterr().out
    assert "note: no agent runs here" in out
    assert "note: this is the last decision that was recorded" in out


@pytest.mark.parametrize(
    ("at", "status", "words"),
    [("earthquake", 2, "no such event is recorded (recorded are: failover, start)"), ("3d", 1, "the first decision"),
     ("25:99", 2, "is no time"), ("2999-01-01T00:00:00", 2, "lies in the future")],
)  # fmt: skip
def test_what_was_not_recorded_is_one_line(
    place: Path, at: str, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, "explain", "--at", at) == status
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_with_nothing_recorded_explain_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ovsha.yaml").write_text(CONFIG.format(directory=tmp_path))
    assert run(tmp_path, "explain", "--at", "1h") == 1
    assert "no decision is recorded there yet" in capsys.readouterr().err
    assert run(tmp_path, "explain") == 1
    assert "no agent runs here" in capsys.readouterr().err
    assert run(tmp_path, "simulate") == 1
    assert "nor a directory with decisions-*.jsonl" in capsys.readouterr().err


def test_this_release_decides_as_it_has_decided(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place, "simulate", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["same"] == told["decisions"] > 2
    assert told["differing"] == []


def test_a_decision_that_comes_out_otherwise_is_told_and_the_exit_status_is_1(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place / "state" / "journal" / "decisions-00000001.jsonl"
    first, *rest = path.read_text().splitlines()
    changed = json.loads(first)
    changed["outcome"]["rule"], changed["why"] = "whim", "it was so"
    trace_file = place / "trace-sw1.jsonl"
    trace_file.write_text("\n".join([json.dumps(changed), *rest, '{"half']) + "\n")
    assert run(place, "simulate", str(trace_file)) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith(f"{len(rest)} the same, 1 otherwise")
    assert "another rule" in out[1]
    assert out[2].strip().startswith("then: backup, peer alive, rule whim: it was so")
    assert out[3].strip().startswith("this release: backup, peer alive, rule peer-serves")
    assert out[-1] == "note: trace-sw1.jsonl: 1 line is damaged, half written or of another release, and left out"


def test_a_recorded_decision_says_what_was_recorded_and_not_what_is_now() -> None:
    case = backup_case({"heard_age": 5.0, "source": replace(STEADY.view.source, life_age=None)})
    assert case.presence is Presence.DEAD
    told = explained(case.view, case.memory)
    assert told["goal"] == "serve"
    assert {each["fact"]: each["value"] for each in told["facts"]}["its ovsdb-server"] == "up, active (when last heard)"
    assert Role.ACTIVE.value in trace.to_plain(entry(case.view, case.memory))["view"]["record"]["role"]


def test_a_host_that_sends_nothing_any_more_is_not_said_to_have_answered_just_now() -> None:
    """What could not be sent has no answer, so the age of the last packet is told, and not that nothing waits."""
    source = replace(STEADY.view.source, life_age=0.0, answer_age=2.0)
    case = backup_case({"source": source, "kernel": Kernel(packet_age=12.0)})
    facts = {each["fact"]: each["value"] for each in explained(case.view, case.memory)["facts"]}
    assert facts["our session to the peer's ovsdb-server"] == "the last packet of its host came 12 s ago"
