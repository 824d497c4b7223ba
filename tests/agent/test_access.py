"""Root, the agent's own user and the members of one group give orders, by what the kernel says of a connection."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

from ovsha.agent import control
from ovsha.agent.control import Caller

GROUP = 4711
STRANGER = Caller(1, 65533, frozenset({65533}))


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    here, there = socket.socketpair()
    with here, there:
        who = control.caller(SimpleNamespace(_rpc=SimpleNamespace(stream=SimpleNamespace(socket=here))))
    assert who is not None
    assert (who.pid, who.uid) == (os.getpid(), os.getuid())
    assert who.groups == {os.getgid(), *os.getgroups()}


def test_what_is_no_connection_of_python_ovs_is_nobody() -> None:
    assert control.caller(SimpleNamespace()) is None
    assert control.access_refusal(None, "ovsha", None) == "only root may give orders to the agent: run this as root"


def test_the_agents_own_user_and_members_of_the_group_may_give_orders_and_others_may_not() -> None:
    own = Caller(1, os.geteuid(), frozenset())
    member = Caller(1, 65533, frozenset({65533, GROUP}))
    assert control.access_refusal(own, "ovsha", None) == control.access_refusal(member, "ovsha", GROUP) == ""
    assert control.access_refusal(member, "ovsha", None) != ""
    assert control.access_refusal(STRANGER, "ovsha", GROUP) == (
        "only root may give orders to the agent: run this as root or as a member of group ovsha"
    )


def test_a_group_that_is_not_there_has_no_number() -> None:
    assert control.group_id("no-such-group-anywhere") is None
    assert control.group_id("root") == 0


def test_the_log_names_the_user_and_who_logged_in() -> None:
    assert str(Caller(7, 0, frozenset(), 1000)) == "uid 0, logged in as uid 1000 (pid 7)"
    assert str(Caller(7, 0, frozenset())) == "uid 0 (pid 7)"
