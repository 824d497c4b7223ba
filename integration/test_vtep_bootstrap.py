"""The vendor's command line sets a pair up on real ovs-pki, vtep-ctl and ovsdb-server, again too, or says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bare_switch import BarePair, BareSwitch
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


@pytest.fixture
def pair(needs_lab: None) -> Iterator[BarePair]:
    """Give two switches with clagd, and nothing configured."""
    with BarePair() as pair:
        pair.sw1.clagd()
        pair.sw2.clagd()
        yield pair


def reported(output: str) -> list[tuple[str, str]]:
    """Return the steps that were reported, in the vendor's form, with the output of each."""
    found = re.findall(r"^Executed:\n {10}(\S.*)\n {12}\(([^()]*)\)\.$", output, re.MULTILINE)
    assert len(found) == output.count("Executed:"), output
    return found


def rows(switch: BareSwitch) -> dict[str, list[dict[str, Any]]]:
    """Return what the server of the switch has, by table: the UUID of each row and what the wrapper writes of it."""
    columns = {"Physical_Switch": ["_uuid", "name", "tunnel_ips", "management_ips"], "Manager": ["_uuid", "target"]}
    select = [{"op": "select", "table": each, "where": [], "columns": names} for each, names in columns.items()]
    question = json.dumps(["hardware_vtep", *select])
    answer = switch.ok(f"ovsdb-client transact unix:/run/openvswitch/db.sock '{question}'")
    return {table: each["rows"] for table, each in zip(columns, json.loads(answer), strict=True)}


def copy_credentials(pair: BarePair) -> None:
    """Do what the vendor's page says: certificate and key of the active go to the standby."""
    for path in CREDENTIALS:
        pair.sw2.write(path, pair.sw1.read(path), 0o600 if "privkey" in path else 0o644)


def in_sync(pair: BarePair) -> None:
    for switch in (pair.sw1, pair.sw2):
        switch.until(lambda: switch.sh("ovsha sync-status").returncode == 0, "it is in sync")  # noqa: B023
    assert pair.sw1.ok("ip -o address show to 169.254.0.11")


def nothing_was_done(switch: BareSwitch) -> None:
    there = switch.ok("ls -A /etc/ovsha /etc/default/ovsha-ovsdb-server /run/openvswitch 2>/dev/null || true")
    assert "yaml" not in there
    assert "pid" not in there
    assert switch.ok(f"ls -A {DATA}").split() in ([], ["pki"])


def refused(switch: BareSwitch, arguments: str, status: int) -> str:
    """Run the wrapper, which must fail with one line, and return that."""
    done = switch.sh(f"ovsha-vtep-bootstrap {arguments}")
    assert done.returncode == status, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("copied_first", [False, True], ids=["the page's order", "copied before the standby"])
def test_the_pages_arguments_lead_to_a_pair_in_sync_and_again_to_the_same(pair: BarePair, copied_first: bool) -> None:
    output = pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert [name for name, _ in reported(output)] == STEPS
    assert re.fullmatch(r"vtep7-req.pem\t.*\n +fingerprint [0-9a-f]{40}", dict(reported(output))["sign certificate"])
    if copied_first:
        copy_credentials(pair)
        pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    else:
        told = pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
        assert "sealed with another key; do: copy pair.key_file" in told.splitlines()[-1]
        assert pair.sw2.ok(f"ip -o address show to {VIP.partition(':')[0]}") == "", "it does not serve"
        copy_credentials(pair)
        pair.sw2.ok(RESTART)
    in_sync(pair)
    before = rows(pair.sw2)
    assert before == rows(pair.sw1)
    assert [each["target"] for each in before["Manager"]] == ["ssl:192.168.100.17:6640"]
    look = "md5sum /etc/ovsha/* /etc/default/ovsha* /var/lib/openvswitch/*.pem; cat /run/openvswitch/*.pid"
    files = [switch.ok(look) for switch in (pair.sw1, pair.sw2)]

    for switch, arguments in ((pair.sw1, ACTIVE), (pair.sw2, STANDBY)):
        again = switch.ok(f"ovsha-vtep-bootstrap {arguments}")
        assert "nothing that they read has changed" in dict(reported(again))["restart a service"]
        assert again.splitlines()[-1].endswith("in sync")
    assert rows(pair.sw1) == rows(pair.sw2) == before, "no row is new, and none has another UUID"
    assert files == [switch.ok(look) for switch in (pair.sw1, pair.sw2)], "no file is new, and no process"


