"""Laws of the checks: what each form of output means to an operator, and what is looked up without an agent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha import config
from ovsha.checks import pair
from ovsha.checks.context import Context
from ovsha.checks.result import Level, Result, joined, ok, warning, worst
from ovsha.config.switch import Server
from ovsha.errors import DriverError
from ovsha.mlag import parse
from ovsha.mlag.parse import facts_of
from ovsha.net import routes
from ovsha.ovsdb import certificates, own_server
from ovsha.ovsdb.certificates import Files
from tests.agent.small_agent import CONFIG
from tests.support.child import child, end

FIXTURES = Path(__file__).parents[1] / "fixtures"
NOBODY: tuple[str, ...] = ()


def judged(text: str) -> Result:
    """Return what the check makes of one answer of clagctl."""
    read = parse.detail_of_json if text.lstrip().startswith("{") else parse.detail_of_text
    return pair.judge(facts_of(text), read(text))


MEANINGS = {
    "clag/json-primary.json": (Level.OK, "peer alive; primary"),
    "clag/json-secondary.json": (Level.OK, "peer alive; secondary"),
    "clag/json-linklocal-backup-false.json": (Level.WARNING, "the backup IP is 'false', which is no address"),
    "clag/json-peer-dead-keys-absent.json": (Level.CRITICAL, "the peer is not alive and the backup path is inactive"),
    "clag/json-peer-dead-keys-empty.json": (Level.CRITICAL, "the peer is not alive and the backup path is inactive"),
    "clag/text-primary.txt": (Level.OK, "peer alive; primary"),
    "clag/text-secondary-vrf.txt": (Level.OK, "peer alive; secondary"),
    "clag/text-peer-dead.txt": (Level.CRITICAL, "the peer is not alive and the backup path is inactive"),
    "clag/text-no-backup-configured.txt": (Level.WARNING, "no backup IP is configured"),
    "clag/text-without-backup-line.txt": (Level.WARNING, "no backup IP is configured"),
    "clag/text-backup-false.txt": (Level.WARNING, "the backup IP is 'false', which is no address"),
    "clag/clagd-down.txt": (Level.CRITICAL, "clagd does not run, or MLAG is not configured"),
    "checks/clagctl-conflict.txt": (
        Level.WARNING,
        "1 interfaces have a conflict: bond2 (duplicate lacp - partner mac)",
    ),
    "checks/clagctl-collapsed.txt": (Level.CRITICAL, "bond2 (duplicate lacp - partner mac)"),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_each_answer_of_clagctl_has_a_meaning_and_what_is_not_well_a_remedy(name: str) -> None:
    level, words = MEANINGS[name]
    found = judged((FIXTURES / name).read_text())
    assert found.level is level
    assert words in found.text
    assert bool(found.do) == (level is not Level.OK)


def test_the_text_form_tells_priorities_addresses_and_each_interface() -> None:
    detail = parse.detail_of_text((FIXTURES / "checks/clagctl-conflict.txt").read_text())
    assert (detail.priority, detail.peer_priority, detail.ident) == (1000, 32768, "44:38:39:00:00:09")
    assert (detail.peer_interface, detail.peer_address) == ("peerlink.4094", "169.254.0.10")
    assert (detail.backup, detail.anycast, detail.system_mac) == ("192.168.100.2", "10.9.9.9", "44:38:39:ff:40:01")
    names = {each.name: (each.peer, each.conflict, each.down) for each in detail.interfaces}
    assert names == {
        "bond1": ("bond1", "", ""),
        "bond2": ("bond2", "duplicate lacp - partner mac", ""),
        "bond3": ("", "", ""),
        "vxln100": ("", "", "vxlan-single"),
    }


def test_a_peer_link_that_is_cut_is_told_from_a_peer_that_is_gone() -> None:
    text = (FIXTURES / "clag/text-peer-dead.txt").read_text()
    assert "the peer link is cut" in judged(text.replace("(inactive)", "(active)")).text


@pytest.mark.parametrize(("ours", "told"), [("mgmt", None), ("", "reaches its backup IP 192.168.100.2 in VRF mgmt")])
def test_a_backup_ip_that_clagd_has_in_another_vrf_than_we_is_told(ours: str, told: str | None) -> None:
    detail = parse.detail_of_text((FIXTURES / "checks/clagctl-conflict.txt").read_text())
    assert (detail.backup, detail.vrf) == ("192.168.100.2", "mgmt")
    own = config.parse(
        "{node: sw1, pair: {id: a}, vip: {address: 169.254.0.11}, backup_path: {vrf: VRF},"
        " nodes: {sw1: {peer_link: 169.254.0.9, backup_path: 192.168.100.1},"
        " sw2: {peer_link: 169.254.0.10, backup_path: 192.168.100.2}}}".replace("VRF", ours or "null"),
        "ovsha.yaml",
    )
    found = pair.other_vrf(own, detail)
    assert (found is None) if told is None else (found is not None and told in found[0])


@given(st.text())
def test_no_output_of_clagctl_is_too_odd_to_be_told(text: str) -> None:
    assert judged(text).level in (Level.UNKNOWN, Level.CRITICAL, Level.WARNING)
    assert parse.detail_of_json(text).priority is None or text.strip()


def test_a_bfd_session_that_is_down_is_a_warning_by_name() -> None:
    up, down = pair.parse((FIXTURES / "checks/ptmctl.txt").read_text())
    assert (up.peer, up.state) == ("10.7.0.4", "Up")
    assert (down.port, down.peer, down.state, down.diagnosis) == ("vxln0", "10.7.0.3", "Down", "Neighbor-signaled")


def test_no_bfd_session_is_none_and_no_table_at_all_is_an_error() -> None:
    titles = "".join((FIXTURES / "checks/ptmctl.txt").read_text().splitlines(keepends=True)[:4])
    assert pair.parse(titles) == []
    with pytest.raises(ValueError, match="Unable to connect"):
        pair.parse("Unable to connect to ptmd\n")


def test_an_option_is_found_in_each_form_of_a_command_line() -> None:
    words = ("ovsdb-server", "--private-key=/k", "-c", "/c", "--sync-from", "tcp:192.0.2.254:9999", "-C/ca", "conf.db")
    assert own_server.option(words, "private-key", "p") == "/k"
    assert own_server.option(words, "certificate", "c") == "/c"
    assert own_server.option(words, "sync-from") == "tcp:192.0.2.254:9999"
    assert own_server.option(words, "ca-cert", "C") == "/ca"
    assert own_server.option(words, "bootstrap-ca-cert") is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_connections_of_a_process_are_its_own_and_established(family: socket.AddressFamily) -> None:
    here = "127.0.0.1" if family is socket.AF_INET else "::1"
    with socket.create_server((here, 0), family=family) as server:
        port = server.getsockname()[1]
        assert [each for each in routes.of(os.getpid()) if port in (each.local_port, each.remote_port)] == []
        with socket.create_connection((here, port)):
            ends = {(each.local_port, each.remote_port) for each in routes.of(os.getpid()) if each.remote_port == port}
            (outgoing,) = ends
            assert outgoing[1] == port
            assert ip_address(here) in {each.remote for each in routes.of(os.getpid()) if each.remote_port == port}


def test_a_process_that_is_gone_has_no_connections_but_an_error() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(DriverError, match=f"process {child.pid}"):
        routes.of(child.pid)


def made(directory: Path, name: str, days: int) -> tuple[Path, Path]:
    """Have openssl make a key and a certificate for so many days."""
    key, certificate = directory / f"{name}-privkey.pem", directory / f"{name}-cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", str(days)]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_every_authority_in_a_file_is_read_and_a_certificate_is_believed_by_its_own(tmp_path: Path) -> None:
    (_, one), (_, other) = made(tmp_path, "one", 10), made(tmp_path, "other", 20)
    both = tmp_path / "both.pem"
    both.write_text(f"a comment\n{one.read_text()}{other.read_text()}")
    assert certificates.read_all(both) == [certificates.read(one), certificates.read(other)]
    assert certificates.believed(one, both)
    assert not certificates.believed(one, other)
    assert certificates.authorities(Files(authority=tmp_path / "missing.pem")) is None
    assert len(certificates.authorities(Files(authority=both)) or []) == 2


def test_a_key_matches_its_own_certificate_and_no_other(tmp_path: Path) -> None:
    key, certificate = made(tmp_path, "sw1", 10)
    other, _ = made(tmp_path, "sw2", 10)
    read = certificates.read(certificate)
    assert certificates.public_half(key) == read.public != certificates.public_half(other)
    assert len(read.fingerprint) == 64
    assert read.ends - read.begins == 10 * 86400
    with pytest.raises(DriverError, match=r"sw1-privkey\.pem: is not a certificate"):
        certificates.read(key)
    with pytest.raises(DriverError, match=r"sw1-cert\.pem: is not a private key"):
        certificates.public_half(certificate)


def test_a_disk_without_room_is_told_once_for_all_that_is_on_it(tmp_path: Path) -> None:
    told: dict[int, str] = {}
    (found,) = pair.look_at("the database", tmp_path, 1 << 60, told)
    assert (found.level, pair.look_at("the snapshots", tmp_path / "later", 1 << 60, told)) == (Level.CRITICAL, [])


def test_what_is_broken_is_worse_than_what_is_not_known() -> None:
    assert worst([Level.OK, Level.UNKNOWN, Level.CRITICAL, Level.WARNING]) is Level.CRITICAL
    assert worst([Level.OK, Level.UNKNOWN]) is Level.UNKNOWN
    assert worst([]) is Level.OK


def test_several_findings_are_one_line_with_the_gravest_first_and_each_remedy_once() -> None:
    low, high = warning("b is odd", "mend it"), replace(warning("a is gone", "mend it"), level=Level.CRITICAL)
    assert joined([low, high], ok("fine")) == Result(Level.CRITICAL, "a is gone; b is odd", "mend it")
    assert joined([], ok("fine")) == ok("fine")


def test_the_bfd_sessions_are_asked_of_ptmctl_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Context(config.parse(CONFIG.format(directory=tmp_path, timeout=5.0), "ovsha.yaml"), None, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pair.check_bfd(look) == ok("ptmctl is not installed, so no BFD session is looked at")
    program = tmp_path / "ptmctl"
    program.write_text(f'#!/bin/sh\nwhile read -r line; do echo "$line"; done < {FIXTURES / "checks/ptmctl.txt"}\n')
    program.chmod(0o755)
    found = pair.check_bfd(look)
    assert (found.level, found.facts) == (Level.WARNING, {"sessions": 2})
    assert "1 of 2 BFD sessions are not up: 10.7.0.3 on vxln0 is Down (Neighbor-signaled)" in found.text
    assert "restart openvswitch-vtep" in found.do


# ------------------------------------------------------------------------------------------- our own server


def server_in(directory: Path) -> Server:
    """Return the places of a server in a directory."""
    named = {"file": directory / "conf.db", "pidfile": directory / "s.pid", "socket": directory / "db.sock"}
    return replace(Server(), **named)


def test_server_that_no_name_leads_to_runs(tmp_path: Path) -> None:
    with child(tmp_path) as process:
        assert own_server.look_at(server_in(tmp_path)).pid == process.pid


@pytest.mark.parametrize("named", [True, False], ids=["named by the pidfile", "found by its file"])
def test_server_that_died_and_whose_status_nobody_took_does_not_run(tmp_path: Path, named: bool) -> None:
    server = server_in(tmp_path)
    with child(tmp_path) as process:
        if named:
            server.pidfile.write_text(f"{process.pid}\n")
        end(process)
        seen = own_server.look_at(server)
        assert Path(f"/proc/{process.pid}").exists(), "it is a zombie"
        assert seen.pid is None
    why = "names a process that is gone" if named else "does not exist"
    assert seen.trouble == f"{server.pidfile} {why}"
