"""The stand-in for the controller against real ovsdb-servers on loopback."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import history
from real_server import needs_ovs, wait_until
from standin_processes import ask, controller, gateway, relay


@needs_ovs
def test_every_acknowledged_row_is_in_the_database(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    server = gateway(stack, tmp_path / "sw1", port, rows=300)
    nsx.wait("acked", 100)
    summary = nsx.stop()
    acked = history.acks(nsx.recorded())
    assert history.missing(acked, server.macs()) == []
    assert [ack.row for ack in acked] == list(range(1, len(acked) + 1))
    assert summary.fields["acked"] == len(acked)
    assert [event.kind for event in nsx.recorded()][:5] == ["listening", "accepted", "connected", "dumped", "acked"]
    assert nsx.recorded("dumped")[0].fields["rows"] == 300
    # One locator is shared by all rows: the index of the table would have refused a second one.
    assert len(server.transact({"op": "select", "table": "Physical_Locator", "where": []})[0]["rows"]) == 2


@needs_ovs
def test_the_locator_found_in_the_database_is_used_again(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    server = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 5)
    server.kill()
    nsx.wait("closed")
    server.start("--remote=db:hardware_vtep,Global,managers")
    nsx.wait_ack_after(nsx.wait("dumped", 2)[1].t)
    nsx.stop()
    assert nsx.recorded("dumped")[1].fields["rows"] >= 5
    assert {event.fields["why"] for event in nsx.recorded("unacked")} <= {"lost"}
    assert len(server.transact({"op": "select", "table": "Physical_Locator", "where": []})[0]["rows"]) == 1
    assert history.missing(history.acks(nsx.recorded()), server.macs()) == []


@needs_ovs
def test_a_crash_is_seen_as_a_closed_connection_and_the_outage_ends_with_the_next_ack(
    stack: ExitStack, tmp_path: Path
) -> None:
    nsx, port = controller(stack, tmp_path)
    server = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 20)
    fault = time.monotonic()
    server.kill()
    closed = nsx.wait("closed")[0]
    assert closed.fields["how"] in ("fin", "reset")
    assert closed.t - fault < 1.0
    server.start("--remote=db:hardware_vtep,Global,managers")
    nsx.wait_ack_after(nsx.wait("dumped", 2)[1].t)
    nsx.stop()
    outage = history.controller_outage(nsx.recorded(), fault)
    assert outage.last_ack is not None
    assert outage.first_ack is not None
    assert outage.accepted is not None
    assert outage.last_ack.t < closed.t < outage.accepted < outage.first_ack.t
    # The number that was on its way is written again: none is left out.
    rows = [ack.row for ack in history.acks(nsx.recorded())]
    assert rows == list(range(1, len(rows) + 1))


@needs_ovs
def test_a_row_refused_as_read_only_is_written_when_the_server_has_become_active(
    stack: ExitStack, tmp_path: Path
) -> None:
    nsx, port = controller(stack, tmp_path)
    server = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 5)
    server.appctl("ovsdb-server/set-active-ovsdb-server", "tcp:192.0.2.254:9999")
    server.appctl("ovsdb-server/connect-active-ovsdb-server")
    refused = nsx.wait("unacked", 3)
    assert {event.fields["why"] for event in refused} == {"read-only"}
    assert len({event.fields["row"] for event in refused}) == 1
    promoted = time.monotonic()
    server.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    nsx.wait_ack_after(promoted)
    nsx.stop()
    first = next(event for event in nsx.recorded("acked") if event.t > promoted)
    assert first.fields["row"] == refused[0].fields["row"]
    assert first.fields["attempt"] > 3
    assert first.fields["session"] == 1  # the session outlives both changes of role


@needs_ovs
def test_a_silent_switch_is_closed_by_the_controllers_own_probe_only(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path, "--probe", "0.6")
    server = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 5)
    server.signal(signal.SIGSTOP)
    closed = nsx.wait("closed")[0]
    assert closed.fields["how"] == "silence"
    assert closed.t - nsx.recorded("acked")[-1].t >= 0.5


@needs_ovs
def test_two_switches_in_session_at_once_are_an_overlap_that_ends_with_either(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 3)
    second = gateway(stack, tmp_path / "sw2", stack.enter_context(relay("127.0.0.2", port)))
    began = nsx.wait("overlap-began")[0]
    assert began.fields["switches"] == ["127.0.0.1", "127.0.0.2"]
    nsx.wait_ack_after(nsx.wait("dumped", 2)[1].t)
    assert history.acks(nsx.recorded())[-1].switch == "127.0.0.2", "rows go to the newest session"
    second.kill()
    ended = nsx.wait("overlap")[0]
    nsx.wait_ack_after(nsx.wait("closed")[0].t)
    nsx.stop()
    assert history.acks(nsx.recorded())[-1].switch == "127.0.0.1", "and to the older one when it is gone"
    assert history.overlaps(nsx.recorded()) == [
        history.Overlap(ended.fields["from"], ended.fields["until"], ("127.0.0.1", "127.0.0.2"))
    ]
    assert nsx.recorded("connected")[1].t <= ended.fields["from"] <= began.t
    assert ended.fields["until"] <= nsx.recorded("closed")[0].t + 0.05
    assert history.seconds_with_two(nsx.recorded()) == pytest.approx(ended.fields["until"] - ended.fields["from"])


@needs_ovs
def test_a_frozen_switch_is_live_no_longer_than_a_quarter_of_a_second(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    first = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 3)
    gateway(stack, tmp_path / "sw2", stack.enter_context(relay("127.0.0.2", port)))
    nsx.wait("overlap-began")
    frozen = time.monotonic()
    first.signal(signal.SIGSTOP)
    ended = nsx.wait("overlap")[0]
    assert ended.fields["until"] <= frozen + 0.5
    assert nsx.recorded("closed") == [], "its session stays open until the probe"


@needs_ovs
def test_the_answer_of_a_session_that_was_replaced_is_recorded_as_late(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    first = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 3)
    first.signal(signal.SIGSTOP)
    wait_until(lambda: time.monotonic() > nsx.recorded("acked")[-1].t + 0.2, "the first switch to fall silent")
    gateway(stack, tmp_path / "sw2", stack.enter_context(relay("127.0.0.2", port)))
    taken_back = nsx.wait("unacked")[0]
    assert taken_back.fields["why"] == "superseded"
    nsx.wait_ack_after(taken_back.t)
    first.signal(signal.SIGCONT)
    late = wait_until(lambda: [ack for ack in history.acks(nsx.recorded()) if ack.late], "the late answer")
    assert [(ack.row, ack.switch) for ack in late] == [(taken_back.fields["row"], "127.0.0.1")]
    again = [ack for ack in history.acks(nsx.recorded()) if ack.row == late[0].row and not ack.late]
    assert [ack.switch for ack in again] == ["127.0.0.2"], "it was written to the newer session meanwhile"


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Make a private key and a certificate that is its own authority; return both."""
    key, signed = directory / f"{name}-privkey.pem", directory / f"{name}-cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", key, "-out", signed], check=True, capture_output=True)
    return key, signed


