"""The model of clagd does what the matrix of failures says of the real one."""

from __future__ import annotations

from ovsha.core.facts import MlagRole
from tests.sim.clagd import PEER_TIMEOUT
from tests.sim.network import BACKUP, LINK
from tests.sim.pair import Pair, started

PRIMARY, SECONDARY = MlagRole.PRIMARY, MlagRole.SECONDARY


def told(pair: Pair, node: str) -> tuple[MlagRole | None, bool | None, bool | None]:
    """Return what clagctl says there of the role, the peer and the backup path."""
    facts = pair.hosts[node].clagd.facts
    return facts.role, facts.peer_alive, facts.backup_active


def a_pair() -> Pair:
    pair = started()
    pair.run(1.0)
    assert (told(pair, "sw1"), told(pair, "sw2")) == ((PRIMARY, True, True), (SECONDARY, True, True))
    return pair


def after(pair: Pair) -> Pair:
    pair.run(2 * PEER_TIMEOUT)
    return pair


def test_cut_peer_link_changes_no_role() -> None:
    pair = a_pair()
    pair.cut(LINK, carrier=True)
    after(pair)
    assert told(pair, "sw1") == (PRIMARY, False, True)
    assert told(pair, "sw2") == (SECONDARY, False, True)


def test_cut_peer_link_without_a_backup_path_changes_no_role_either() -> None:
    pair = a_pair()
    for host in pair.hosts.values():
        host.clagd.has_backup_path = False
    after(pair)
    pair.cut(LINK)
    after(pair)
    assert told(pair, "sw2") == (SECONDARY, False, False)


def test_secondary_takes_the_role_when_the_primary_dies_and_the_backup_path_had_worked() -> None:
    pair = a_pair()
    pair.power_off("sw1")
    assert told(after(pair), "sw2") == (PRIMARY, False, False)
    pair.power_on("sw1")
    after(pair)
    assert (told(pair, "sw1")[0], told(pair, "sw2")[0]) == (PRIMARY, SECONDARY)


def test_secondary_stays_secondary_for_ever_when_the_primary_dies_and_there_is_no_backup_path() -> None:
    pair = a_pair()
    pair.cut(BACKUP)
    after(pair)
    pair.power_off("sw1")
    assert told(after(pair), "sw2") == (SECONDARY, False, False)


def test_goodbye_makes_the_other_one_primary_at_once() -> None:
    pair = a_pair()
    pair.clagd_stop("sw1")
    pair.run(0.3)
    assert told(pair, "sw2") == (PRIMARY, False, False)
    assert pair.hosts["sw1"].clagd.facts.role is None


def test_clagd_that_crashes_is_noticed_only_after_the_timeout() -> None:
    pair = a_pair()
    pair.clagd_crash("sw1")
    pair.run(0.5)
    assert told(pair, "sw2") == (SECONDARY, True, True)
    assert told(after(pair), "sw2") == (PRIMARY, False, False)


def test_switch_that_boots_alone_claims_the_role_after_the_reload_timeout() -> None:
    pair = Pair()
    pair.power_on("sw2")
    pair.run(20.0)
    assert told(pair, "sw2") == (SECONDARY, False, False)
    pair.run(15.0)
    assert told(pair, "sw2") == (PRIMARY, False, False)


def test_better_priority_takes_the_role() -> None:
    pair = a_pair()
    pair.clagd_prefers("sw2")
    pair.run(0.5)
    assert (told(pair, "sw1")[0], told(pair, "sw2")[0]) == (SECONDARY, PRIMARY)
