"""The arithmetic of what the stand-ins record, and of what they read and write."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import history
from history import Ack, Event
from session import JsonStream, mac_of
from vtepd import next_backoff


@settings(deadline=None)  # slow machines make no law wrong
@given(st.data())
def test_a_stream_cut_anywhere_gives_the_same_values(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()))))
    text = "".join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    stream = JsonStream()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert [value for piece in pieces for value in stream.feed(piece)] == values


def test_a_large_value_in_small_pieces_is_read_in_linear_time() -> None:
    row = {"new": {"MAC": mac_of(0, 1), "locator": ["uuid", "0" * 36], "ipaddr": ""}}
    text = json.dumps({"result": {"Ucast_Macs_Remote": {f"{n:036}": row for n in range(10_000)}}}).encode()
    stream = JsonStream()
    begun = time.process_time()
    values = [value for at in range(0, len(text), 4096) for value in stream.feed(text[at : at + 4096])]
    assert len(values) == 1
    assert time.process_time() - begun < 2.0


def test_the_back_off_doubles_up_to_its_limit() -> None:
    steps = [0.0]
    for _ in range(6):
        steps.append(next_backoff(steps[-1], 0.1, 1.0))
    assert steps == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def ack(t: float, row: int, session: int = 1, late: bool = False) -> Event:
    fields = {"row": row, "mac": mac_of(0x6E, row), "switch": f"192.168.100.{session}"}
    return Event(t, "acked", fields | {"session": session, "attempt": 1, "late": late})


def test_an_outage_lasts_from_the_last_ack_of_one_session_to_the_first_of_the_next() -> None:
    events = [
        ack(9.0, 1),
        ack(10.01, 2),  # was on its way at the fault
        Event(10.4, "accepted", {"switch": "192.168.100.2", "session": 2}),
        ack(10.45, 3, late=True),  # a thawed switch's answer is none of the service
        ack(10.5, 4, session=2),
        ack(15.0, 5, session=2),  # a longer pause, of another cause
    ]
    outage = history.controller_outage(events, fault=10.0)
    assert outage.silence == pytest.approx(0.49)
    assert outage.to_accepted == pytest.approx(0.4)
    assert outage.to_first_ack == pytest.approx(0.5)


def test_an_outage_within_one_session_is_its_longest_pause() -> None:
    events = [ack(9.9, 1), ack(10.01, 2), ack(12.0, 3), ack(12.1, 4)]
    outage = history.controller_outage(events, fault=10.0)
    assert outage.silence == pytest.approx(1.99)
    assert outage.accepted is None


def test_an_outage_that_has_not_ended_has_no_length() -> None:
    events = [ack(9.9, 1), ack(10.01, 2), Event(14.0, "closed", {"how": "fin"})]
    outage = history.controller_outage(events, fault=10.0)
    assert (outage.last_ack and outage.last_ack.row, outage.first_ack, outage.silence) == (2, None, None)
    assert history.controller_outage([], fault=10.0).silence is None
    assert history.controller_outage([ack(11.0, 1)], fault=10.0).to_first_ack == pytest.approx(1.0)


def test_what_comes_after_the_time_looked_at_is_left_out() -> None:
    events = [ack(9.9, 1), ack(10.5, 2, session=2), ack(50.0, 3, session=1)]
    outage = history.controller_outage(events, fault=10.0, until=20.0)
    assert outage.silence == pytest.approx(0.6)
    assert history.controller_outage(events, fault=10.0, until=10.2).first_ack is None


def test_a_missing_row_is_named_once() -> None:
    acked = history.acks([ack(1.0, 1), ack(2.0, 2), ack(3.0, 2, session=2), ack(4.0, 3)])
    assert history.missing(acked, {mac_of(0x6E, 1), mac_of(0x6E, 3)}) == [
        Ack(2.0, 2, mac_of(0x6E, 2), "192.168.100.1", 1, False)
    ]


def test_seconds_with_two_switches_count_from_the_moment_given_and_to_the_end_of_a_broken_record() -> None:
    both = ["a", "b"]
    events = [
        Event(10.0, "overlap-began", {"switches": both}),
        Event(12.1, "overlap", {"from": 10.0, "until": 12.0, "switches": both}),
        Event(20.0, "overlap-began", {"switches": both}),
        ack(20.5, 1),
    ]
    assert history.seconds_with_two(events) == pytest.approx(2.5)
    assert history.seconds_with_two(events, since=11.5) == pytest.approx(1.0)


def test_a_line_cut_by_a_kill_is_left_out_and_any_other_that_is_no_event_is_refused() -> None:
    assert history.parse(['{"t": 1.0, "event": "paused"}\n', '{"t": 2.0, "ev']) == [Event(1.0, "paused", {})]
    with pytest.raises(ValueError, match="not an event"):
        history.parse(["[]\n"])
