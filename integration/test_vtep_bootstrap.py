"""The vendor's command line sets a pair up on real ovs-pki, vtep-ctl and ovsdb-server, again too, or says why not."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from boxes import Box, two, until
from topology import INTERFACE

VIP, ACTIVES = "169.254.0.11:9998", "169.254.0.9:9999"
REST = "vtep7 172.16.20.157 192.168.100.157"
PAGE = f"--db_ha {{}}  --db_ha_vip {VIP}  --db_ha_repl_sv {ACTIVES} --controller_ip 192.168.100.17 {REST}"
ACTIVE, STANDBY = PAGE.format("active"), PAGE.format("standby")
WITHOUT = f"--db_ha {{}} --db_ha_vip {VIP} --db_ha_repl_sv {ACTIVES} --no_encryption {REST}"
DATA = "/var/lib/openvswitch"
CREDENTIALS = (f"{DATA}/vtep7-privkey.pem", f"{DATA}/vtep7-cert.pem")
STEPS = [
    "create certificate on a switch, to be used for authentication with controller",
    "sign certificate",
    "define physical switch",
    "define NSX controller IP address in OVSDB",
    "define local tunnel IP address on the switch",
    "define management IP address on the switch",
    "put certificate, key and configuration in their places",
    "restart a service",
]
RESTART = "systemctl restart ovsha-ovsdb-server ovsha"
PIDS = "cat /run/openvswitch/*.pid /run/units/*.service"
Pair = tuple[Box, Box]


@pytest.fixture
def pair(needs_lab: None) -> Iterator[Pair]:
    """Give two switches with clagd, and nothing configured."""
    with two() as pair:
        yield pair


@pytest.fixture(scope="module")
def fresh(needs_lab: None) -> Iterator[Pair]:
    """Give two such switches to all stories at whose end nothing is configured either."""
    with two() as pair:
        yield pair


@pytest.fixture
def untouched(fresh: Pair) -> Iterator[Pair]:
    """Give these, and see afterwards that nothing was done on them."""
    yield fresh
    for switch in fresh:
        nothing_was_done(switch)


@pytest.fixture(scope="module")
def served(needs_lab: None) -> Iterator[Box]:
    """Give an active side to the stories after which it still is one, and has the rows that it had."""
    with two() as (sw1, _):
        sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
        yield sw1


def reported(output: str) -> list[tuple[str, str]]:
    """Return the steps that were reported, in the vendor's form, with the output of each."""
    found = re.findall(r"^Executed:\n {10}(\S.*)\n {12}\(([^()]*)\)\.$", output, re.MULTILINE)
    assert len(found) == output.count("Executed:"), output
    return found


def rows(switch: Box) -> dict[str, list[dict[str, Any]]]:
    """Return what the server of the switch has, by table: the UUID of each row and what the wrapper writes of it."""
    columns = {"Physical_Switch": ["_uuid", "name", "tunnel_ips", "management_ips"], "Manager": ["_uuid", "target"]}
    select = [{"op": "select", "table": each, "where": [], "columns": names} for each, names in columns.items()]
    question = json.dumps(["hardware_vtep", *select])
    answer = switch.sh(f"ovsdb-client transact unix:/run/openvswitch/db.sock '{question}'")
    return {table: each["rows"] for table, each in zip(columns, json.loads(answer), strict=True)}


def copy_credentials(pair: Pair) -> None:
    """Do what the vendor's page says: certificate and key of the active go to the standby."""
    sw1, sw2 = pair
    for path in CREDENTIALS:
        sw2.write(path, sw1.read(path), 0o600 if "privkey" in path else 0o644)


def in_sync(pair: Pair) -> None:
    sw1, _ = pair
    for switch in pair:
        until(lambda: switch.run("ovsha", "sync-status").returncode == 0, "it is in sync")  # noqa: B023
    assert sw1.sh("ip -o address show to 169.254.0.11")


def nothing_was_done(switch: Box) -> None:
    there = switch.sh("ls -A /etc/ovsha /etc/default/ovsha-ovsdb-server /run/openvswitch 2>/dev/null || true")
    assert "yaml" not in there
    assert "pid" not in there
    assert switch.sh(f"ls -A {DATA}").split() in ([], ["pki"])


def refused(switch: Box, arguments: str, status: int) -> str:
    """Run the wrapper, which must fail with one line, and return that."""
    done = switch.run("ovsha-vtep-bootstrap", *shlex.split(arguments))
    assert done.returncode == status, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


