"""The page tells the truth in each situation, escapes whatever it shows, and asks for nothing from elsewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ovsha.agent.publish import Front
from ovsha.core.facts import Copy, Life, Source, State
from ovsha.history.recordings import Events
from ovsha.report.page.html import SCRIPT, STYLE, element, join
from ovsha.report.page.page import DAY, POLICY, listed, moves, page, spans
from tests.support.made_up_pair import BACKUP_PEER, FOLLOWING, OUTSIDE, SERVING, document, lost

NOW = time.time()
EVIL = "<script>alert('x')</script>&\"'"
Event = dict[str, Any]


class Text(HTMLParser):
    """The words of a page, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link"):
            self._open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        assert not [name for name, _ in attrs if name == "style" or name.startswith("on")], "the policy forbids these"

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(self.words)


def shown(told: dict[str, Any], events: tuple[Event, ...] = (), stuck_for: float | None = None) -> Text:
    return Text(page(told, events, NOW, stuck_for))


def event(hours_ago: float, kind: str, text: str = "", **facts: Any) -> Event:
    return {"at": NOW - 3600 * hours_ago, "kind": kind, "text": text, **facts}


def move(hours_ago: float, before: str, to: str, reason: str = "", after: float = 0.0) -> Event:
    facts = {"from": before, "to": to, "reason": reason, "term": 7}
    return {
        **event(hours_ago, "move", f"{before} -> {to}, because {reason}", **facts),
        "at": NOW - 3600 * hours_ago + after,
    }


FALLEN = replace(
    SERVING,
    record=replace(
        BACKUP_PEER, state=State.FAULT, life=Life.DOWN, role=None, source=None, replicating=False, in_sync_for=None
    ),
)


def test_a_pair_in_sync_is_said_to_be() -> None:
    said = shown(document()).said
    assert "In sync Nothing is wrong." in said
    for words in ("sw1 ACTIVE", "sw2 BACKUP", "VIP 169.254.0.11", "in sync", "lag 0.004 s", "1 session", "2 attached"):
        assert words in said
    assert "wrong, and what to do" not in said


def test_after_a_failover_it_says_what_is_wrong_and_what_to_do() -> None:
    said = shown(document(FALLEN)).said
    assert "ovsdb-server on sw1 is not running on sw1: `systemctl start ovsha-ovsdb-server`" in said
    for words in ("sw1 FAULT", "sw2 ACTIVE", "replication none", "server down"):
        assert words in said


def test_a_lost_peer_keeps_its_place_with_its_age() -> None:
    said = shown(document(lost(SERVING, 4000.0))).said
    for words in ("sw1 LOST", "heard 1 h 6 min ago", "was backup", "sw1  lost, 1 h 6 min ago"):
        assert words in said


def test_a_peer_that_was_never_heard_is_said_to_be() -> None:
    view = replace(FOLLOWING, record=None, heard_age=None, link_silent_for=None, source=Source(), copy=Copy())
    assert "sw1 NEVER HEARD" in shown(document(view)).said


def test_what_a_lost_side_held_is_not_shown_as_if_it_did() -> None:
    said = shown(document(lost(FOLLOWING, 60.0))).said
    assert "VIP 169.254.0.11" not in said
    assert "no session" in said
    assert "none attached" in said


def test_problems_that_have_broken_nothing_are_listed() -> None:
    said = shown(document(outside=replace(OUTSIDE, troubles={"disk": "the disk is full"}))).said
    assert "In sync, with 1 problem" in said
    assert "What is wrong, and what to do disk: the disk is full" in said


def test_a_side_that_an_operator_has_paused_is_marked() -> None:
    told = document()
    told["sides"]["sw1"]["mode"] = "paused"
    assert "PAUSED" in shown(told).said
    assert "PAUSED" not in shown(document()).said


def test_a_stuck_loop_is_said_above_all() -> None:
    said = shown(document(), stuck_for=12.0).said
    assert said.index("has not turned for 12 s") < said.index("In sync")


def test_whatever_comes_is_shown_as_text() -> None:
    evil = json.loads(json.dumps(document(FALLEN)).replace("sw1", "@"), parse_constant=None)
    evil = replaced(evil, "@", EVIL)
    evil["pair"] = evil["vip"]["address"] = evil["managers"][0]["target"] = EVIL
    told = [event(1, "alarm", EVIL), move(0.5, EVIL, EVIL + "2", EVIL), event(0.4, EVIL, EVIL)]
    told += [event(0.3, "service", EVIL, **dict.fromkeys(("move", "from", "to", "reason", "said", "failed"), EVIL))]
    text = Text(page(evil, told, NOW, None))
    assert text.tags.count("script") == 1, "our own"
    assert EVIL in text.said


def replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {replaced(key, old, new): replaced(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, old, new) for each in value]
    return value.replace(old, new) if isinstance(value, str) else value


