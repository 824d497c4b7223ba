"""`ovsha init` on one switch and `ovsha join` on the other make a pair of whatever is there, and lose none of it."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Iterator

import pytest

import pki
import seed
import topology
from boxes import ROOT, Box, two, until

FILE = "/var/lib/openvswitch/conf.db"
BUNDLE = "/root/ovsha-join-rack7.json"
INIT = "init --name rack7 --peer-name sw2 --vip 169.254.0.11"
ROWS = 500
MACS = frozenset(seed.mac(number) for number in range(ROWS))


@pytest.fixture
def boxes(needs_lab: None) -> Iterator[tuple[Box, Box]]:
    with two() as both:
        until(lambda: "is alive" in both[1].sh("clagctl"), "the two clagds hear each other")
        yield both


@pytest.fixture(scope="module")
def fresh(needs_lab: None) -> Iterator[tuple[Box, Box]]:
    """Give two such switches to all stories at whose end nothing is configured either."""
    with two() as both:
        yield both


def single_server(box: Box, rows: int | None = ROWS) -> None:
    """Have the switch serve as a vendor's single server does."""
    box.database(rows, FILE)
    box.vendor_serves(FILE)


def bring(sw1: Box, sw2: Box, source: str = BUNDLE) -> None:
    """Bring the bundle to the other switch, as scp -p does."""
    sw2.put(sw1.path(source), BUNDLE)
    sw2.path(BUNDLE).chmod(0o600)


def founded(sw1: Box, sw2: Box, rows: int | None = ROWS) -> str:
    """Make sw1 the first of a pair, bring the bundle to sw2, and return its fingerprint."""
    single_server(sw1, rows)
    told = json.loads(sw1.run("ovsha", *shlex.split(f"{INIT} --yes --json")).stdout)
    bring(sw1, sw2)
    return str(told["fingerprint"])


def is_pair(sw1: Box, sw2: Box) -> bool:
    equal = "are equal" in sw2.ovsha("verify") and "verdict: in sync" in sw2.ovsha("sync-status")
    return equal and sw1.holds_vip() and not sw2.holds_vip()


def test_two_fresh_switches_become_a_pair_that_fails_over(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    said = sw1.ovsha(f"{INIT} --yes")
    assert "sw1 serves, with 1 row; sw2 may join now" in said
    assert "ovsha join ssh://192.168.100.1" in said
    (line,) = [line.strip() for line in said.splitlines() if "ovsha join ovsha-join" in line]
    bring(sw1, sw2)
    said = sw2.ovsha(line.removeprefix("ovsha "))
    assert "sw2 and sw1 are equal: 1 row in 1 table" in said
    assert "sw1 serves in term 1, sw2 follows it and is in sync" in said
    assert is_pair(sw1, sw2)
    sw1.lose_power()
    until(lambda: sw2.holds_vip() and sw2.status()["state"] == "active", "sw2 takes over")


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (topology.IPV6, ""),
        (topology.LINK_LOCAL, "--address fe80::9%peerlink.4094 --peer-address fe80::a%peerlink.4094"),
    ],
    ids=["unique local", "link-local"],
)
def test_pair_of_ipv6_addresses_is_made_alike(plan: topology.Plan, options: str) -> None:
    with two(plan=plan) as (sw1, sw2):
        until(lambda: "is alive" in sw2.sh("clagctl"), "the two clagds hear each other")
        said = sw1.ovsha(f"init --name rack7 --peer-name sw2 --vip {plan.vip} {options} --yes")
        assert "ovsha join ssh://[fd00:100::1]" in said
        bring(sw1, sw2)
        assert "sw2 and sw1 are equal" in sw2.ovsha(f"join {BUNDLE} --yes")
        assert is_pair(sw1, sw2)