def run_again_it_changes_nothing(pair: Pair) -> None:
    """Run the wrapper again on both switches of a pair, and see that rows, files and processes stay what they are."""
    sw1, sw2 = pair
    look = f"md5sum /etc/ovsha/* /etc/default/ovsha* {DATA}/*.pem; {PIDS}"
    before, files = rows(sw2), [switch.sh(look) for switch in pair]
    for switch, arguments in ((sw1, ACTIVE), (sw2, STANDBY)):
        again = switch.sh(f"ovsha-vtep-bootstrap {arguments}")
        assert "nothing that they read has changed" in dict(reported(again))["restart a service"]
        assert again.splitlines()[-1].endswith("in sync")
    assert rows(sw1) == rows(sw2) == before, "no row is new, and none has another UUID"
    assert files == [switch.sh(look) for switch in pair], "no file is new, and no process"


def test_the_pages_arguments_lead_to_a_pair_in_sync_and_again_to_the_same(pair: Pair) -> None:
    sw1, sw2 = pair
    output = sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert [name for name, _ in reported(output)] == STEPS
    assert re.fullmatch(r"vtep7-req.pem\t.*\n +fingerprint [0-9a-f]{40}", dict(reported(output))["sign certificate"])
    told = sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    assert "sealed with another key; do: copy pair.key_file" in told.splitlines()[-1]
    assert sw2.sh(f"ip -o address show to {VIP.partition(':')[0]}") == "", "it does not serve"
    copy_credentials(pair)
    sw2.sh(RESTART)
    in_sync(pair)
    assert rows(sw1) == rows(sw2)
    assert [each["target"] for each in rows(sw2)["Manager"]] == ["ssl:192.168.100.17:6640"]
    run_again_it_changes_nothing(pair)


@pytest.mark.long
def test_the_standby_may_come_first(pair: Pair) -> None:
    sw1, sw2 = pair
    sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    sw2.sh(RESTART)
    in_sync(pair)


def test_without_encryption_the_standby_asks_for_the_key(pair: Pair) -> None:
    sw1, sw2 = pair
    sw1.sh(f"ovsha-vtep-bootstrap {WITHOUT.format('active')}")
    line = refused(sw2, WITHOUT.format("standby"), 1)
    assert "/etc/ovsha/pair.key: the pair key is missing here: copy it from vtep7-1" in line
    nothing_was_done(sw2)
    sw2.write("/etc/ovsha/pair.key", sw1.read("/etc/ovsha/pair.key"), 0o600)
    sw2.sh(f"ovsha-vtep-bootstrap {WITHOUT.format('standby')}")
    in_sync(pair)


def test_more_controllers_come_beside_the_first_and_keep_its_row(served: Box) -> None:
    (first,) = rows(served)["Manager"]
    more = ACTIVE.replace("192.168.100.17", "192.168.100.17,192.168.100.18 --controller_ip 192.168.100.19:6632")
    served.sh(f"ovsha-vtep-bootstrap {more}")
    managers = rows(served)["Manager"]
    assert first in managers
    targets = sorted(each["target"] for each in managers)
    assert targets == ["ssl:192.168.100.17:6640", "ssl:192.168.100.18:6640", "ssl:192.168.100.19:6632"]


def test_dry_run_shows_all_and_does_nothing(untouched: Pair) -> None:
    sw1, _ = untouched
    shown = sw1.sh(f"ovsha vtep-bootstrap --dry-run {ACTIVE}")
    assert [line.split(". ")[1] for line in shown.splitlines() if re.match(r"\d+\. ", line)][:3] == STEPS[:3]
    assert "+  key_file: /var/lib/openvswitch/vtep7-privkey.pem" in shown


@pytest.mark.long
def test_a_switch_of_its_own_serves_alone(pair: Pair) -> None:
    sw1, sw2 = pair
    sw1.sh("ovsha-vtep-bootstrap --controller_ip 192.168.100.17 " + REST)
    assert "standalone" in sw1.sh("ovsha status || true")
    assert rows(sw1)["Physical_Switch"]
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)


def test_the_vendors_program_does_its_part_first(pair: Pair) -> None:
    sw1, _ = pair
    sw1.install_vendors_bootstrap(f"{DATA}/conf.db")
    sw1.database(None, f"{DATA}/conf.db")
    output = sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert "run /usr/bin/vtep-bootstrap" in output
    assert sw1.sh("ls /home/cumulus").split() == ["vtep7-cert.pem", "vtep7-privkey.pem", "vtep7-req.pem"]
    assert len(rows(sw1)["Physical_Switch"]) == 1
    assert sw1.run("systemctl", "is-enabled", "openvswitch-vtep").stdout == "disabled\n"
    assert sw1.sh("ip -o address show to 169.254.0.11")


