"""The stand-in for the VTEP daemon, and the floor of the bench, against real ovsdb-servers on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import history
from real_server import LIMIT, Server, free_port, needs_ovs, running, wait_until
from session import mac_of
from standin_processes import HERE, Standin, controller


@needs_ovs
@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGTERM])
def test_a_vtep_daemon_sees_its_server_die_and_is_back_with_a_full_dump(
    stack: ExitStack, tmp_path: Path, first: signal.Signals
) -> None:
    port = free_port()
    server = Server(stack, tmp_path / "sw1")
    server.start(f"--remote=ptcp:{port}:127.0.0.1")
    server.fill(rows=50)
    vtepd = Standin(stack, tmp_path / "vtepd", "vtepd.py", "--server", f"tcp:127.0.0.1:{port}", "--name", "sw1")
    assert vtepd.wait("dumped")[0].fields["rows"] == 50
    fault = time.monotonic()
    server.signal(first)
    lost = vtepd.wait("lost")[0]
    assert lost.fields["how"] in ("fin", "reset")
    assert lost.t - fault < 1.0
    vtepd.wait("refused", 3)
    server.wait()
    server.start(f"--remote=ptcp:{port}:127.0.0.1")
    vtepd.wait("dumped", 2)
    vtepd.stop()
    outage = history.vtep_outage(vtepd.recorded(), fault)
    assert outage is not None
    assert outage.seconds is not None
    assert outage.connected is not None
    assert outage.heard < outage.lost < outage.connected
    dumped = vtepd.recorded("dumped")[1]
    assert dumped.fields["rows"] == 50
    assert 0 < dumped.fields["gap"] <= outage.seconds  # the event is written after the gap was taken
    assert [event.fields["backoff"] for event in vtepd.recorded("refused")][:3] == [0.1, 0.2, 0.4]


@needs_ovs
def test_a_vtep_daemon_loses_a_frozen_server_by_silence_and_counts_the_rows_it_is_told_of(
    stack: ExitStack, tmp_path: Path
) -> None:
    port = free_port()
    server = Server(stack, tmp_path / "sw1")
    server.start(f"--remote=ptcp:{port}:127.0.0.1")
    server.fill(rows=5)
    options = ("--server", f"tcp:127.0.0.1:{port}", "--name", "sw1", "--probe", "0.6", "--echo", "0.1")
    vtepd = Standin(stack, tmp_path / "vtepd", "vtepd.py", *options)
    vtepd.wait("dumped")
    server.transact({"op": "delete", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", mac_of(0, 3)]]})
    wait_until(lambda: vtepd.recorded("progress") and vtepd.recorded("progress")[-1].fields["rows"] == 4, "the update")
    server.signal(signal.SIGSTOP)
    lost = vtepd.wait("lost")[0]
    assert lost.fields["how"] == "silence"
    assert lost.t - lost.fields["heard"] >= 0.6
    vtepd.wait("lost", 2)  # the kernel of a frozen server still accepts connections
    server.signal(signal.SIGCONT)
    vtepd.wait("dumped", 2)
    vtepd.stop()
    assert len(history.vtep_outages(vtepd.recorded())) == 1, "a session without a dump is part of the same outage"


@needs_ovs
def test_a_vtep_daemon_writes_when_told_to(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    server = Server(stack, tmp_path / "sw1")
    server.start(f"--remote=ptcp:{port}:127.0.0.1")
    server.fill()
    options = ("--server", f"tcp:127.0.0.1:{port}", "--name", "sw1", "--write", "100", "--first", "500")
    vtepd = Standin(stack, tmp_path / "vtepd", "vtepd.py", *options)
    vtepd.wait("acked", 20)
    vtepd.stop()
    acked = [event.fields["mac"] for event in vtepd.recorded("acked")]
    assert acked[0] == mac_of(0x6C, 500)
    assert set(acked) <= set(server.macs("Ucast_Macs_Local"))


@needs_ovs
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to add an address")
def test_the_floor_takes_over_in_the_right_order_when_the_byte_comes(stack: ExitStack, tmp_path: Path) -> None:
    nsx, port = controller(stack, tmp_path)
    server = Server(stack, tmp_path / "sw2")
    server.start()
    server.fill(f"tcp:127.0.0.1:{port}")
    server.appctl("ovsdb-server/set-active-ovsdb-server", "tcp:192.0.2.254:9999")
    server.appctl("ovsdb-server/connect-active-ovsdb-server")
    # An address of loopback's own 127/8 changes nothing for others; it is taken away by the one who added it.
    vip, vip_port = f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}", free_port()
    stack.callback(subprocess.run, ["ip", "address", "delete", f"{vip}/32", "dev", "lo"], check=False)
    options = ("--ctl", server.ctl, "--vip", vip, "--interface", "lo", "--port", str(vip_port))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    floor = stack.enter_context(running(sys.executable, HERE / "floor.py", *options, **pipes))
    assert floor.stdin is not None
    assert floor.stdout is not None
    assert json.loads(floor.stdout.readline())["event"] == "ready"
    assert "state: backup" in server.appctl("ovsdb-server/sync-status")
    fault = time.monotonic()
    floor.stdin.write("!")
    floor.stdin.flush()
    done = json.loads(floor.stdout.readline())
    assert floor.wait(LIMIT) == 0
    assert fault <= done["go"] <= done["promoted"] <= done["managers"] <= done["vip"] <= done["listener"]
    assert "state: active" in server.appctl("ovsdb-server/sync-status")
    assert f"ptcp:{vip_port}:{vip}" in server.appctl("ovsdb-server/list-remotes")
    nsx.wait("acked", 3)
    vtepd = Standin(stack, tmp_path / "vtepd", "vtepd.py", "--server", f"tcp:{vip}:{vip_port}", "--name", "sw2")
    vtepd.wait("dumped")
    assert history.controller_outage(nsx.recorded(), fault).to_accepted is not None
