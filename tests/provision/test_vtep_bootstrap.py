"""Laws of vtep-bootstrap: what its options mean, which configuration follows, and which rows are still lacking."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

from ovsha import config
from ovsha.errors import DriverError, UsageError
from ovsha.net.routes import Held
from ovsha.provision import config_file, server_options, vtep_options, vtep_plan, vtep_rows, vtep_tools
from ovsha.provision.discover import Found
from ovsha.provision.vtep_options import Options
from ovsha.provision.vtep_rows import Rows

HA = ["--db_ha_vip", "169.254.0.11:9998", "--db_ha_repl_sv", "169.254.0.9:9999"]
PAGE = ["--db_ha", "active", *HA, "--controller_ip", "192.168.100.17"]
PLACES = ["vtep7", "172.16.20.157", "192.168.100.157"]
DATABASE = Path("/var/lib/openvswitch/vtep.db")
FOUND = Found("peerlink.4094", "169.254.0.9", "169.254.0.10", "192.168.0.1", "192.168.0.2")
THERE = Found("peerlink.4094", "169.254.0.10", "169.254.0.9", "192.168.0.2", "192.168.0.1")


def read(*words: str) -> Options:
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    vtep_options.add(parser)
    return vtep_options.read(parser.parse_args([*words, *PLACES]))


def held(*addresses: str) -> list[Held]:
    return [Held(interface, ip_interface(address)) for interface, address in (each.split() for each in addresses)]


SW1 = held("lo 127.0.0.1/8", "peerlink.4094 169.254.0.9/29", "eth0 192.168.0.1/24")
SW2 = held("lo 127.0.0.1/8", "peerlink.4094 169.254.0.10/29", "eth0 192.168.0.2/24")


def configured(wanted: Options, found: Found, here: list[Held], older: config.Config | None = None) -> config.Config:
    return config.parse(config_file.render(vtep_plan.pair(wanted, older, found, here, DATABASE)), "it")


def test_the_pages_words_are_understood() -> None:
    wanted = read(*PAGE)
    assert (wanted.name, wanted.tunnel_ip, wanted.management_ip) == tuple(PLACES)
    assert (wanted.side, wanted.vip, wanted.vip_port) == ("active", "169.254.0.11", 9998)
    assert (wanted.source, wanted.replication_port) == ("169.254.0.9", 9999)
    assert wanted.controllers == ("ssl:192.168.100.17:6640",)


def test_dashes_and_underscores_are_the_same() -> None:
    dashed = [word.replace("_", "-") if word.startswith("--") else word for word in PAGE]
    paths = ["--credentials_path", "/tmp/c", "--pki_path", "/tmp/p", "--no-encryption", "--controller-port", "6632"]
    other = ["--credentials-path", "/tmp/c", "--pki-path", "/tmp/p", "--no_encryption", "--controller_port", "6632"]
    assert read(*dashed, *paths) == read(*PAGE, *other)


def test_several_controllers_are_taken_in_each_way_and_once() -> None:
    given = ["10.0.0.1,10.0.0.2", "10.0.0.2", "fd00::1", "[fd00::2]:6632", "10.0.0.3:6641"]
    wanted = read(*(word for each in given for word in ("--controller_ip", each)), "--no_encryption")
    assert wanted.controllers == (
        "tcp:10.0.0.1:6640", "tcp:10.0.0.2:6640", "tcp:[fd00::1]:6640", "tcp:[fd00::2]:6632", "tcp:10.0.0.3:6641",
    )  # fmt: skip


def test_addresses_of_ipv6_stand_in_brackets() -> None:
    words = ["--db_ha", "active", "--db_ha_vip", "[fd00::11]:9998", "--db_ha_repl_sv", "[fd00::9]:9999"]
    here = held("peerlink.4094 fd00::9/64")
    made = configured(read(*words), Found("peerlink.4094", "fd00::9", "fd00::10"), here)
    assert str(made.vip.address) == "fd00::11"
    assert [str(node.peer_link) for node in made.nodes.values()] == ["fd00::9", "fd00::10"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--db_ha", "active", *HA[:2]], "--db_ha_repl_sv: is missing, which --db_ha active needs"),
        (HA, "--db_ha_vip: belongs to a pair: add --db_ha active or --db_ha standby"),
        ([*PAGE, "--db_ha_vip", "169.254.0.11:99980"], "--db_ha_vip: 99980 is not a port from 1 to 65535"),
        ([*PAGE, "--db_ha_vip", "[fd00::1]9"], r"--db_ha_vip: .* is not ADDRESS:PORT"),
        ([*PAGE, "--db_ha_vip", "169.254.0.9:9998"], "--db_ha_repl_sv: 169.254.0.9 is the VIP"),
        ([*PAGE, "--controller_ip", "10.0.0.1,"], "--controller_ip: an address is missing"),
        ([*PAGE, "--controller_ip", ""], "--controller_ip: an address is missing"),
        ([*PAGE, "--db_ha_vip", "169.254.0.11:"], "--db_ha_vip: what stands behind the colon is not a port"),
        ([*PAGE, "--db_ha_vip", "fd00::11:9998"], r"--db_ha_vip: is fd00::11:9998 an address, or one with a port\?"),
        ([*PAGE, "--node", "a b"], r"--node: 'a b' is not a name"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_option(words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(*words)


def test_both_sides_come_to_the_same_pair() -> None:
    active = configured(read(*PAGE), FOUND, SW1)
    standby = configured(read("--db_ha", "standby", *HA), THERE, SW2)
    assert (active.node, standby.node) == ("vtep7-1", "vtep7-2")
    assert dict(active.nodes) == dict(standby.nodes)
    assert active.pair == standby.pair
    assert active.pair.preferred == "vtep7-1"
    assert active.pair.key_file == Path("/var/lib/openvswitch/vtep7-privkey.pem")


def test_the_vrf_of_clagds_backup_path_is_taken_with_its_address() -> None:
    inside = replace(FOUND, vrf="mgmt")
    assert configured(read(*PAGE), inside, SW1).backup_path.vrf == "mgmt"
    assert configured(read(*PAGE), FOUND, SW1).backup_path.vrf == ""
    older = configured(read(*PAGE), FOUND, SW1)
    elsewhere = replace(inside, own_backup="10.9.9.1", peer_backup="10.9.9.2")
    assert configured(read(*PAGE), elsewhere, SW1, older).backup_path.vrf == "", "the older address stays"


def test_the_standby_finds_its_address_in_the_subnet_without_clagd() -> None:
    here = [*SW2, *held("peerlink.4094 169.254.0.11/29")]
    made = configured(read("--db_ha", "standby", *HA), Found(trouble=("clagctl is not installed",)), here)
    assert str(made.nodes["vtep7-2"].peer_link) == "169.254.0.10"
    assert made.peer_link.interface == "peerlink.4094"


def test_the_active_side_asks_for_what_clagd_does_not_tell() -> None:
    with pytest.raises(DriverError, match=r"\(clagctl is not installed\): add --peer-ip"):
        configured(read(*PAGE), Found(trouble=("clagctl is not installed",)), SW1)
    made = configured(read(*PAGE, "--peer-ip", "169.254.0.10"), Found(), SW1)
    assert str(made.nodes["vtep7-2"].peer_link) == "169.254.0.10"


@pytest.mark.parametrize(
    ("words", "found", "here", "told"),
    [
        (PAGE, THERE, SW2, "but the peer's, by clagd's word: is this the standby"),
        (["--db_ha", "standby", *HA], FOUND, SW1, "this switch's own address"),
        (["--db_ha", "standby", *HA], Found("peerlink.4094", "169.254.0.10", "169.254.0.12"), SW2, "a wrong peer"),
        (["--db_ha", "standby", *HA], Found(), SW2[:1], "no interface of this switch is in the subnet of 169.254.0.9"),
    ],
)
def test_a_side_that_cannot_be_this_switch_is_refused(
    words: list[str], found: Found, here: list[Held], told: str
) -> None:
    with pytest.raises(DriverError, match=told):
        configured(read(*words), found, here)


def test_names_paths_and_keys_of_an_older_file_are_kept() -> None:
    named = read(*PAGE, "--node", "leaf01", "--peer-name", "leaf02")
    text = config_file.render(vtep_plan.pair(named, None, FOUND, SW1, DATABASE))
    older = config.parse(text.replace("192.168.0.2", "10.9.9.2"), "older")
    again = configured(read(*PAGE), FOUND, SW1, older)
    assert (again.node, again.peer, again.pair.preferred) == ("leaf01", "leaf02", "leaf01")
    assert str(again.nodes["leaf02"].backup_path) == "10.9.9.2"


def test_a_switch_of_its_own_can_become_the_first_of_a_pair_and_not_the_other_way() -> None:
    alone = config.parse(config_file.render(vtep_plan.alone(read(), None, DATABASE)), "it")
    assert alone.standalone
    paired = configured(read(*PAGE), FOUND, SW1, alone)
    assert (paired.node, paired.peer) == ("vtep7-1", "vtep7-2")
    with pytest.raises(UsageError, match="--db_ha: is missing, and vtep7-1 is one of a pair with vtep7-2"):
        vtep_plan.alone(read(), paired, DATABASE)


WHOLE = Rows({"vtep7": (["172.16.20.157"], ["192.168.100.157"])}, ["ssl:192.168.100.17:6640"])


def test_an_empty_database_gets_all_rows_in_one_transaction() -> None:
    line = vtep_rows.command(vtep_rows.changes(read(*PAGE), Rows({}, [])), "unix:/s")
    assert line[:3] == ["vtep-ctl", "--db=unix:/s", "--timeout=30"]
    assert [part.split()[0] for part in " ".join(line[3:]).split("-- ")[1:]] == ["add-ps", "set-manager", "set", "set"]


def test_what_is_there_is_not_made_again() -> None:
    assert vtep_rows.command(vtep_rows.changes(read(*PAGE), WHOLE), "unix:/s") == []


def test_the_controllers_that_a_known_one_has_brought_stay() -> None:
    there = Rows(WHOLE.switches, [*WHOLE.managers, "ssl:192.168.100.50:6640"])
    assert vtep_rows.command(vtep_rows.changes(read(*PAGE), there), "unix:/s") == []
    (change,) = [each for each in vtep_rows.changes(read(*PAGE, "--controller_ip", "10.0.0.1"), there) if each.words]
    assert "set-manager" not in change.words
    assert 'target="ssl:10.0.0.1:6640"' in change.words


def test_a_strange_controller_takes_the_place_of_the_old_ones_and_says_so() -> None:
    words = [*PAGE[:-1], "10.0.0.1"]
    (change,) = [each for each in vtep_rows.changes(read(*words), WHOLE) if each.words]
    assert change.words == ("set-manager", "ssl:10.0.0.1:6640")
    assert change.note == "instead of ssl:192.168.100.17:6640"


def test_a_second_physical_switch_is_refused() -> None:
    with pytest.raises(DriverError, match="has the physical switch vtep8, and vtep7 would be a second one"):
        vtep_rows.changes(read(*PAGE), Rows({"vtep8": ([], [])}, []))


def test_the_servers_other_options_are_kept_and_its_certificate_is_replaced() -> None:
    before = ["--ssl-protocols=TLSv1.2", "--certificate=/old", "--ca-cert=/ca"]
    after = server_options.words(read(*PAGE), before)
    assert after == ["--ssl-protocols=TLSv1.2", *server_options.tls(read(*PAGE))]
    assert server_options.words(read(*PAGE), after) == after
    assert server_options.words(read("--no_encryption"), after) == ["--ssl-protocols=TLSv1.2"]


def test_the_authority_is_put_where_the_server_may_write() -> None:
    for place, authority in (("/home/cumulus", "/home/cumulus"), ("/root", "/var/lib/openvswitch")):
        told = server_options.tls(read(*PAGE, "--credentials-path", place))
        assert told[-1] == f"--bootstrap-ca-cert={authority}/controller.cacert"


def test_the_vendors_program_gets_its_own_options_only() -> None:
    wanted = read(*PAGE, "--controller_ip", "10.0.0.1", "--node", "leaf01")
    paths = ["--credentials-path", str(wanted.credentials), "--pki-path", str(wanted.pki), *PLACES]
    controller = ["--controller_ip", "192.168.100.17", "--controller_port", "6640"]
    assert vtep_tools.arguments(wanted, pairs=False) == [*controller, *paths]
    assert vtep_tools.arguments(wanted, pairs=True) == ["--db_ha", "active", *HA, *controller, *paths]


def test_the_vendors_program_is_not_run_where_it_would_do_harm() -> None:
    assert vtep_tools.hindrance(read(*PAGE), pairs=False, ours_runs=False) == ""
    assert vtep_tools.hindrance(read("--db_ha", "standby", *HA), pairs=True, ours_runs=False) == ""
    assert "standby" in vtep_tools.hindrance(read("--db_ha", "standby", *HA), pairs=False, ours_runs=False)
    assert "already" in vtep_tools.hindrance(read(*PAGE), pairs=True, ours_runs=True)


def test_ours_under_the_vendors_name_is_not_taken_for_the_vendors(tmp_path: Path) -> None:
    ours = tmp_path / "ovsha-vtep-bootstrap"
    ours.write_text("#!/usr/bin/python3\nfrom ovsha.cli.vtep_main import main\n")
    ours.chmod(0o755)
    (tmp_path / "vtep-bootstrap").symlink_to(ours)
    there = {"PATH": str(tmp_path)}
    assert vtep_tools.find(there) is None
    moved = tmp_path / "vtep-bootstrap.distrib"
    moved.write_text("#!/bin/sh\n")
    moved.chmod(0o755)
    assert vtep_tools.find(there) == str(moved)
    assert vtep_tools.find({**there, vtep_tools.WITHIN: "1"}) is None


@pytest.mark.parametrize(
    ("script", "aware"),
    [
        ("set ovs-vtepd\n# set \"$@\" --enable-vlan-aware-mode\n", False),
        ("set ovs-vtepd\n  set \"$@\" --enable-vlan-aware-mode\n", True),
        ("", False),
    ],
)
def test_the_mode_of_the_vtep_daemon_is_that_of_the_vendors_script(script: str, aware: bool) -> None:
    assert vtep_tools.is_vlan_aware(script) == aware


def test_the_vtep_daemon_connects_to_the_vip_or_to_the_own_server() -> None:
    alone = config.parse("pair: {id: a}\nnode: b\nnodes: {b: {}}\n", "it")
    for made, server in (
        (configured(read(*PAGE), FOUND, SW1), "tcp:169.254.0.11:9998"),
        (alone, "unix:/var/run/openvswitch/db.sock"),
    ):
        assert f"ExecStart=/usr/bin/ovs-vtepd {server} -v" in vtep_tools.unit("/usr/bin/ovs-vtepd", made)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit_of_the_vtep_daemon(tmp_path: Path) -> None:
    file = tmp_path / vtep_tools.FILE.name
    file.write_text(vtep_tools.unit("/bin/true", configured(read(*PAGE), FOUND, SW1)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False)
    assert vtep_tools.UNIT not in done.stderr
