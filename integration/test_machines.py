"""Two Debian 12 machines with nothing but the package are a pair.

Run by ``make machines-test``.  The machines run their own systemd; clagd alone has a stand-in.  The tests are one
story, in this order; each leaves the pair whole, with sw1 serving.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import packaged
import two_machines
from two_machines import Pair, journal, rows, status, write_row


@pytest.fixture(scope="module")
def pair(deb: Path) -> Iterator[Pair]:
    """Give two machines with clagd and the package, and nothing configured."""
    with two_machines.switched_on() as pair:
        two_machines.side_by_side(pair, lambda machine: packaged.install(machine, deb))
        two_machines.start_clagd(pair)
        yield pair


def test_installed_it_moves_nothing(pair: Pair) -> None:
    for machine in pair.both:
        assert machine.sh("dpkg-query -W -f '${db:Status-Status}' ovsha") == "installed"
        assert packaged.pids(machine) == (0, 0)
    assert pair.serving() == []


def test_configured_by_the_readme_one_side_serves(pair: Pair) -> None:
    key = "umask 077; openssl rand -hex 32 >/etc/ovsha/pair.key"
    assert packaged.shown_in_readme(key, packaged.FOREIGN, packaged.SERVER, packaged.AGENT)
    pair.sw1.sh(key)
    pair.sw2.write("/etc/ovsha/pair.key", pair.sw1.sh("cat /etc/ovsha/pair.key"), 0o600)
    for machine in pair.both:
        machine.write("/etc/ovsha/ovsha.yaml", packaged.configuration(machine.name) + "restore: {delay: 2}\n")
        for command in ("ovsha config check", packaged.FOREIGN, packaged.SERVER, packaged.AGENT):
            machine.sh(command)
    pair.settled("sw1")
    for machine in pair.both:
        write_row(machine, f"by {machine.name}")
    pair.sw2.until(lambda: rows(pair.sw2) == {"by sw1", "by sw2"}, "the backup has the rows")


def test_killed_server_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    server, _ = packaged.pids(pair.sw1)
    pair.sw1.sh(f"kill -9 {server}")
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the backup serves")
    write_row(pair.sw1, "while sw2 served")
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[0] not in (0, server), "systemd has brought the server back, parked"
    assert "while sw2 served" in rows(pair.sw1)


def test_watchdog_restarts_a_stopped_agent_and_nothing_moves(pair: Pair) -> None:
    server, agent = packaged.pids(pair.sw1)
    term = status(pair.sw1)["sides"]["sw1"]["term"]
    pair.sw1.sh(f"kill -STOP {agent}")
    took = pair.sw1.until(lambda: packaged.pids(pair.sw1)[1] not in (0, agent), "the watchdog has noticed")
    assert took > 1, "it was the watchdog"
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[0] == server
    assert status(pair.sw1)["sides"]["sw1"]["term"] == term, "the service was not taken anew"


@pytest.mark.parametrize("node", ["sw1", "sw2"])
def test_restart_of_the_agent_disturbs_nothing(pair: Pair, node: str) -> None:
    machine = pair.sw1 if node == "sw1" else pair.sw2
    server, agent = packaged.pids(machine)
    machine.sh("systemctl restart ovsha")
    assert packaged.pids(machine)[1] not in (0, agent)
    assert pair.serving() == ["sw1"]
    pair.settled("sw1")
    assert packaged.pids(machine)[0] == server


def test_stopped_agent_leaves_the_service_where_it_is(pair: Pair) -> None:
    pair.sw1.sh("systemctl stop ovsha")
    write_row(pair.sw2, "without the agent")
    assert "without the agent" in rows(pair.sw1)
    assert pair.serving() == ["sw1"]
    pair.sw1.sh("systemctl start ovsha")
    pair.settled("sw1")


def test_reload_takes_a_good_file_and_keeps_the_old_for_a_bad_one(pair: Pair) -> None:
    _, agent = packaged.pids(pair.sw1)
    good = pair.sw1.sh("cat /etc/ovsha/ovsha.yaml")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good.replace("delay: 2", "delay: 3"))
    pair.sw1.sh("systemctl reload ovsha")
    pair.sw1.until(lambda: "configuration read anew" in journal(pair.sw1), "it says so")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good + "nonsense: 1\n")
    pair.sw1.sh("systemctl reload ovsha")
    pair.sw1.until(lambda: "reload refused, the old configuration stays" in journal(pair.sw1), "it says so")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good)
    pair.sw1.sh("systemctl reload ovsha")
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[1] == agent


def test_rebooted_machine_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    pair.sw1.power_off()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")


def test_machine_without_power_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    write_row(pair.sw1, "before the power went")
    pair.sw2.until(lambda: "before the power went" in rows(pair.sw2), "the backup has it")
    pair.sw1.cut_power()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")
    assert "before the power went" in rows(pair.sw1)


def test_purged_on_one_machine_the_other_one_serves(pair: Pair) -> None:
    pair.sw1.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge ovsha")
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    write_row(pair.sw2, "alone")
    left = pair.sw1.sh("find / -xdev -name '*ovsha*'; find /run -name '*ovsha*'").splitlines()
    assert [name for name in left if not name.startswith(("/root/", "/var/log/", "/var/cache/"))] == []
    assert not pair.sw1.succeeds("pgrep -x ovsdb-server")
