"""What a failover would lose now is told on both sides, all along."""

from __future__ import annotations

from dataclasses import replace

from ovsha.core.facts import Copy, Lack, Source
from ovsha.report.status_text import status_text, sync_text
from tests.support.made_up_pair import FOLLOWING, MEMORY, OUTSIDE, SERVING, document, lost, names

TOLD = replace(OUTSIDE, lacking_since="2026-01-02T02:15:41+01:00")
LACKING = replace(MEMORY, peer_token=(7, 155), lack=Lack(960.0, (7, 136)))
FILTERED = replace(FOLLOWING, server=replace(FOLLOWING.server, token=(7, 136)), source=Source(), copy=Copy())


def test_the_backup_tells_since_when_and_which_tokens() -> None:
    told = document(FILTERED, TOLD, LACKING)
    (what,) = (problem["what"] for problem in told["problems"] if problem["name"] == "exposed")
    assert what == "a failover now would lose what sw1 wrote since 02:15:41, tokens 7.136 to 7.155"
    assert told["exposure"] == {
        "side": "sw2", "of": "sw1", "since": "2026-01-02T02:15:41+01:00", "age": 40.0, "at_least": False, "tokens": 19,
        "first": "7.136", "last": "7.155", "beyond": False,
    }  # fmt: skip
    assert "behind            " in status_text(told)
    assert "behind: it has lacked something for 40 s" in sync_text(told)


def test_it_tells_when_the_copy_would_not_take_over_any_more() -> None:
    older = replace(LACKING, lack=Lack(900.0, (7, 136)))
    told = document(FILTERED, TOLD, older)
    (what,) = (problem["what"] for problem in told["problems"] if problem["name"] == "exposed")
    assert what.endswith("; that is more than failover.max_behind, so sw2 would not take over unasked")
    assert told["exposure"]["beyond"]


def test_the_active_side_tells_it_too_by_what_the_other_one_says_or_by_the_tokens_alone() -> None:
    ahead = replace(SERVING, server=replace(SERVING.server, token=(7, 59)))
    for behind, age in ((41.5, 41.5), (None, 36.0)):
        told = document(replace(ahead, record=replace(ahead.record, behind=behind)), TOLD)
        assert (told["exposure"]["side"], told["exposure"]["of"], told["exposure"]["age"]) == ("sw1", "sw2", age)
        assert "exposed" in names(told)


def test_what_is_only_on_its_way_is_not_told() -> None:
    for number in (154, 155):
        moment = replace(FOLLOWING, server=replace(FOLLOWING.server, token=(7, number)))
        told = document(moment, TOLD, replace(MEMORY, peer_token=(7, 155)))
        assert (told["exposure"], names(told)) == (None, [])
    assert document(replace(SERVING, server=replace(SERVING.server, token=(7, 41))))["exposure"] is None


def test_once_the_other_side_is_gone_the_decision_says_it() -> None:
    gone = lost(FILTERED)
    told = document(gone, TOLD, replace(LACKING, lack=Lack(900.0, (7, 136))))
    assert told["rule"] == "copy-far-behind"
    assert "exposed" not in names(told)
    assert "failover.max_behind" in told["why"]
