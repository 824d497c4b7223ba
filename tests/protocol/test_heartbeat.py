"""The laws of the heartbeats: what is believed, what is alive, and what no attacker gains."""

import hmac
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.protocol.heartbeat import Conversation, PathState
from ovsha.protocol.seal import HEARTBEAT_MAGIC, MAX_PACKET

KEY = bytes(range(32))
PATHS = ("peer_link", "backup_path")
DEAD = 0.4
MAX_DELAY = 1.0
SKEW = {"sw1": 0.0, "sw2": 86_400.0}  # the clocks of two switches have nothing in common
BOOTS = (f"boot-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Side:
    """One agent with a clock of its own; `sealed` holds each packet it ever made."""

    talk: Conversation
    skew: float
    sealed: list[tuple[str, bytes]] = field(default_factory=list)

    def say(self, number: int, at: float, paths: tuple[str, ...] = PATHS) -> list[tuple[str, bytes]]:
        packets = [(path, self.talk.seal(path, {"n": number}, at + self.skew)) for path in paths]
        self.sealed.extend(packets)
        return packets

    def hear(self, packets: list[tuple[str, bytes]], at: float) -> list[int]:
        states = [self.talk.receive(packet, path, at + self.skew) for path, packet in packets]
        return [state["n"] for state in states if state is not None]

    def path(self, at: float, path: str = "peer_link") -> str:
        return self.talk.path_state(path, at + self.skew, DEAD).state


def side(node: str, key: bytes = KEY, pair: str = "rack7", boot: str | None = None) -> Side:
    other = {"sw1": "sw2", "sw2": "sw1"}[node]
    talk = Conversation(pair, node, other, key, boot or next(BOOTS), PATHS, max_delay=MAX_DELAY)
    return Side(talk, SKEW[node])


def talk(left: Side, right: Side, begin: float, count: int) -> float:
    """Let two sides speak ten times a second; return the time afterwards."""
    for turn in range(count):
        at = begin + turn * 0.1
        right.hear(left.say(turn, at), at + 0.001)
        left.hear(right.say(turn, at + 0.002), at + 0.003)
    return begin + count * 0.1


def met() -> tuple[Side, Side, float]:
    """Return two sides that believe each other, and the time."""
    left, right = side("sw1"), side("sw2")
    at = talk(left, right, 100.0, 5)
    assert left.talk.peer_boot == right.talk.boot
    assert right.talk.peer_boot == left.talk.boot
    return left, right, at


def forge(body: object, key: bytes = KEY) -> bytes:
    signed = HEARTBEAT_MAGIC + (body if isinstance(body, bytes) else json.dumps(body).encode())
    return signed + hmac.digest(key, signed, "sha256")


def body_of(packet: bytes) -> dict[str, object]:
    body: dict[str, object] = json.loads(packet[len(HEARTBEAT_MAGIC) : -32])
    return body


def refused(listener: Side) -> dict[str, int]:
    return {reason: count for reason, count in listener.talk.counters.items() if count}


# --- believing -----------------------------------------------------------------------------


def test_two_that_start_together_believe_each_other_after_one_round_trip() -> None:
    left, right = side("sw1"), side("sw2")
    assert right.hear(left.say(1, 0.0), 0.001) == []  # no proof yet
    assert right.talk.wants_reply(0.001 + right.skew)
    assert left.hear(right.say(2, 0.001), 0.002) == [2, 2]
    assert left.talk.wants_reply(0.002)
    assert right.hear(left.say(3, 0.002), 0.003) == [3, 3]
    assert not left.talk.wants_reply(0.1)
    assert not right.talk.wants_reply(0.1 + right.skew)


def test_two_that_believe_each_other_never_ask_for_an_answer() -> None:
    left, right, at = met()
    for turn in range(20):
        right.hear(left.say(turn, at + turn), at + turn)
        left.hear(right.say(turn, at + turn), at + turn)
        assert left.talk.reply_at() is None
        assert right.talk.reply_at() is None


def test_answers_are_at_least_the_reply_interval_apart() -> None:
    left, right = side("sw1"), side("sw2")
    right.hear(left.say(1, 5.0), 5.0)
    right.say(1, 5.0)  # the answer, which is lost
    right.hear(left.say(2, 5.001), 5.001)
    assert not right.talk.wants_reply(5.019 + right.skew)
    assert right.talk.reply_at() == pytest.approx(5.02 + right.skew)
    assert right.talk.wants_reply(5.021 + right.skew)


@pytest.mark.parametrize("again", ["sw1", "sw2"])
def test_a_restart_of_either_side_is_over_after_two_exchanges(again: str) -> None:
    left, right, at = met()
    if again == "sw1":
        left = side("sw1")
    else:
        right = side("sw2")
    talk(left, right, at, 2)
    assert left.talk.peer_boot == right.talk.boot
    assert right.talk.peer_boot == left.talk.boot


def test_a_hundred_restarts_in_a_row_are_followed_and_what_is_remembered_stays_bounded() -> None:
    left, right, at = met()
    for _ in range(600):
        right = side("sw2")
        at = talk(left, right, at, 2)
        assert left.talk.peer_boot == right.talk.boot
    assert len(left.talk._retired) == 256


def test_a_peer_that_came_back_from_a_long_silence_is_believed_at_once() -> None:
    left, right, at = met()
    assert left.hear(right.say(77, at + 90.0), at + 90.0) == [77, 77]


def test_a_peer_whose_clock_was_stopped_is_believed_again_once_it_hears_us() -> None:
    left, right, at = met()
    late, at = Side(right.talk, right.skew - 500.0), at + 500.0  # suspended while we went on
    assert left.hear(late.say(1, at), at) == []
    assert refused(left)["delayed"] == 2
    late.hear(left.say(2, at), at)
    assert left.hear(late.say(3, at), at) == [3, 3]
    assert left.hear(late.say(4, at + 5.0), at + 5.0) == [4, 4]  # though it has heard nothing since


def test_clocks_that_drift_apart_are_no_reason_to_refuse_a_peer_that_cannot_hear_us() -> None:
    left, right, at = met()
    for second in range(0, 36_000, 5):  # ten hours of one way only, at a hundred parts in a million
        drifting = Side(right.talk, right.skew - second * 100e-6)
        when = at + second
        assert left.hear(drifting.say(second, when, ("peer_link",)), when) == [second]


# --- refusing ------------------------------------------------------------------------------


@given(data=st.data())
def test_a_packet_with_one_byte_changed_is_refused(data: st.DataObject) -> None:
    left, right, at = met()
    packet = bytearray(right.say(1, at)[0][1])
    index = data.draw(st.integers(0, len(packet) - 1))
    packet[index] ^= data.draw(st.integers(1, 255))
    assert left.talk.receive(bytes(packet), "peer_link", at) is None
    assert sum(refused(left).values()) == 1
    assert set(refused(left)) <= {"forged", "malformed"}


@given(cut=st.integers(0, 10_000), tail=st.binary(max_size=64))
def test_a_packet_cut_short_or_drawn_out_is_refused(cut: int, tail: bytes) -> None:
    left, right, at = met()
    packet = right.say(1, at)[0][1]
    for changed in (packet[: cut % len(packet)], packet + b"\0" + tail):
        assert left.talk.receive(changed, "peer_link", at) is None
    assert sum(refused(left).values()) == 2


@given(st.one_of(st.binary(max_size=2000), st.binary(max_size=1500).map(HEARTBEAT_MAGIC.__add__)))
def test_random_bytes_are_counted_and_change_nothing(noise: bytes) -> None:
    left, _, at = met()
    before = left.talk.path_state("peer_link", at, DEAD)
    assert left.talk.receive(noise, "peer_link", at) is None
    assert sum(refused(left).values()) == 1
    assert left.talk.path_state("peer_link", at, DEAD) == before


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(SCALARS, lambda deeper: st.lists(deeper, max_size=4), max_leaves=6)
FIELDS = ("pair", "node", "boot", "seq", "path", "at", "echo", "hello", "state", "others")


@given(name=st.sampled_from(FIELDS), value=JSON)
def test_an_authentic_packet_of_any_form_never_raises(name: str, value: object) -> None:
    left, right, at = met()
    body = body_of(right.say(1, at)[0][1])
    left.talk.receive(forge(body | {name: value}), "peer_link", at)
    body.pop(name, None)
    left.talk.receive(forge(body), "peer_link", at)


@pytest.mark.parametrize("text", [b"", b"[" * 1300, b"[]", b"\xff", b"{", b"null", b'{"a":1}'])
def test_an_authentic_packet_that_is_no_heartbeat_is_malformed(text: bytes) -> None:
    left, _, at = met()
    assert left.talk.receive(forge(text), "peer_link", at) is None
    assert refused(left) == {"malformed": 1}


def test_a_peer_that_names_what_we_never_sent_is_malformed() -> None:
    left, right, at = met()
    body = body_of(right.say(1, at)[0][1])
    echo = [left.talk.boot, 10_000, 0, 0]
    assert left.talk.receive(forge(body | {"echo": echo}), "peer_link", at) is None
    assert left.talk.receive(forge(body | {"others": {"backup_path": 10_000}}), "peer_link", at) is None
    assert refused(left) == {"malformed": 2}


@pytest.mark.parametrize(
    ("reason", "speaker"),
    [
        ("forged", side("sw2", key=b"k" * 32)),
        ("stranger_pair", side("sw2", pair="rack8")),
        ("own", side("sw1")),
    ],
)
def test_a_packet_of_somebody_else_is_counted_as_such(reason: str, speaker: Side) -> None:
    left, _, at = met()
    assert left.hear(speaker.say(1, at), at) == []
    assert refused(left) == {reason: 2}


def test_a_third_node_of_the_pair_is_a_stranger() -> None:
    left, _, at = met()
    third = Side(Conversation("rack7", "sw3", "sw1", KEY, "boot", PATHS), 0.0)
    assert left.hear(third.say(1, at), at) == []
    assert refused(left) == {"stranger_node": 2}


def test_our_own_packets_thrown_back_are_refused() -> None:
    left, _, at = met()
    assert left.hear(left.sealed, at) == []
    assert refused(left) == {"own": len(left.sealed)}


def test_a_packet_is_refused_on_another_path_than_its_own() -> None:
    left, right, at = met()
    ((_, packet), _) = right.say(1, at)
    assert left.hear([("backup_path", packet)], at) == []
    assert refused(left) == {"replayed": 1}


def test_an_oversize_packet_is_not_even_looked_at() -> None:
    left, _, at = met()
    assert left.talk.receive(b"x" * (MAX_PACKET + 1), "peer_link", at) is None
    assert refused(left) == {"oversize": 1}


def test_a_state_that_does_not_fit_is_our_own_fault_and_uses_no_number() -> None:
    left, right, at = met()
    with pytest.raises(ValueError, match="1400 is the most"):
        left.talk.seal("peer_link", {"n": "x" * 1300}, at)
    assert right.hear(left.say(1, at), at) == [1, 1]


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Conversation("rack7", "sw1", "sw2", b"short", "boot", PATHS)


# --- replay --------------------------------------------------------------------------------


def histories() -> Iterator[tuple[Side, Side, float, list[tuple[str, bytes]]]]:
    """Give the two sides, the time, and each packet an attacker recorded, lost ones included."""
    for restarts in ("", "2", "1", "12", "21", "22"):
        left, right, at = met()
        tape = right.sealed + right.say(99, at)  # the last one was held back
        tape += left.sealed
        for which in restarts:
            if which == "1":
                left = side("sw1")
            else:
                right = side("sw2")
            at = talk(left, right, at, 3)
            tape += right.sealed + left.sealed
        yield left, right, at, tape + right.say(98, at)


@pytest.mark.parametrize("later", [3 * MAX_DELAY + 0.01, 60.0, 86_400.0])
@pytest.mark.parametrize("history", range(6))
def test_nothing_recorded_yields_a_state_or_a_sign_of_life_later(history: int, later: float) -> None:
    left, right, at, tape = list(histories())[history]
    at += later
    for listener in (left, right):
        ages = [listener.path(at, path) for path in PATHS]
        assert listener.hear(tape * 2, at) == []
        assert [listener.path(at, path) for path in PATHS] == ages
    talk(left, right, at, 2)
    assert left.talk.peer_boot == right.talk.boot


@pytest.mark.parametrize("history", range(6))
def test_what_was_delivered_yields_no_state_when_it_is_repeated_at_once(history: int) -> None:
    left, right, at, tape = list(histories())[history]
    delivered = tape[:-2] if history else [*right.sealed[:10], *left.sealed]
    for listener in (left, right):
        boot = listener.talk.peer_boot
        before = [listener.talk.path_state(path, at, DEAD) for path in PATHS]
        assert listener.hear(delivered * 2, at) == []
        assert [listener.talk.path_state(path, at, DEAD) for path in PATHS] == before
        assert listener.talk.peer_boot == boot


@pytest.mark.parametrize("history", range(6))
def test_nothing_recorded_before_we_started_is_believed_by_the_new_incarnation(history: int) -> None:
    _, right, at, tape = list(histories())[history]
    fresh = side("sw1")
    assert fresh.hear(tape, at) == []
    assert fresh.talk.peer_boot is None
    assert [fresh.path(at, path) for path in PATHS] == ["never", "never"]
    talk(fresh, right, at, 2)
    assert fresh.talk.peer_boot == right.talk.boot


def test_an_incarnation_held_back_whole_cannot_replace_the_one_that_came_after_it() -> None:
    left, _, at = met()
    hidden = side("sw2")
    hidden.hear(left.say(1, at), at)  # hears us, and nothing it says gets through
    held_back = hidden.say(2, at)
    newer = side("sw2")
    talk(left, newer, at + 0.05, 2)
    assert left.talk.peer_boot == newer.talk.boot
    assert left.hear(held_back, at + 0.3) == []  # well within the time a packet may take
    assert left.talk.peer_boot == newer.talk.boot
    assert left.hear(newer.say(3, at + 0.4), at + 0.4) == [3, 3]


def test_an_incarnation_held_back_whole_is_not_believed_when_it_is_long_gone() -> None:
    left, _, at = met()
    hidden = side("sw2")
    hidden.hear(left.say(1, at), at)
    assert left.hear(hidden.say(2, at), at + MAX_DELAY + 0.1) == []
    assert refused(left) == {"unproven": 2}


def test_a_packet_held_back_after_a_day_of_silence_is_still_refused() -> None:
    left, right, at = met()
    held_back = right.say(1, at + 86_400)
    assert left.hear(held_back, at + 86_400 + 3 * MAX_DELAY + 0.1) == []
    assert refused(left) == {"delayed": 2}


def test_two_agents_that_both_claim_to_be_the_peer_do_not_take_turns() -> None:
    left, right, at = met()
    second = side("sw2")
    for turn in range(5):
        for speaker in (right, second):
            speaker.hear(left.say(turn, at), at)
            left.hear(speaker.say(turn, at), at)
    assert left.talk.peer_boot == second.talk.boot
    assert refused(left)["replayed"] == 8  # the other one, ever since it was replaced


def test_a_recording_played_all_the_time_does_not_keep_a_restarted_pair_apart() -> None:
    _, old, at = met()
    left, right = side("sw1"), side("sw2")
    for turn in range(3):
        left.hear(old.sealed, at)
        right.hear(left.say(turn, at), at)
        left.hear(old.sealed, at)
        left.hear(right.say(turn, at), at)
    assert left.talk.peer_boot == right.talk.boot
    assert right.talk.peer_boot == left.talk.boot


@given(
    order=st.lists(st.tuples(st.integers(0, 39), st.floats(0.0, 0.05)), max_size=120),
    answers=st.sets(st.integers(0, 39)),
)
def test_loss_repetition_and_disorder_never_take_the_state_back(
    order: list[tuple[int, float]], answers: set[int]
) -> None:
    left, right, at = met()
    stream: list[tuple[str, bytes]] = []
    for number in range(20):
        stream += right.say(number, at + number * 0.01)
        if number in answers:
            right.hear(left.say(number, at + number * 0.01), at + number * 0.01)
    seen: list[int] = []
    now, newest = at + 0.2, 0.0
    for index, pause in order:
        now += pause
        seen += left.hear([stream[index]], now)
        age = left.talk.heard_age(now)
        assert age is not None
        assert now - age >= newest - 1e-6  # nor does the peer become younger by a repetition
        newest = now - age
    assert seen == sorted(seen)
    distinct = {index for index, _ in order}
    assert sum(left.talk.counters.values()) + len(distinct) >= len(order)


# --- liveness ------------------------------------------------------------------------------


def test_a_path_never_heard_says_so() -> None:
    fresh = side("sw1")
    view = fresh.talk.path_state("peer_link", 1.0, DEAD)
    assert (view.state, view.heard_age, view.echo_age, view.round_trip) == ("never",) + (None,) * 3
    assert fresh.talk.heard_age(1.0) is None
    assert fresh.talk.deadline(DEAD) is None


@pytest.mark.parametrize(
    ("silence", "state"),
    [(0.0, "up"), (0.199, "up"), (0.201, "degraded"), (0.399, "degraded"), (0.401, "down")],
)
def test_silence_degrades_a_path_at_half_the_dead_interval_and_downs_it_at_the_whole(
    silence: float, state: str
) -> None:
    left, right, at = met()
    right.hear(left.say(1, at), at)
    left.hear(right.say(1, at), at)
    assert left.path(at + silence) == state
    assert left.talk.deadline(DEAD) == pytest.approx(at + DEAD)
    assert left.talk.heard_age(at + silence) == pytest.approx(silence)


def test_one_path_lost_leaves_the_other_up() -> None:
    left, right, at = met()
    for turn in range(10):
        when = at + turn * 0.1
        right.hear(left.say(turn, when, ("backup_path",)), when)
        left.hear(right.say(turn, when, ("backup_path",)), when)
    assert left.path(when, "peer_link") == PathState.DOWN
    assert left.path(when, "backup_path") == PathState.UP
    assert left.talk.heard_age(when) == 0.0


def test_a_peer_that_hears_us_on_one_path_only_shows_the_other_as_one_way() -> None:
    left, right, at = met()
    for turn in range(10):
        when = at + turn * 0.1
        right.hear(left.say(turn, when)[1:], when)  # our packets on the peer link are lost
        assert left.hear(right.say(turn, when), when) == [turn, turn]
    assert left.path(when, "peer_link") == PathState.ONE_WAY_IN
    assert left.path(when, "backup_path") == PathState.UP
    assert right.path(when, "peer_link") == PathState.ONE_WAY_OUT
    assert right.path(when, "backup_path") == PathState.UP


def test_a_path_cut_one_way_since_before_the_two_met_is_told_as_such_on_both_sides() -> None:
    left, right = side("sw1"), side("sw2")
    for turn in range(10):
        when = turn * 0.1
        right.hear(left.say(turn, when)[1:], when)
        left.hear(right.say(turn, when), when)
    assert left.path(when, "peer_link") == PathState.ONE_WAY_IN
    assert right.path(when, "peer_link") == PathState.ONE_WAY_OUT


def test_a_path_cut_both_ways_is_never_taken_for_a_one_way_path() -> None:
    left, right, at = met()
    seen: dict[str, set[str]] = {"sw1": set(), "sw2": set()}
    for turn in range(20):
        when = at + turn * 0.1
        right.hear(left.say(turn, when)[1:], when + 0.001)
        left.hear(right.say(turn, when + 0.05)[turn > 0 :], when + 0.051)  # the last that comes through
        for each in (left, right):
            seen[each.talk.node] |= {each.path(when + late) for late in (0.051, 0.075, 0.099)}
    assert seen == {"sw1": {"up", "degraded", "down"}, "sw2": {"up", "degraded", "down"}}


def test_a_path_that_works_again_after_it_was_cut_one_way_is_up_on_both_sides() -> None:
    left, right, at = met()
    for turn in range(20):
        when = at + turn * 0.1
        right.hear(left.say(turn, when)[turn < 10 :], when)
        left.hear(right.say(turn, when), when)
        if turn == 9:
            assert (left.path(when), right.path(when)) == ("one-way in", "one-way out")
    assert (left.path(when), right.path(when)) == ("up", "up")


def test_a_peer_that_hears_nothing_is_believed_all_the_same_and_one_way() -> None:
    left, right, at = met()
    for turn in range(100):
        when = at + turn * 0.1
        left.say(turn, when)
        assert left.hear(right.say(turn, when), when) == [turn, turn]
    assert [left.path(when, path) for path in PATHS] == ["one-way in", "one-way in"]


def test_a_path_that_works_one_way_each_lets_the_two_meet() -> None:
    left, right = side("sw1"), side("sw2")
    for turn in range(3):
        right.hear(left.say(turn, turn * 0.1)[:1], turn * 0.1)
        left.hear(right.say(turn, turn * 0.1)[1:], turn * 0.1)
    assert left.talk.peer_boot == right.talk.boot
    assert right.talk.peer_boot == left.talk.boot


def test_a_path_just_heard_is_given_the_dead_interval_to_have_heard_us() -> None:
    left, right = side("sw1"), side("sw2")
    right.hear(left.say(1, 0.0)[:1], 0.0)
    left.hear(right.say(1, 0.0), 0.0)
    assert left.path(0.0, "backup_path") == "up"
    left.hear(right.say(2, 0.39), 0.39)
    assert left.path(0.39, "backup_path") == "up"
    left.hear(right.say(3, 0.41), 0.41)
    assert left.path(0.41, "backup_path") == "one-way in"


def test_what_was_queued_while_we_were_away_is_no_sign_of_life() -> None:
    left, right, at = met()
    queued = right.say(1, at + 0.1)  # we stood still from then on
    at += 0.6
    left.talk.forget_liveness(at)
    assert left.hear(queued, at) == []
    assert [left.path(at, path) for path in PATHS] == ["never", "never"]
    assert left.talk.heard_age(at) is None
    assert left.hear(right.say(2, at + 0.01), at + 0.02) == [2, 2]
    assert [left.path(at + 0.02, path) for path in PATHS] == ["up", "up"]


def test_the_round_trip_leaves_out_the_time_the_peer_held_the_packet() -> None:
    left, right, at = met()
    for turn in range(100):
        when = at + turn * 0.1
        right.hear(left.say(turn, when), when + 0.003)
        left.hear(right.say(turn, when + 0.080), when + 0.083)
    assert left.talk.round_trip("peer_link") == pytest.approx(0.006, abs=1e-4)