def test_the_standby_may_come_first(pair: BarePair) -> None:
    pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    pair.sw2.ok(RESTART)
    in_sync(pair)


def test_without_encryption_the_standby_asks_for_the_key(pair: BarePair) -> None:
    pair.sw1.ok(f"ovsha-vtep-bootstrap {WITHOUT.format('active')}")
    line = refused(pair.sw2, WITHOUT.format("standby"), 1)
    assert "/etc/ovsha/pair.key: the pair key is missing here: copy it from vtep7-1" in line
    nothing_was_done(pair.sw2)
    pair.sw2.write("/etc/ovsha/pair.key", pair.sw1.read("/etc/ovsha/pair.key"), 0o600)
    pair.sw2.ok(f"ovsha-vtep-bootstrap {WITHOUT.format('standby')}")
    in_sync(pair)


def test_more_controllers_come_beside_the_first_and_keep_its_row(pair: BarePair) -> None:
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    (first,) = rows(pair.sw1)["Manager"]
    more = ACTIVE.replace("192.168.100.17", "192.168.100.17,192.168.100.18 --controller_ip 192.168.100.19:6632")
    pair.sw1.ok(f"ovsha-vtep-bootstrap {more}")
    managers = rows(pair.sw1)["Manager"]
    assert first in managers
    targets = sorted(each["target"] for each in managers)
    assert targets == ["ssl:192.168.100.17:6640", "ssl:192.168.100.18:6640", "ssl:192.168.100.19:6632"]


def test_dry_run_shows_all_and_does_nothing(pair: BarePair) -> None:
    shown = pair.sw1.ok(f"ovsha vtep-bootstrap --dry-run {ACTIVE}")
    assert [line.split(". ")[1] for line in shown.splitlines() if re.match(r"\d+\. ", line)][:3] == STEPS[:3]
    assert "+  key_file: /var/lib/openvswitch/vtep7-privkey.pem" in shown
    nothing_was_done(pair.sw1)


def test_a_switch_of_its_own_serves_alone(pair: BarePair) -> None:
    pair.sw1.ok("ovsha-vtep-bootstrap --controller_ip 192.168.100.17 " + REST)
    assert "standalone" in pair.sw1.ok("ovsha status || true")
    assert rows(pair.sw1)["Physical_Switch"]
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)


def test_the_vendors_program_does_its_part_first(pair: BarePair) -> None:
    pair.sw1.install_vendors()
    pair.sw1.ok("mkdir -p /usr/share/openvswitch/scripts /home/cumulus")
    pair.sw1.ok(f"ovsdb-tool create {DATA}/conf.db /usr/share/openvswitch/vtep.ovsschema")
    output = pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert "run /usr/bin/vtep-bootstrap" in output
    assert pair.sw1.ok("ls /home/cumulus").split() == ["vtep7-cert.pem", "vtep7-privkey.pem", "vtep7-req.pem"]
    assert len(rows(pair.sw1)["Physical_Switch"]) == 1
    assert pair.sw1.sh("systemctl is-enabled openvswitch-vtep").stdout == "disabled\n"
    assert pair.sw1.ok("ip -o address show to 169.254.0.11")


def test_a_failing_vendors_program_is_told_and_nothing_of_ours_is_written(pair: BarePair) -> None:
    pair.sw1.install_vendors()
    pair.sw1.ok("mkdir -p /home/cumulus; printf '#!/bin/sh\\nexit 1\\n' >/usr/bin/vtep-ctl")
    line = refused(pair.sw1, ACTIVE, 1)
    assert "run /usr/bin/vtep-bootstrap: /usr/bin/vtep-bootstrap ended with status 1" in line
    assert "Failed to define physical switch" in line
    assert pair.sw1.ok("ls -A /etc/ovsha 2>/dev/null || true") == ""


