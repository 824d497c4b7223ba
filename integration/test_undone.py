"""Somebody undoes again and again what the agents have done: it is put right ever more seldom, and said once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

import settings
from rpc import Refused
from story import (
    LIMIT,
    LISTENER,
    MANAGERS,
    MakeLab,
    await_pair,
    begin,
    counter,
    in_sync,
    is_read_only,
    log,
    problems,
)
from switch import Switch
from test_by_hand import make_active
from test_clients_that_stay import share

AT_FIRST = 4
"""How often it is undone before we look: by then there are seconds between."""

Blow = Callable[[Switch], object]


@contextmanager
def again_and_again(switch: Switch, blow: Blow) -> Iterator[None]:
    """Deal the blow, in a thread, twenty times a second or as fast as that goes, while the block lasts."""
    over = Event()

    def strike() -> None:
        while not over.wait(0.05):
            try:
                blow(switch)
            except (OSError, Refused):
                continue  # there is nothing to undo

    thread = Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def delete_vip(switch: Switch) -> None:
    switch.run("ip", "address", "del", f"{settings.VIP}/32", "dev", "peerlink.4094")


def add_vip(switch: Switch) -> None:
    switch.run("ip", "address", "add", f"{settings.VIP}/32", "dev", "lo")


def remove(remote: str) -> Blow:
    return lambda switch: switch.appctl("ovsdb-server/remove-remote", remote)


def add(remote: str) -> Blow:
    return lambda switch: switch.appctl("ovsdb-server/add-remote", remote)


@pytest.mark.parametrize(
    ("node", "blow", "words"),
    [
        pytest.param("sw1", delete_vip, "the VIP was taken away", id="the VIP is deleted"),
        pytest.param(
            "sw1", remove(LISTENER), "the listener on the VIP was closed", id="the listener", marks=pytest.mark.long
        ),
        pytest.param(
            "sw1", remove(MANAGERS), "the remote of the managers was removed", id="managers", marks=pytest.mark.long
        ),
        pytest.param(
            "sw2", add_vip, "the VIP was added where nothing is", id="the VIP is added", marks=pytest.mark.long
        ),
        pytest.param(
            "sw2", add(MANAGERS), "the remote of the managers was added", id="managers added", marks=pytest.mark.long
        ),
        pytest.param("sw2", make_active, "found active where it is to copy", id="active", marks=pytest.mark.long),
    ],
)
def test_what_is_undone_again_and_again_is_put_right_ever_more_seldom_and_said_once(
    lab: MakeLab, node: str, blow: Blow, words: str
) -> None:
    pair = begin(lab)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is well")
    switch = next(each for each in pair.switches if each.node == node)
    with again_and_again(switch, blow):
        pair.wait_until(lambda: counter(switch, "incidents") >= AT_FIRST, 2 * LIMIT, "it is undone")
        pair.wait_until(lambda: words in problems(switch), LIMIT, "it is told")
        pair.wait_until(lambda: share(pair, switch) < 0.5, LIMIT, "it costs little")
    await_pair(pair, pair.sw1, 2 * LIMIT)
    assert log(switch).count("incident: ") <= 6, [line for line in log(switch).splitlines() if "incident: " in line]
    assert is_read_only(pair.sw2)
    assert "it is put right ever more seldom" in problems(switch)


@pytest.mark.long
def test_what_was_left_alone_for_a_while_is_put_back_at_once_again(lab: MakeLab) -> None:
    pair = begin(lab)
    for _ in range(3):
        delete_vip(pair.sw1)
        pair.wait_until(pair.sw1.vip_present, LIMIT, "it is put back")
    pair.wait_until(lambda: "the VIP was taken away" not in problems(pair.sw1), 100.0, "that is long ago")
    for _ in range(2):
        delete_vip(pair.sw1)
        pair.wait_until(pair.sw1.vip_present, LIMIT, "it is put back")
    assert "the VIP was taken away 2 times" in problems(pair.sw1)
