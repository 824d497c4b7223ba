"""What `ovsha check` says of a healthy pair, and of one thing at a time that is not well, with a remedy that works."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import disk
import pki
import rpc
from lab import Lab
from story import LIMIT, MANAGERS, MakeLab, await_pair, begin, in_sync
from switch import Switch

WHOLE = ("mlag", "server", "replication", "controller", "vip", "peer", "certs", "bfd", "disk")
OK, WARNING, CRITICAL, UNKNOWN = range(4)


def check(switch: Switch, *what: str) -> tuple[int, dict[str, str]]:
    """Return the exit status of `ovsha check`, and its lines by the name of the check."""
    done = switch.ovsha("check", *what, limit=60.0)
    assert not done.stderr, done.stderr
    return done.returncode, {line.split(": ")[0].split()[1]: line for line in done.stdout.splitlines()}


def line(switch: Switch, what: str) -> str:
    """Return the one line of one check."""
    return check(switch, what)[1][what]


def await_line(pair: Lab, switch: Switch, what: str, *words: str, limit: float = LIMIT) -> str:
    """Wait until the check says these words, and return the line."""
    said = [""]

    def says() -> bool:
        said[0] = line(switch, what)
        return all(word in said[0] for word in words)

    pair.wait_until(says, limit, f"check {what} says {words}")
    return said[0]


def document(switch: Switch, what: str) -> dict[str, Any]:
    """Return the one entry of the JSON form."""
    answer = json.loads(switch.ovsha("check", what, "--json", limit=60.0).stdout)
    assert answer["schema"] == 1
    (entry,) = answer["checks"]
    return dict(entry)


def healthy(lab: MakeLab, **wishes: Any) -> Lab:
    """Return a pair that serves on sw1 and is in sync."""
    pair = begin(lab, **wishes)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    return pair


def test_a_healthy_pair_is_well_on_both_sides_in_each_respect(lab: MakeLab) -> None:
    pair = healthy(lab)
    for switch in pair.switches:
        await_line(pair, switch, "peer", "OK")
        status, lines = check(switch)
        assert (status, set(lines)) == (OK, set(WHOLE)), lines
        assert all(each.startswith(f"OK {name}: ") for name, each in lines.items())
    assert "connected to 1 of 1 controllers: 192.168.100.10:6640" in line(pair.sw1, "controller")
    assert "as it should be on the side that does not serve" in line(pair.sw2, "controller")
    assert document(pair.sw1, "vip")["facts"]["on"] == ["peerlink.4094"]


def test_one_of_two_controllers_is_enough_and_none_is_an_outage(lab: MakeLab) -> None:
    pair = healthy(lab)
    manager = {"op": "insert", "table": "Manager", "uuid-name": "m", "row": {"target": "tcp:192.168.100.10:6641"}}
    known = ["managers", "insert", ["set", [["named-uuid", "m"]]]]
    rpc.transact(pair.sw1.socket, manager, {"op": "mutate", "table": "Global", "where": [], "mutations": [known]})
    await_line(pair, pair.sw1, "controller", "OK", "connected to 1 of 2 controllers: 192.168.100.10:6640")
    await_line(pair, pair.sw2, "controller", "OK", "no session with any of 2 controllers")
    pair.controller.kill()
    said = await_line(pair, pair.sw1, "controller", "CRITICAL", "no controller is connected", limit=40.0)
    assert "192.168.100.10:6640 (" in said, "and the server's own words"
    assert "; do: see the route and the firewall to it (ovsha preflight)" in said


def test_a_backup_that_talks_to_the_controller_is_found_by_its_session_and_the_remedy_ends_it(lab: MakeLab) -> None:
    pair = healthy(lab)
    pair.sw2.agent.stop()
    status, lines = check(pair.sw2)
    assert status == CRITICAL
    assert lines["peer"].startswith("CRITICAL peer: without the agent sw1 is not heard here"), lines["peer"]
    assert lines["peer"].endswith("do: start it: systemctl start ovsha")
    assert lines["controller"].startswith("OK"), "the copied row says connected, and there is no session"
    pair.sw2.appctl("ovsdb-server/add-remote", MANAGERS)
    said = await_line(pair, pair.sw2, "controller", "CRITICAL", "connected to 192.168.100.10:6640")
    remedy = said.partition("take the remote away: ")[2].split()
    assert remedy[0] == "ovs-appctl"
    pair.sw2.run(*remedy)
    await_line(pair, pair.sw2, "controller", "OK", "no session with any of 1 controllers")


def test_a_vip_that_is_gone_and_a_server_that_is_frozen_are_named_without_the_agent(lab: MakeLab) -> None:
    pair = healthy(lab)
    for switch in reversed(pair.switches):
        switch.agent.stop()
    pair.sw1.run("ip", "address", "delete", "169.254.0.11/32", "dev", "peerlink.4094")
    said = line(pair.sw1, "vip")
    assert said.startswith("CRITICAL vip: 169.254.0.11 is missing here, although this side serves; do: start the agent")
    assert line(pair.sw2, "vip").startswith("CRITICAL vip: 169.254.0.11 does not answer on port 9998")
    pair.sw1.server.freeze()
    said = line(pair.sw1, "server")
    assert said.startswith("CRITICAL server: ")
    remedy = said.partition("do: let it go on: ")[2].split()
    pair.sw1.run(*remedy)
    await_line(pair, pair.sw1, "server", "OK", "answers, role active")
    pair.sw1.server.kill()
    assert line(pair.sw1, "server").startswith("CRITICAL server: ovsdb-server does not run")
    said = await_line(pair, pair.sw2, "replication", "CRITICAL", "this backup has no session with tcp:169.254.0.9:9999")
    assert "; do: " in said


def test_a_paused_side_is_a_warning_on_both_and_the_remedy_for_what_it_leaves_undone_is_to_resume(lab: MakeLab) -> None:
    pair = healthy(lab)
    assert pair.sw1.ovsha("pause", "--for", "10m", "--yes").returncode == 0
    await_line(pair, pair.sw1, "server", "WARNING", "is paused, and carries out nothing; do: ovsha resume")
    await_line(pair, pair.sw2, "peer", "WARNING", "sw1 is heard, but its agent carries out nothing (mode paused)")
    pair.sw1.run("ip", "address", "delete", "169.254.0.11/32", "dev", "peerlink.4094")
    await_line(pair, pair.sw1, "vip", "CRITICAL", "is missing here", "do: the agent is paused: ovsha resume")
    assert pair.sw1.ovsha("resume", "--yes").returncode == 0
    for what in ("server", "vip"):
        await_line(pair, pair.sw1, what, "OK")


def test_a_backup_that_died_is_missed_by_its_active_side_although_its_agent_still_looks_in(lab: MakeLab) -> None:
    pair = healthy(lab)
    pair.sw2.server.kill()
    said = await_line(pair, pair.sw1, "replication", "CRITICAL", "no backup follows this side")
    assert "; do: " in said
    assert line(pair.sw2, "replication").startswith("CRITICAL replication: nothing is copied, as ovsdb-server does not")
    pair.sw2.server.start()
    await_line(pair, pair.sw1, "replication", "OK", "sw2 follows this side, session up, in sync for")


def test_a_path_that_is_cut_is_a_warning_and_clagd_is_believed_of_the_peer_link(lab: MakeLab) -> None:
    pair = healthy(lab)
    pair.network.cut("backup path")
    for switch in pair.switches:
        await_line(pair, switch, "peer", "WARNING", "is not heard over the backup path", "; do: see that")
    pair.network.mend("backup path")
    await_line(pair, pair.sw1, "peer", "OK")
    pair.network.cut("peer link")
    await_line(pair, pair.sw1, "peer", "WARNING", "is not heard over the peer link")
    said = await_line(pair, pair.sw1, "mlag", "CRITICAL", "the peer link is cut (our role primary)")
    assert said.endswith("do: see the peer link's bond and its ports")
    pair.sw2.clagd.stop()
    assert line(pair.sw2, "mlag").startswith("CRITICAL mlag: clagd does not run, or MLAG is not configured")


def test_a_full_disk_is_critical_until_there_is_room(lab: MakeLab, stack: ExitStack) -> None:
    pair = lab(rows=10)
    state = disk.for_state(stack, pair.sw1)
    pair.start()
    await_pair(pair, pair.sw1)
    assert check(pair.sw1, "disk")[0] == OK
    state.fill()
    status, lines = check(pair.sw1, "disk")
    assert (status, "0 MB free" in lines["disk"], "; do: free some there" in lines["disk"]) == (CRITICAL, True, True)
    state.free()
    assert check(pair.sw1, "disk")[0] == OK


def signed(directory: Path, credentials: pki.Credentials, days: int) -> pki.Credentials:
    """Return the same key with another certificate, which ends in so many days, or ended so many ago."""
    key, asked, made = credentials.private_key, directory / "asked.pem", directory / f"{days}-cert.pem"
    openssl("req", "-new", "-key", str(key), "-subj", "/CN=pair", "-out", str(asked))
    openssl("x509", "-req", "-in", str(asked), "-signkey", str(key), "-days", str(days), "-out", str(made))
    return pki.Credentials(key, made, credentials.ca_certificate)


def openssl(*words: str) -> None:
    """Run the program of that name."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def restart(switch: Switch, credentials: pki.Credentials) -> None:
    """Start the server anew with other files."""
    switch.credentials = credentials
    switch.server.stop()
    switch.server.start()


def test_certificates_are_compared_with_the_peers_and_watched_for_their_end(lab: MakeLab) -> None:
    pair = healthy(lab, tls=True)
    said = line(pair.sw1, "certs")
    assert said.startswith("CRITICAL certs: sw2 has another certificate (")
    assert "; do: copy the certificate and its key from the side that the controller knows" in said
    first, directory = pair.sw1.credentials, pair.directory
    assert first is not None
    restart(pair.sw2, first)
    for switch in pair.switches:
        await_line(pair, switch, "certs", "OK certs: ", "its key matches", "has the same one")
    restart(pair.sw2, signed(directory, first, 10))
    await_line(pair, pair.sw2, "certs", "sw1 has another certificate", "expires in 9 d 23 h")
    restart(pair.sw2, signed(directory, first, -1))
    await_line(pair, pair.sw2, "certs", "CRITICAL", "expired", "do: make a new one, paste it into NSX Manager")