BAD = [
    (ACTIVE.replace(VIP, "169.254.0.300"), "--db_ha_vip: '169.254.0.300' is not an IP address"),
    (ACTIVE.replace(VIP, "169.254.0.11:0"), "--db_ha_vip: 0 is not a port"),
    (ACTIVE.replace(f"--db_ha_vip {VIP}", ""), "--db_ha_vip: is missing"),
    (ACTIVE.replace("--db_ha active", "--db_ha master"), "argument --db_ha"),
    (ACTIVE.replace(ACTIVES, "169.254.0.10:9999"), "but the peer's, by clagd's word: is this the standby?"),
    (STANDBY, "is this the active one? Then say --db_ha active"),
    (ACTIVE.replace("172.16.20.157", "nowhere"), "TUNNEL_IP: 'nowhere' is not an IP address"),
]


def test_a_bad_option_is_answered_by_one_line(pair: BarePair) -> None:
    for arguments, told in BAD:
        assert told in refused(pair.sw1, arguments, 2)
    nothing_was_done(pair.sw1)


def test_a_wrong_peer_is_answered_by_one_line(pair: BarePair) -> None:
    assert "is a wrong peer: clagd's peer is 169.254.0.9" in refused(pair.sw2, STANDBY.replace("0.9:", "0.12:"), 1)
    nothing_was_done(pair.sw2)


def test_a_taken_vip_is_answered_by_one_line(pair: BarePair) -> None:
    link = INTERFACE["peer link"]
    pair.sw2.ok(f"ip link add other link {link} type macvlan mode bridge; ip link set other up")
    pair.sw2.ok("ip address add 169.254.0.11/29 dev other; sysctl -qw net.ipv4.conf.all.arp_ignore=1")
    assert "--db_ha_vip: 169.254.0.11 is taken" in refused(pair.sw1, ACTIVE, 1)
    nothing_was_done(pair.sw1)


def test_a_key_without_its_certificate_is_answered_by_one_line(pair: BarePair) -> None:
    pair.sw1.write(CREDENTIALS[0], "not much", 0o600)
    assert f"{CREDENTIALS[0]} is there without vtep7-cert.pem" in refused(pair.sw1, ACTIVE, 1)


def test_a_full_disk_is_answered_by_one_line_and_nothing_is_half_written(pair: BarePair) -> None:
    pair.sw1.ok("mkdir -p /run/small; mount -t tmpfs -o size=64k small /run/small")
    pair.sw1.ok("head -c 60000 /dev/zero >/run/small/a")
    line = refused(pair.sw1, f"--credentials-path /run/small {ACTIVE}", 1)
    assert "create certificate on a switch" in line or "sign certificate" in line
    assert "room on the disk" in line
    assert pair.sw1.ok("ls -A /run/small").split() == ["a"]
    assert pair.sw1.ok("ls -A /etc/ovsha 2>/dev/null || true") == ""


def test_a_refused_row_names_its_step_and_leaves_no_file(pair: BarePair) -> None:
    pair.sw1.ok("printf '#!/bin/sh\\necho vtep-ctl: no >&2; exit 1\\n' >/usr/bin/vtep-ctl; chmod +x /usr/bin/vtep-ctl")
    assert "define physical switch: vtep-ctl: no" in refused(pair.sw1, ACTIVE, 1)
    nothing_was_done(pair.sw1)
    assert "ovsdb-server" not in pair.sw1.programs(), "the private server has ended"


def test_another_switchs_database_is_not_given_a_second_one(pair: BarePair) -> None:
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    line = refused(pair.sw1, ACTIVE.replace("vtep7", "vtep8"), 1)
    assert "the database has the physical switch vtep7, and vtep8 would be a second one" in line


def test_a_server_that_runs_keeps_its_data_and_gets_the_rows(pair: BarePair) -> None:
    pair.sw1.install_vendors()
    pair.sw1.ok("rm /usr/bin/vtep-bootstrap")
    pair.sw1.ok(f"ovsdb-tool create {DATA}/conf.db /usr/share/openvswitch/vtep.ovsschema")
    pair.sw1.ok("systemctl enable openvswitch-vtep; systemctl start openvswitch-vtep; vtep-ctl add-ls kept")
    assert "by the server that runs here and is active" in pair.sw1.ok(f"ovsha vtep-bootstrap --dry-run {ACTIVE}")
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert "disabled" in pair.sw1.sh("systemctl is-enabled openvswitch-vtep").stdout
    assert pair.sw1.ok("vtep-ctl list-ls").split()[-1] == "kept"
    assert f"file: {DATA}/conf.db" not in pair.sw1.read("/etc/ovsha/ovsha.yaml"), "it is the default"
    copy_credentials(pair)
    pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    assert rows(pair.sw1) == rows(pair.sw2)