def test_data_and_certificate_of_a_single_server_come_to_the_pair(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    ours = pki.credentials("sw1")
    places = {"private-key": ours.private_key, "certificate": ours.certificate, "ca-cert": ours.ca_certificate}
    for name, file in places.items():
        sw1.put(file, f"/etc/vtep/{name}.pem")
    sw1.database(ROWS, FILE)
    sw1.vendor_serves(FILE, " ".join(f"--{name}=/etc/vtep/{name}.pem" for name in places))
    before = sw1.macs()
    said = sw1.ovsha(f"{INIT} --yes")
    assert "replaces     openvswitch-vtep.service" in said
    assert f"the database in {FILE}, with all its 503 rows" in said
    until(lambda: sw1.macs() == before == MACS, "sw1 has its rows")
    bring(sw1, sw2)
    assert "are equal: 504 rows" in sw2.ovsha(f"join {BUNDLE} --yes --remove-bundle")
    assert sw2.macs() == MACS
    for name, file in places.items():
        assert sw2.path(f"/etc/vtep/{name}.pem").read_bytes() == file.read_bytes()
    assert sw2.path("/etc/vtep/private-key.pem").stat().st_mode & 0o777 == 0o600
    assert "--certificate=/etc/vtep/certificate.pem" in sw2.sh(
        "tr '\\0' '\\n' </proc/$(cat /run/openvswitch/ovsdb-server.pid)/cmdline"
    )
    assert not sw2.path(BUNDLE).exists()
    assert "OK certs" in sw2.ovsha("check certs")
    assert sw2.sh("cat /etc/ovsha/pair.key") == sw1.sh("cat /etc/ovsha/pair.key")


def test_pair_that_copies_over_tls_is_made_alike(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    ours = pki.pair()
    places = {"private_key": ours.private_key, "certificate": ours.certificate, "ca_cert": ours.ca_certificate}
    section = ", ".join(f"{name}: /etc/vtep/{name}.pem" for name in places)
    for name, file in places.items():
        sw1.put(file, f"/etc/vtep/{name}.pem")
    sw1.sh("mkdir /etc/ovsha")
    sw1.path("/etc/ovsha/ovsha.yaml").write_text(f"replication: {{tls: true, {section}}}\n")
    founded(sw1, sw2)
    assert "sw2 and sw1 are equal: 504 rows" in sw2.ovsha(f"join {BUNDLE} --yes")
    assert "session to ssl:169.254.0.9:9999: alive" in sw2.ovsha("sync-status")
    assert is_pair(sw1, sw2)


def test_first_switch_serves_alone_again_after_it_lost_power_before_anybody_joined(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    sw1.lose_power()
    sw1.lab.network.link_up("peer link", "sw1")
    sw1.lab.network.link_up("backup path", "sw1")
    assert not sw1.holds_vip()
    sw1.sh("systemctl start ovsha-ovsdb-server; systemctl start ovsha")
    until(sw1.holds_vip, "sw1 serves")
    assert sw1.macs() == MACS


def test_richer_switch_is_refused_and_joins_by_an_order_that_keeps_its_data(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2, rows=5)
    single_server(sw2)
    before = sw2.macs()
    line = sw2.refused(f"join {BUNDLE} --yes", 2)
    assert f"{FILE}: has 503 rows" in line
    assert "--discard-local" in line
    assert sw2.macs() == before, "nothing was done"
    assert not sw2.path("/etc/ovsha").exists()
    said = sw2.ovsha(f"join {BUNDLE} --yes --discard-local")
    before_it = "what was here before (503 rows)"
    (kept,) = [line.rpartition(" ")[2] for line in said.splitlines() if line.startswith(before_it)]
    assert "are equal: 9 rows" in said
    query = '["hardware_vtep",{"op":"select","table":"Ucast_Macs_Remote","where":[],"columns":["MAC"]}]'
    found = json.loads(sw2.sh(f"ovsdb-tool query {kept} '{query}'"))
    assert {row["MAC"] for row in found[0]["rows"]} == before
    assert is_pair(sw1, sw2)


def test_switch_with_other_but_less_data_keeps_a_snapshot_of_it(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    single_server(sw2, rows=3)
    said = sw2.ovsha(f"join {BUNDLE} --yes")
    assert "erased       6 rows in /var/lib/openvswitch/conf.db; a snapshot is taken first" in said
    assert "what was here before (6 rows) is in /var/lib/ovsha/snapshots/" in said
    assert sw2.macs() == MACS


def test_new_unit_takes_the_place_of_a_switch_that_died(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    sw2.ovsha(f"join {BUNDLE} --yes")
    assert is_pair(sw1, sw2)
    sw1.lose_power()
    until(lambda: sw2.holds_vip() and sw2.status()["state"] == "active", "sw2 takes over")
    sw1.become_another_unit()
    said = sw2.ovsha("init --yes --bundle /root/again.json")
    assert "sw2 serves, with" in said
    sw1.put(sw2.path("/root/again.json"), BUNDLE)
    sw1.path(BUNDLE).chmod(0o600)
    line = sw1.refused(f"join {BUNDLE} --yes")
    assert "sw2 knows another switch as sw1" in line
    assert "add --replace" in line
    said = sw1.ovsha(f"join {BUNDLE} --yes --replace")
    assert "replaces     the sw1 that sw2 knows" in said
    assert "sw1 and sw2 are equal" in said
    assert sw1.macs() == MACS
    until(lambda: sw1.holds_vip() and not sw2.holds_vip(), "the original primary gets the service back", limit=90)
    assert "a new unit in the place of sw1" in sw2.ovsha("history --all")


def test_switch_that_lives_is_not_replaced(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    sw2.ovsha(f"join {BUNDLE} --yes")
    sw2.sh("rm /var/lib/ovsha/identity")
    assert "sw1 hears the sw2 that it knows" in sw2.refused(f"join {BUNDLE} --yes --replace")


KILLED = """
import os, signal, sys
from ovsha.cli.main import main

step, real = sys.argv.pop(1), sys.stdout


class Killed:
    def write(self, text):
        real.write(text)
        if text.startswith(f"  done     {step}"):
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name):
        return getattr(real, name)


sys.stdout = Killed()
sys.exit(main())
"""


def killed_after(box: Box, line: str, step: str) -> None:
    """Run ovsha with these words, and kill it when it tells that a step is done."""
    box.write("/root/killed.py", KILLED)
    done = box.run("env", f"PYTHONPATH={ROOT}", sys.executable, "/root/killed.py", step, *shlex.split(line))
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def test_join_that_is_killed_after_each_step_is_repeated_to_the_same_end(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    single_server(sw2, rows=3)
    for step in ("other services", "snapshot", "database", "state", "files", "ovsdb-server", "agent"):
        killed_after(sw2, f"join {BUNDLE} --yes", step)
        assert not sw2.holds_vip()
    said = sw2.ovsha(f"join {BUNDLE} --yes")
    assert "sw2 and sw1 are equal: 504 rows" in said
    assert "what was here before (6 rows) is in /var/lib/ovsha/snapshots/" in said
    assert is_pair(sw1, sw2)
    assert not sw2.sh("find /etc/ovsha /var/lib -name '*.part' -o -name '*.ovsha-blank'")


@pytest.mark.long
def test_init_that_is_killed_after_each_step_is_repeated_to_the_same_end(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    single_server(sw1)
    for step in ("pair key", "configuration", "other services", "ovsdb-server", "agent", "serve alone"):
        killed_after(sw1, f"{INIT} --yes", step)
    assert "sw1 serves, with 504 rows" in sw1.ovsha(f"{INIT} --yes")
    assert sw1.macs() == MACS
    bring(sw1, sw2)
    sw2.ovsha(f"join {BUNDLE} --yes")
    assert is_pair(sw1, sw2)
    assert json.loads(sw1.sh("cat /var/lib/ovsha/state.json"))["founding"] is False
    assert "sw1 serves, and the bundle is made by the side that does" in sw2.refused_after_steps("init --yes")


def test_wrong_bundles_are_answered_by_one_line_and_change_nothing(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    fingerprint = founded(sw1, sw2)
    text = sw2.path(BUNDLE).read_text()
    wrong = "0000" + fingerprint[4:]
    assert f"is {fingerprint}, and not {wrong}" in sw2.refused(f"join {BUNDLE} --fingerprint {wrong}")
    assert "there is no terminal to ask at" in sw2.refused(f"join {BUNDLE}", 2)
    assert "No such file" in sw2.refused("join /root/missing.json --yes")
    sw2.path(BUNDLE).chmod(0o644)
    assert "mode 0644 lets others than its owner in" in sw2.refused(f"join {BUNDLE} --yes", 2)
    sw2.path(BUNDLE).chmod(0o600)
    for damaged in (text[:-200], text.replace("rack7", "rack8"), "", "{}", "no bundle"):
        sw2.path(BUNDLE).write_text(damaged)
        assert "damaged" in sw2.refused(f"join {BUNDLE} --yes")
    assert "which made the bundle for sw2" in sw1.refused("join /root/ovsha-join-rack7.json --yes")
    sw2.path(BUNDLE).write_text(text)
    sw1.sh("systemctl stop ovsha")
    assert "cannot be reached" in sw2.refused(f"join {BUNDLE} --yes")
    sw1.sh("rm /var/lib/ovsha/identity; systemctl start ovsha")
    until(lambda: "agent" not in sw1.status(), "the agent of sw1 answers")
    assert "lost its state since: make a new bundle" in sw2.refused(f"join {BUNDLE} --yes")
    sw1.sh("head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' >/etc/ovsha/pair.key; systemctl restart ovsha")
    until(lambda: sw1.run("ovsha", "status", "--json").returncode in (0, 1), "the agent is back")
    assert "it has another key" in sw2.refused(f"join {BUNDLE} --yes")
    assert not sw2.path("/etc/ovsha").exists()


def test_newer_schema_is_refused_and_an_older_one_is_followed(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    newer = seed.newer_schema(sw1.lab.directory / "newer.ovsschema")
    sw1.database(3, FILE, newer)
    sw1.ovsha(f"{INIT} --yes")
    bring(sw1, sw2)
    line = sw2.refused(f"join {BUNDLE} --yes")
    assert "has a column Global.added_later, which that of sw2, 1.7.0, lacks: upgrade openvswitch here first" in line
    assert not sw2.path("/etc/ovsha").exists()
    schema = "/usr/share/openvswitch/vtep.ovsschema"
    sw2.sh(f"mount --bind {newer} {schema}")
    assert "are equal" in sw2.ovsha(f"join {BUNDLE} --yes")


def test_joiner_with_a_newer_schema_follows_an_older_one(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2, rows=3)
    newer = seed.newer_schema(sw1.lab.directory / "newer.ovsschema")
    sw2.sh(f"mount --bind {newer} /usr/share/openvswitch/vtep.ovsschema")
    assert "sw2 and sw1 are equal" in sw2.ovsha(f"join {BUNDLE} --yes")


def test_full_disk_is_told_and_the_join_goes_on_when_there_is_room(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    founded(sw1, sw2)
    single_server(sw2, rows=3)
    sw2.sh("mkdir -p /var/lib/ovsha; mount -t tmpfs -o size=64k full /var/lib/ovsha")
    line = sw2.refused_after_steps(f"join {BUNDLE} --yes")
    assert "snapshot: " in line
    assert "MB are needed" in line
    assert not sw2.path("/etc/ovsha").exists()
    sw2.sh("umount /var/lib/ovsha")
    assert "what was here before (6 rows)" in sw2.ovsha(f"join {BUNDLE} --yes")


def test_switch_that_stood_alone_becomes_the_first_of_a_pair_with_its_data(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    sw1.database(ROWS, FILE)
    sw1.sh("mkdir -p /etc/ovsha; (umask 077; openssl rand -hex 32 >/etc/ovsha/pair.key)")
    sw1.path("/etc/ovsha/ovsha.yaml").write_text("# alone so far\nnode: sw1\npair: {id: rack7}\nnodes: {sw1: {}}\n")
    sw1.sh("systemctl enable ovsha-ovsdb-server ovsha; systemctl start ovsha-ovsdb-server; systemctl start ovsha")
    until(lambda: sw1.status()["state"] == "active", "sw1 serves alone")
    term = sw1.status()["sides"]["sw1"]["stamp"]["term"]
    said = sw1.ovsha(f"{INIT.replace('--name rack7 ', '')} --yes")
    assert "the older one is kept as /etc/ovsha/ovsha.yaml.ovsha-" in said
    assert sw1.status()["sides"]["sw1"]["stamp"]["term"] >= term
    bring(sw1, sw2)
    assert "sw2 and sw1 are equal: 504 rows" in sw2.ovsha(f"join {BUNDLE} --yes")
    assert is_pair(sw1, sw2)


def test_server_that_its_service_leaves_running_gives_way(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    for box, rows in ((sw1, ROWS), (sw2, 3)):
        single_server(box, rows)
        box.vendors_server_is_left_running()
    said = sw1.ovsha(f"{INIT} --yes")
    assert "which was left running, has ended" in said
    assert sw1.macs() == MACS
    bring(sw1, sw2)
    said = sw2.ovsha(f"join {BUNDLE} --yes")
    assert "which was left running, has ended" in said
    assert "sw2 and sw1 are equal: 504 rows" in said


def test_what_init_cannot_find_out_is_one_line_that_names_the_option(fresh: tuple[Box, Box]) -> None:
    sw1, _ = fresh
    assert "give it by --peer-name NAME" in sw1.refused("init --yes", 2)
    assert "give it by --vip ADDRESS" in sw1.refused("init --yes --peer-name sw2", 2)
    assert "169.254.0.99 is on no interface of this switch" in sw1.refused(f"{INIT} --yes --address 169.254.0.99")
    with sw1.replaced("clagctl", "exit 1"):
        line = sw1.refused("init --yes --peer-name sw2 --vip 169.254.0.11", 2)
    assert "the interface of the peer link is not known" in line
    assert "give it by --interface NAME" in line
    assert not sw1.path("/etc/ovsha").exists()


def test_vip_that_somebody_else_has_is_refused(fresh: tuple[Box, Box]) -> None:
    sw1, _ = fresh
    assert "is taken" in sw1.refused(f"{INIT} --yes --vip 192.168.100.10 --interface eth0 --address 192.168.100.1"
                                     " --peer-address 192.168.100.2 --backup-address 169.254.0.9"
                                     " --peer-backup-address 169.254.0.10")  # fmt: skip


def test_init_is_repeated_without_a_change_and_its_fingerprint_stays(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    fingerprint = founded(sw1, sw2)
    files = sw1.sh("find /etc/ovsha -type f | sort | xargs sha256sum")
    served = sw1.status()["sides"]["sw1"]["stamp"]
    said = sw1.ovsha(f"init --yes --bundle {BUNDLE}")
    assert f"fingerprint  {fingerprint}" in said
    assert sw1.sh("find /etc/ovsha -type f | sort | xargs sha256sum") == files
    assert sw1.status()["sides"]["sw1"]["stamp"] == served
    assert "as it is configuration" in said


def test_bundle_comes_over_ssh_by_the_operators_own_key(boxes: tuple[Box, Box]) -> None:
    sw1, sw2 = boxes
    fingerprint = founded(sw1, sw2)
    sw2.path(BUNDLE).unlink()
    sw2.sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    sw1.sh("ssh-keygen -q -t ed25519 -N '' -f /run/host_key; chmod 755 /root; mkdir -p -m 700 /root/.ssh")
    sw1.path("/root/.ssh/authorized_keys").write_text(sw2.path("/root/.ssh/id_ed25519.pub").read_text())
    sw1.path("/root/.ssh/authorized_keys").chmod(0o600)
    line = sw2.run("ovsha", "join", "ssh://192.168.100.1", "--yes")
    assert (line.returncode, "no bundle came from 192.168.100.1" in line.stderr) == (1, True), line.stderr
    sw1.sh("/usr/sbin/sshd -o ListenAddress=192.168.100.1 -o HostKey=/run/host_key -o PidFile=/run/sshd.pid"
           " -o UsePAM=no -o StrictModes=no -E /var/log/sshd")  # fmt: skip
    until(lambda: sw1.path("/run/sshd.pid").exists(), "sshd")
    sw2.sh("ssh-keyscan 192.168.100.1 >/root/.ssh/known_hosts 2>/dev/null")
    said = sw2.ovsha(f"join ssh://root@192.168.100.1 --fingerprint {fingerprint}")
    assert "sw2 and sw1 are equal: 504 rows" in said
    assert is_pair(sw1, sw2)
    assert not sw2.sh("grep -rl ovsha.join.bundle /root /var/lib || true")