def test_it_is_sent_with_a_policy_of_its_own(tmp_path: Path) -> None:
    answer = Front(tmp_path)(document(FALLEN), NOW, None)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.kind.startswith("text/html")
    assert Text(answer.body.decode()).words


def test_it_loads_nothing_and_the_policy_lets_it_load_nothing() -> None:
    text = page(document(FALLEN), [move(1, "backup", "active")], NOW, None)
    assert Text(text).loads == ["data:,"], "no icon is asked for"
    for text in (STYLE, SCRIPT):
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert POLICY.count("sha256-") == 2


def test_markup_escapes_text_and_attributes() -> None:
    assert element("b", EVIL, title=EVIL, class_="a").count("<") == 2
    assert join("a<", element("i", "b"), None) == "a&lt;<i>b</i>"


# -- the timeline --------------------------------------------------------------------------------------------------


def test_a_move_by_way_of_init_is_one_with_the_reason_of_its_beginning() -> None:
    told = [move(2, "backup", "init", "the peer is dead"), move(2, "init", "active", "we are the active side", 0.1)]
    (one,) = moves(told)
    assert (one["from"], one["to"], one["reason"]) == ("backup", "active", "the peer is dead")


def test_a_start_has_the_reason_of_its_end() -> None:
    told = [move(2, "start", "init", "not answered yet"), move(2, "init", "backup", "the peer is the active side", 0.1)]
    (one,) = moves(told)
    assert (one["from"], one["to"], one["reason"]) == ("start", "backup", "the peer is the active side")


def test_to_be_between_two_roles_is_shown_when_it_lasts() -> None:
    told = [move(2, "backup", "init", "parked"), move(1, "init", "backup", "the peer is back")]
    assert [(each["from"], each["to"]) for each in moves(told)] == [("backup", "init"), ("init", "backup")]
    assert [each["to"] for each in moves(told[:1])] == ["init"], "and while it does"


def test_a_move_of_the_service_is_listed_once_with_its_times() -> None:
    facts = {"move": "failover", "from": "sw1", "to": "sw2", "reason": "the peer is dead", "said": "", "failed": "",
             "term": 8, "serving": 0.43, "controller": 0.5}  # fmt: skip
    told = [
        move(2, "backup", "active"),
        event(1.999, "service", "failover: sw1 -> sw2", **facts),
        move(1, "active", "fault"),
    ]
    assert [each["kind"] for each in listed(told)] == ["service", "move"]
    said = shown(document(), tuple(told)).said
    assert "failover: sw1 → sw2 the peer is dead; served after 0.43 s; first controller after 0.50 s (term 8)" in said


def test_an_alarm_and_its_end_are_listed() -> None:
    said = shown(
        document(), (event(2, "alarm", "alarm: sw1 is silent"), event(1, "alarm", "over: sw1 is silent", over=True))
    ).said
    assert said.index("over sw1 is silent") < said.index("alarm sw1 is silent"), "the newest first"


def test_what_is_too_much_for_a_list_is_counted() -> None:
    assert (
        "and 60 earlier ones: ovsha history"
        in shown(document(), tuple(event(1, "incident", "x") for _ in range(100))).said
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], [(24, 0, "backup")]),
        ([move(4, "backup", "active")], [(24, 4, "backup"), (4, 0, "active")]),
        ([move(6, "start", "backup")], [(6, 0, "backup")]),
        ([move(6, "start", "backup"), event(3, "stop")], [(6, 3, "backup")]),
        ([event(3, "stop")], []),
    ],
)
def test_the_strip_shows_each_role_as_long_as_it_is_known(
    told: list[Event], expected: list[tuple[float, float, str]]
) -> None:
    found = [
        (round((NOW - begin) / 3600, 3), round((NOW - end) / 3600, 3), role)
        for begin, end, role in spans(told, "backup", NOW)
    ]
    assert found == expected


# -- what was recorded -----------------------------------------------------------------------------------------------


def write(directory: Path, number: int, *told: Mapping[str, Any] | bytes) -> None:
    journal = directory / "journal"
    journal.mkdir(exist_ok=True)
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in told]
    with (journal / f"events-{number:08d}.jsonl").open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def test_the_events_of_the_last_day_are_read_and_what_is_broken_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 1, event(30, "move", "old"), event(2, "move", "two"))
    write(tmp_path, 2, b'{"at": 1, "kin', b"[]", b"\xff", b'{"at": "x"}', event(1, "move", "one"))
    found = Events(tmp_path).since(NOW - DAY)
    assert [each["text"] for each in found] == ["two", "one"]


def test_what_is_recorded_later_is_read_later(tmp_path: Path) -> None:
    events = Events(tmp_path)
    assert events.since(0.0) == []
    write(tmp_path, 1, event(2, "move", "two"))
    assert len(events.since(0.0)) == 1
    write(tmp_path, 1, event(1, "move", "one"))
    assert len(events.since(0.0)) == 2