def test_a_failing_vendors_program_is_told_and_nothing_of_ours_is_written(pair: Pair) -> None:
    sw1, _ = pair
    sw1.install_vendors_bootstrap(f"{DATA}/conf.db")
    with sw1.replaced("vtep-ctl", "exit 1"):
        line = refused(sw1, ACTIVE, 1)
    assert "run /usr/bin/vtep-bootstrap: /usr/bin/vtep-bootstrap ended with status 1" in line
    assert "Failed to define physical switch" in line
    assert sw1.sh("ls -A /etc/ovsha 2>/dev/null || true") == ""


BAD = [
    (ACTIVE.replace(VIP, "169.254.0.300"), "--db_ha_vip: '169.254.0.300' is not an IP address"),
    (ACTIVE.replace(VIP, "169.254.0.11:0"), "--db_ha_vip: 0 is not a port"),
    (ACTIVE.replace(f"--db_ha_vip {VIP}", ""), "--db_ha_vip: is missing"),
    (ACTIVE.replace("--db_ha active", "--db_ha master"), "argument --db_ha"),
    (ACTIVE.replace(ACTIVES, "169.254.0.10:9999"), "but the peer's, by clagd's word: is this the standby?"),
    (STANDBY, "is this the active one? Then say --db_ha active"),
    (ACTIVE.replace("172.16.20.157", "nowhere"), "TUNNEL_IP: 'nowhere' is not an IP address"),
]


def test_a_bad_option_is_answered_by_one_line(untouched: Pair) -> None:
    sw1, _ = untouched
    for arguments, told in BAD:
        assert told in refused(sw1, arguments, 2)


def test_a_wrong_peer_is_answered_by_one_line(untouched: Pair) -> None:
    _, sw2 = untouched
    assert "is a wrong peer: clagd's peer is 169.254.0.9" in refused(sw2, STANDBY.replace("0.9:", "0.12:"), 1)


def test_a_taken_vip_is_answered_by_one_line(untouched: Pair) -> None:
    sw1, sw2 = untouched
    link = INTERFACE["peer link"]
    sw2.sh(f"ip link add other link {link} type macvlan mode bridge; ip link set other up")
    sw2.sh("ip address add 169.254.0.11/29 dev other; sysctl -qw net.ipv4.conf.all.arp_ignore=1")
    try:
        assert "--db_ha_vip: 169.254.0.11 is taken" in refused(sw1, ACTIVE, 1)
    finally:
        sw2.sh("ip link delete other; sysctl -qw net.ipv4.conf.all.arp_ignore=0")


def test_a_key_without_its_certificate_is_answered_by_one_line(untouched: Pair) -> None:
    sw1, _ = untouched
    sw1.write(CREDENTIALS[0], "not much", 0o600)
    try:
        assert f"{CREDENTIALS[0]} is there without vtep7-cert.pem" in refused(sw1, ACTIVE, 1)
        assert sw1.read(CREDENTIALS[0]) == "not much"
    finally:
        sw1.path(CREDENTIALS[0]).unlink()


def test_a_full_disk_is_answered_by_one_line_and_nothing_is_half_written(untouched: Pair) -> None:
    sw1, _ = untouched
    sw1.sh("mkdir -p /run/small; mount -t tmpfs -o size=64k small /run/small")
    sw1.sh("head -c 60000 /dev/zero >/run/small/a")
    line = refused(sw1, f"--credentials-path /run/small {ACTIVE}", 1)
    assert "create certificate on a switch" in line or "sign certificate" in line
    assert "room on the disk" in line
    assert sw1.sh("ls -A /run/small").split() == ["a"]
    assert sw1.sh("ls -A /etc/ovsha 2>/dev/null || true") == ""
    sw1.sh("umount /run/small")


def test_a_refused_row_names_its_step_and_leaves_no_file(untouched: Pair) -> None:
    sw1, _ = untouched
    with sw1.replaced("vtep-ctl", "echo vtep-ctl: no >&2; exit 1"):
        assert "define physical switch: vtep-ctl: no" in refused(sw1, ACTIVE, 1)
    assert "ovsdb-server" not in sw1.programs(), "the private server has ended"


def test_another_switchs_database_is_not_given_a_second_one(served: Box) -> None:
    line = refused(served, ACTIVE.replace("vtep7", "vtep8"), 1)
    assert "the database has the physical switch vtep7, and vtep8 would be a second one" in line


