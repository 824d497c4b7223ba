"""What was recorded is told as an engineer needs it: each move with its reason, its author, its phases, its price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ovsha import times
from ovsha.cli import main
from ovsha.errors import ConfigError
from ovsha.history import recorder
from ovsha.report import history
from ovsha.report.history import Ledger, Witness

NOW = 1795250000.0
CONFIG = """
node: sw1
pair: {{id: rack7, key_file: {directory}/key}}
nodes:
  sw1: {{peer_link: 169.254.0.9, backup_path: 192.168.0.1}}
  sw2: {{peer_link: 169.254.0.10, backup_path: 192.168.0.2}}
peer_link: {{interface: peerlink.4094}}
vip: {{address: 169.254.0.11, port: 9998}}
replication: {{port: 9999}}
state_directory: {directory}/state
run_directory: {directory}
"""


def event(kind: str, at: float, text: str = "so it was", **facts: Any) -> dict[str, Any]:
    return {"schema": 1, "at": NOW + at, "kind": kind, "text": text, "run": "r1", "turn": 7, **facts}


def moved(at: float, **facts: Any) -> dict[str, Any]:
    """Return a failover that took half a second."""
    usual = {
        "move": "failover", "from": "sw1", "to": "sw2", "side": "taken", "term": 4, "rule": "peer-dead",
        "reason": "the peer is silent on every path", "operator": False, "said": "", "planned": False,
        "sign": "its heartbeats stopped", "serving": 0.5, "controller": 0.52, "age": 0.5, "failed": "",
        "phases": [{"name": "detect", "begin": 0.0, "took": 0.45}, {"name": "decide", "begin": 0.45, "took": 0.05}],
    }  # fmt: skip
    return event("service", at, **{**usual, **facts})


def state(at: float, before: str, to: str, term: int = 4) -> dict[str, Any]:
    facts = {"from": before, "to": to, "reason": "of it", "rule": "r", "term": term}
    return event("move", at, f"{before} -> {to}, because of it", **facts)


def nobody(node: str) -> Witness | None:
    return None


def text(*events: dict[str, Any], ask: history.Ask = nobody, everything: bool = False) -> list[str]:
    rows = history.rows(history.chosen(events, everything), ask)
    document = {"node": "sw2", "since": None, "earlier": 0, "rows": rows, "troubles": []}
    return history.text(document, lambda at: f"t={at - NOW:.1f}").splitlines()


def risk(*, knows: Witness | None, **facts: Any) -> dict[str, Any]:
    (row,) = history.rows([moved(1.0, **facts)], lambda node: knows)
    found: dict[str, Any] = row["at_risk"]
    return found


def test_a_failover_is_told_with_its_reason_its_phases_and_its_price() -> None:
    assert text(moved(1.0)) == [
        "t=0.5  FAILOVER sw1 -> sw2, term 4, automatic",
        "    because the peer is silent on every path",
        "    first sign: its heartbeats stopped",
        "    clients accepted after 500 ms, first controller after 520 ms",
        "    phases: detect 450 ms, decide 50 ms",
        "    writes at risk: not known until sw1 is back and compared; its agent does not answer",
    ]


def test_a_switchover_names_the_operators_reason_and_no_other() -> None:
    lines = text(moved(1.0, move="switchover", planned=True, operator=True, said="new line card", sign=""))
    assert lines[0].endswith("SWITCHOVER sw1 -> sw2, term 4, by an operator: new line card")
    assert lines[1].startswith("    clients accepted")
    assert lines[-1] == "    writes at risk: none, planned: the last write had arrived before the other side opened"


def test_a_restore_that_an_operator_ordered_is_no_automatic_one() -> None:
    assert history.why("restore", True, "") == "an operator ordered it"
    assert "restore.delay" in history.why("restore", False, "")
    assert history.why("failover", False, "the peer is dead") == "the peer is dead"


def test_the_price_of_a_failover_is_what_the_losers_ledger_lists() -> None:
    follows = [state(5.0, "init", "backup")]
    ledger = Ledger("L1", 3, 4, 3, "open")
    assert risk(knows=Witness(follows, [ledger])) == {
        "rows": 3, "ledger": "L1", "text": "3 rows, in ledger L1 on sw1 (open)"
    }  # fmt: skip
    assert risk(knows=Witness(follows, [Ledger("L1", 3, 4, 1, "replayed", exact=False)]))["text"] == (
        "not known; 1 row in doubt, in ledger L1 on sw1 (replayed, not exact)"
    )
    assert risk(knows=Witness(follows, [Ledger("L1", 3, 4, 24093, "open", exact=False)]))["rows"] is None
    assert risk(knows=Witness(follows, [Ledger("L1", 3, 4, 0, "is being compared")]))["rows"] is None
    other = Ledger("L0", 2, 3, 9, "open")
    assert risk(knows=Witness(follows, [other]))["text"] == "none, sw1 had nothing that sw2 lacked"
    assert risk(knows=Witness([], []))["text"] == "not known until sw1 has been compared with sw2"
    assert risk(knows=Witness([state(0.1, "init", "backup")], []))["rows"] is None, "that was before the move"
    assert risk(knows=None, **{"from": "sw2"})["text"] == "none, the same data are served"
    assert risk(knows=None, **{"from": None})["text"] == "none, nobody had served"


def test_only_the_side_that_lost_the_service_is_asked() -> None:
    asked: list[str] = []
    history.rows([moved(1.0), moved(2.0, planned=True, **{"from": "sw2"})], lambda node: asked.append(node))  # type: ignore[func-returns-value]
    assert asked == ["sw1"]


def test_an_alarm_and_its_end_are_one_row() -> None:
    begin = event("alarm", 1.0, "alarm: sw2 is silent", problem="peer-lost", over=False, do="see its cables")
    end = event("alarm", 9.0, "over: it", problem="peer-lost", over=True)
    assert text(begin, end) == ["t=1.0  alarm: sw2 is silent", "    over after 8.00 s"]
    assert text(begin) == ["t=1.0  alarm: sw2 is silent", "    do: see its cables"]
    assert text(end) == ["t=9.0  over: it"], "its beginning may be in a file that is gone"
    forgotten = event("alarm", 2.0, "alarm: a pause was forgotten")
    assert len(text(forgotten, forgotten, end)) == 3, "what has no name has no end"


def test_what_is_told_elsewhere_or_says_little_is_left_out_unless_all_is_asked_for() -> None:
    events = [
        event("start", 0.0), state(0.1, "start", "init"), state(0.2, "init", "backup"), state(0.9, "init", "active"),
        moved(1.0), state(5.0, "active", "fault"), moved(5.1, side="given", age=0.1), state(6.0, "fault", "init"),
        state(7.0, "init", "needs-decision"), state(8.0, "active", "init"),
    ]  # fmt: skip
    assert [line.split("  ")[1] for line in text(*events) if not line.startswith(" ")] == [
        "so it was", "FAILOVER sw1 -> sw2, term 4, automatic", "FAILOVER sw1 -> sw2, term 4, automatic",
        "state init -> needs-decision, because of it",
    ]  # fmt: skip
    assert len([line for line in text(*events, everything=True) if not line.startswith(" ")]) == len(events)


def test_a_fault_after_which_nobody_has_taken_over_is_told() -> None:
    assert text(state(5.0, "active", "fault")) == ["t=5.0  state active -> fault, because of it"]


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "ovsha.yaml").write_text(CONFIG.format(directory=tmp_path))
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o600)
    return tmp_path


def record(place: Path, *lines: str) -> None:
    directory = place / "state" / recorder.DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "events-00000001.jsonl").open("a") as file:
        file.writelines(lines)


def told(place: Path, *args: str) -> int:
    return main.main(["history", *args, "--config", str(place / "ovsha.yaml")])


def test_it_needs_no_agent_and_no_journal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(place) == 0
    assert capsys.readouterr().out == "sw1 has recorded nothing yet\n"


def test_a_half_written_last_line_is_left_out_and_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = json.dumps(event("start", 0.0, "ovsha started"))
    record(place, good + "\n", '["no event"]\n', '{"schema": 99, "at": 1, "kind": "x", "text": ""}\n', good[:30])
    assert told(place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("  ovsha started")
    assert lines[1:] == [
        "note: events-00000001.jsonl: 3 lines are damaged, half written or of another release, and left out"
    ]


def test_only_the_last_are_told_and_how_many_there_are_before(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, *(json.dumps(event("start", number, f"start {number}")) + "\n" for number in range(30)))
    assert told(place, "--last", "2", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["node"], document["earlier"]) == (1, "sw1", 28)
    assert [row["text"] for row in document["rows"]] == ["start 28", "start 29"]
    assert told(place, "--last", "2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "28 more before these: --last 30"
    assert told(place, "--last", "0") == 0
    assert len(capsys.readouterr().out.splitlines()) == 30


def test_a_peer_that_does_not_answer_is_a_note(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, json.dumps(moved(1.0, **{"from": "sw2", "to": "sw1"})) + "\n")
    assert told(place) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("note: what sw2 knows is not in this: the agent at 169.254.0.10:5345 ")


@pytest.mark.parametrize("args", [("--last", "-1"), ("--since", "soon"), ("--since", "25:00")])
def test_a_wrong_word_is_one_line_and_status_2(
    place: Path, args: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(place, *args) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_moment_is_written_in_local_time_or_as_so_long_ago() -> None:
    midday = times.past_moment("2026-11-21T12:00:00", NOW)
    assert times.past_moment("11:59:30", midday) == midday - 30
    assert times.past_moment("12:01", midday) == midday - 86400 + 60, "that was yesterday"
    assert times.past_moment("90s", midday) == times.past_moment("1.5m ago", midday) == midday - 90
    assert times.past_moment("2d", midday) == midday - 2 * 86400
    assert times.past_moment(times.local_moment(midday + 0.123), NOW) == pytest.approx(midday + 0.123)
    with pytest.raises(ConfigError, match="is no time; write 2026"):
        times.past_moment("tomorrow", NOW)


def test_that_a_decision_is_needed_is_told_once_by_its_alarm() -> None:
    alarm = event("alarm", 7.2, "alarm: sw2 needs a decision", problem="needs-decision", over=False, do="resolve")
    states = [state(7.0, "init", "needs-decision"), state(9.0, "needs-decision", "init")]
    assert text(states[0], alarm, states[1]) == ["t=7.2  alarm: sw2 needs a decision", "    do: resolve"]


def test_a_split_brain_tells_when_this_side_served_no_more() -> None:
    lines = text(moved(1.0, move="split-brain", side="given", serving=0.012, sign=""))
    assert lines[0].endswith("SPLIT-BRAIN sw1 -> sw2, term 4, automatic")
    assert lines[2] == "    sw1 served no more after 12 ms"


def test_a_side_that_serves_again_because_the_verdict_turned_tells_when() -> None:
    lines = text(moved(1.0, move="split-brain", **{"from": "sw1", "to": "sw1"}, serving=1.3, sign="it gave way"))
    assert lines[0].endswith("SPLIT-BRAIN sw1 serves again, term 4, automatic")
    assert "    first sign: it gave way" in lines
    assert any(line.startswith("    clients accepted after 1300 ms") for line in lines)
    assert lines[-1] == "    writes at risk: none, the same data are served"