def test_a_backup_is_told_from_what_can_be_written_to(pair: BarePair) -> None:
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    pair.sw1.ok("ovsha switchover --yes --reason test")
    pair.sw1.until(lambda: pair.sw2.sh("ip -o address show to 169.254.0.11").stdout, "sw2 serves")
    pair.sw1.until(lambda: pair.sw1.sh("ovsha sync-status").returncode == 0, "it is in sync")
    again = pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert again.splitlines()[-1].startswith("vtep7-1 of vtep7: in sync")
    line = refused(pair.sw1, ACTIVE.replace("192.168.100.157", "192.168.100.158"), 1)
    assert "this side is the backup, and its copy lacks what --db_ha active brings" in line
    assert "ovsha switchover to vtep7-1" in line


def test_the_operator_is_asked_unless_it_stands_in_for_the_vendors(pair: BarePair) -> None:
    done = pair.sw1.sh(f"ovsha vtep-bootstrap {ACTIVE}")
    assert (done.returncode, done.stderr) == (2, "ovsha: there is no terminal to ask at; add --yes to have it done\n")
    nothing_was_done(pair.sw1)


@pytest.mark.parametrize("moment", ["ovs-pki", "vtep-ctl"])
def test_killed_at_any_moment_it_is_run_again_to_the_same_end(pair: BarePair, moment: str) -> None:
    real = pair.sw1.ok(f"command -v {moment}").strip()
    pair.sw1.ok(f"cp {real} /usr/bin/real-{moment}")
    pair.sw1.write(f"/usr/bin/{moment}", '#!/bin/sh\nkill -9 "$(cat /run/killed)"; exit 1\n', 0o755)
    started = 'sh -c \'echo $$ >/run/killed; exec ovsha-vtep-bootstrap "$@"\' x'
    assert pair.sw1.sh(f"{started} {ACTIVE}").returncode == 137
    assert pair.sw1.ok("ls -A /etc/ovsha 2>/dev/null || true") == ""
    assert not [name for name in pair.sw1.ok(f"ls {DATA}").split() if name.endswith(".pem")]
    pair.sw1.until(lambda: "ovsdb-server" not in pair.sw1.programs(), "the private server has ended too")
    pair.sw1.ok(f"cp /usr/bin/real-{moment} {real}")
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    assert [each["name"] for each in rows(pair.sw1)["Physical_Switch"]] == ["vtep7"]
    assert [name for name in pair.sw1.ok(f"ls -A {DATA}").split() if "ovsha" in name] == []


def test_the_vtep_daemons_of_both_switches_connect_to_the_vip(pair: BarePair) -> None:
    for switch in (pair.sw1, pair.sw2):
        switch.install_vtepd()
    pair.sw1.ok(f"ovsha-vtep-bootstrap {ACTIVE}")
    copy_credentials(pair)
    pair.sw2.ok(f"ovsha-vtep-bootstrap {STANDBY}")
    in_sync(pair)
    for switch in (pair.sw1, pair.sw2):
        unit = switch.read("/etc/systemd/system/ovsha-vtepd.service")
        (start,) = re.findall(r"^ExecStart=/usr/bin/ovs-vtepd (.*)$", unit, re.MULTILINE)
        assert start.split()[0] == "tcp:169.254.0.11:9998"
        assert start.split()[-1] == "--enable-vlan-aware-mode"
        switch.until(lambda: '"dumped"' in switch.read("/run/vtepd.events"), "its daemon has the rows")  # noqa: B023
        assert switch.ok("systemctl is-enabled ovsha-vtepd") == "enabled\n"
    pids = [switch.ok("cat /run/openvswitch/*.pid") for switch in (pair.sw1, pair.sw2)]
    for switch, arguments in ((pair.sw1, ACTIVE), (pair.sw2, STANDBY)):
        assert "nothing that they read has changed" in switch.ok(f"ovsha-vtep-bootstrap {arguments}")
    assert pids == [switch.ok("cat /run/openvswitch/*.pid") for switch in (pair.sw1, pair.sw2)]