def test_a_server_that_runs_keeps_its_data_and_gets_the_rows(pair: Pair) -> None:
    sw1, sw2 = pair
    sw1.database(None, f"{DATA}/conf.db")
    sw1.vendor_serves(f"{DATA}/conf.db")
    sw1.sh("vtep-ctl add-ls kept")
    assert "by the server that runs here and is active" in sw1.sh(f"ovsha vtep-bootstrap --dry-run {ACTIVE}")
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert "disabled" in sw1.run("systemctl", "is-enabled", "openvswitch-vtep").stdout
    assert sw1.sh("vtep-ctl list-ls").split()[-1] == "kept"
    assert f"file: {DATA}/conf.db" not in sw1.read("/etc/ovsha/ovsha.yaml"), "it is the default"
    copy_credentials(pair)
    sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    assert rows(sw1) == rows(sw2)


def test_a_server_that_its_service_leaves_running_gives_way(pair: Pair) -> None:
    sw1, _ = pair
    sw1.database(None, f"{DATA}/conf.db")
    sw1.vendor_serves(f"{DATA}/conf.db")
    sw1.sh("vtep-ctl add-ls kept")
    sw1.vendors_server_is_left_running()
    assert "which was left running, has ended" in sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert sw1.sh("vtep-ctl list-ls").split()[-1] == "kept"


@pytest.mark.long
def test_a_backup_is_told_from_what_can_be_written_to(pair: Pair) -> None:
    sw1, sw2 = pair
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    sw1.sh("ovsha switchover --yes --reason test")
    until(lambda: sw2.sh("ip -o address show to 169.254.0.11"), "sw2 serves")
    until(lambda: sw1.run("ovsha", "sync-status").returncode == 0, "it is in sync")
    again = sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert again.splitlines()[-1].startswith("vtep7-1 of vtep7: in sync")
    line = refused(sw1, ACTIVE.replace("192.168.100.157", "192.168.100.158"), 1)
    assert "this side is the backup, and its copy lacks what --db_ha active brings" in line
    assert "ovsha switchover to vtep7-1" in line


def test_the_operator_is_asked_unless_it_stands_in_for_the_vendors(untouched: Pair) -> None:
    sw1, _ = untouched
    done = sw1.run("ovsha", "vtep-bootstrap", *shlex.split(ACTIVE))
    assert (done.returncode, done.stderr) == (2, "ovsha: there is no terminal to ask at; add --yes to have it done\n")


@pytest.mark.long
def test_killed_at_any_moment_it_is_run_again_to_the_same_end(pair: Pair) -> None:
    sw1, _ = pair
    started = 'sh -c \'echo $$ >/run/killed; exec ovsha-vtep-bootstrap "$@"\' x'
    for moment in ("ovs-pki", "vtep-ctl"):
        with sw1.replaced(moment, 'kill -9 "$(cat /run/killed)"; exit 1'):
            assert sw1.run("sh", "-c", f"{started} {ACTIVE}").returncode == 137
        assert sw1.sh("ls -A /etc/ovsha 2>/dev/null || true") == ""
        assert not [name for name in sw1.sh(f"ls {DATA}").split() if name.endswith(".pem")]
        until(lambda: "ovsdb-server" not in sw1.programs(), "the private server has ended too")
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert [each["name"] for each in rows(sw1)["Physical_Switch"]] == ["vtep7"]
    assert [name for name in sw1.sh(f"ls -A {DATA}").split() if "ovsha" in name] == []


def test_the_vtep_daemons_of_both_switches_connect_to_the_vip(pair: Pair) -> None:
    sw1, sw2 = pair
    for switch in pair:
        switch.install_vtepd()
    sw1.sh(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    sw2.sh(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    assert rows(sw1) == rows(sw2)
    for switch in pair:
        unit = switch.read("/etc/systemd/system/ovsha-vtepd.service")
        (start,) = re.findall(r"^ExecStart=/usr/bin/ovs-vtepd (.*)$", unit, re.MULTILINE)
        assert start.split()[0] == "tcp:169.254.0.11:9998"
        assert start.split()[-1] == "--enable-vlan-aware-mode"
        until(lambda: '"dumped"' in switch.sh("cat /run/vtepd.events || true"), "its daemon has the rows")  # noqa: B023
        assert switch.sh("systemctl is-enabled ovsha-vtepd") == "enabled\n"
    run_again_it_changes_nothing(pair)