@needs_ovs
def test_over_tls_only_a_switch_with_a_certificate_of_the_authority_gets_a_session(
    stack: ExitStack, tmp_path: Path
) -> None:
    (key, pair), (other_key, other) = certificate(tmp_path, "pair"), certificate(tmp_path, "stranger")
    nsx, port = controller(stack, tmp_path, "--private-key", key, "--certificate", pair, "--ca-cert", pair)
    known = (f"--private-key={key}", f"--certificate={pair}", f"--ca-cert={pair}")
    server = gateway(stack, tmp_path / "sw1", port, *known)
    nsx.wait("acked", 20)
    server.kill()
    assert nsx.wait("closed")[0].fields["how"] in ("fin", "reset")
    stranger = (f"--private-key={other_key}", f"--certificate={other}", f"--ca-cert={pair}")
    gateway(stack, tmp_path / "sw2", port, *stranger)
    assert nsx.wait("closed", 2)[1].fields["how"] == "handshake"
    assert len(nsx.recorded("connected")) == 1


@needs_ovs
def test_the_control_socket_pauses_resumes_and_changes_the_rate(stack: ExitStack, tmp_path: Path) -> None:
    control = tmp_path / "control"
    nsx, port = controller(stack, tmp_path, "--control", control)
    server = gateway(stack, tmp_path / "sw1", port)
    nsx.wait("acked", 5)
    ask(control, "pause")
    wait_until(lambda: len(server.macs()) == ask(control, "stats")["acked"], "the last answer")
    acked = ask(control, "stats")["acked"]
    wait_until(lambda: time.monotonic() > nsx.recorded("paused")[0].t + 0.1, "twenty rows' time")
    assert ask(control, "stats")["acked"] == acked
    assert ask(control, "rate 1000")["rate"] == 1000
    assert ask(control, "resume")["paused"] is False
    nsx.wait("acked", acked + 1000)
    assert "error" in ask(control, "rate fast")
    assert "error" in ask(control, "faster")
    assert [s["switch"] for s in ask(control, "stats")["sessions"]] == ["127.0.0.1"]


@needs_ovs
def test_two_hundred_rows_a_second_are_sustained(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    gateway(stack, tmp_path / "sw1", port)
    acked = nsx.wait("acked", 400)
    rate = 399 / (acked[399].t - acked[0].t)
    assert 150 < rate < 210
