"""The metrics tell all that the status tells, and a scrape can be read by Prometheus' own library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ovsha.core.facts import Ask, Grant, MlagRole, Presence
from ovsha.core.facts import Kind as Wish
from ovsha.protocol import heartbeat
from ovsha.protocol.conflicts import Conflict, Kind
from ovsha.report import metrics
from ovsha.report.assessment import Divergence, ServiceMove, Stands
from tests.support.made_up_pair import FOLLOWING, MEMORY, OUTSIDE, SERVING, STAMP, document, lost

GRANTED = replace(
    SERVING, record=replace(SERVING.record, behind=70.5, grant=Grant("sw2-boot-0", Wish.RESTORE, (7, 40), drained=True))
)
EVERYTHING = document(
    replace(GRANTED, server=replace(SERVING.server, cells=5000, token=(7, 75))),
    replace(
        OUTSIDE,
        collisions=(Conflict(Kind.VIP, "00:16:3e:00:00:01", "peerlink.4094", "", 61.5, 2.25, 3),),
        collisions_missed=4,
        pause=Stands("2026-01-02T03:04:05+00:00", 600.0, "root (uid 0)", "change 4711"),
        plan=Stands("2026-01-02T04:04:05+00:00", 4200.0, to="sw1", saved=False),
        service=ServiceMove(3.5, "failover", "sw1", "sw2", "because"),
        divergences=(Divergence("20261121T072714Z", 3, True, "s"),),
        failing={"stamp the term into the database": "no"},
        counters={"moves": 1, "incidents": 0, "gaps": 2, "decisions": 9, "forged": 5, "exchange_asked": 6,
                  "exchange_slow": 7, "newly_invented": 8},
    ),
    replace(MEMORY, ask=Ask("sw2-boot-0", Wish.RESTORE)),
)  # fmt: skip


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number and every yes or no of a document, by its place."""
    if isinstance(value, (bool, int, float)):
        yield path, float(value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from numbers(each, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from numbers(each, f"{path}.{number}")


def samples(told: dict[str, Any]) -> list[tuple[str, dict[str, str], float]]:
    return [(family.name, *sample) for family in metrics.families(told) for sample in family.samples]


@pytest.mark.parametrize("told", [document(), document(SERVING), EVERYTHING], ids=["backup", "active", "everything"])
def test_every_number_of_the_status_is_in_a_metric(told: dict[str, Any]) -> None:
    # Each number is made another one in turn, and that must show.
    before = samples(told)
    unseen = [path for path, number in numbers(told) if samples(changed(told, path, number + 0.5)) == before]
    assert unseen == [], "add a row to METRICS in ovsha/report/metrics.py"


def changed(value: Any, path: str, number: float) -> Any:
    """Return a copy of the document with another number in one place; of a boolean, the other one."""
    name, _, rest = path.removeprefix(".").partition(".")
    if isinstance(value, dict):
        return {key: changed(each, rest, number) if key == name else each for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [changed(each, rest, number) if str(at) == name else each for at, each in enumerate(value)]
    return not value if isinstance(value, bool) else number


def test_names_carry_their_units_and_say_what_they_are() -> None:
    for row in metrics.METRICS:
        assert re.fullmatch(r"ovsha_[a-z_]+", row.name)
        assert row.doc.endswith(".")
        assert "second" not in row.name or row.name.endswith("_seconds")
        assert not re.search(r"(age|lag|for|trip|uptime)$", row.name), f"{row.name} has no unit"
    assert len({row.name for row in metrics.METRICS}) == len(metrics.METRICS)


def test_what_is_not_known_is_left_out_and_not_told_as_zero() -> None:
    told = {
        name
        for name, _, _ in samples(document(replace(FOLLOWING, record=None, clag=replace(FOLLOWING.clag, role=None))))
    }
    assert {"ovsha_clag_role", "ovsha_handover_drained"} & told == set()
    peer = [
        labels for name, labels, _ in samples(document(replace(FOLLOWING, record=None))) if name == "ovsha_side_term"
    ]
    assert [labels["whose"] for labels in peer] == ["own"]


def test_a_lost_peer_is_told_with_the_age_of_its_last_word() -> None:
    told = {
        (name, labels.get("side"), labels.get("presence")): value
        for name, labels, value in samples(document(lost(FOLLOWING)))
    }
    assert told["ovsha_side_age_seconds", "sw1", None] == pytest.approx(12.3)
    assert told["ovsha_side_current", "sw1", None] == 0
    assert told["ovsha_presence", None, Presence.DEAD.value] == 1
    assert told["ovsha_presence", None, Presence.ALIVE.value] == 0


def test_a_word_is_told_as_one_among_all_that_it_could_be() -> None:
    roles = {labels["role"]: value for name, labels, value in samples(document()) if name == "ovsha_clag_role"}
    assert roles == {MlagRole.SECONDARY.value: 1, MlagRole.PRIMARY.value: 0}


def test_problems_are_told_by_name_and_all_others_as_zero() -> None:
    def counted(told: dict[str, Any]) -> dict[str, float]:
        return {labels["problem"]: value for name, labels, value in samples(told) if name == "ovsha_problem"}

    assert set(counted(document()).values()) == {0.0}
    assert counted(document(lost(FOLLOWING)))["peer-lost"] == 1


def test_a_counter_that_the_table_does_not_know_is_told_all_the_same() -> None:
    assert ("ovsha_newly_invented_total", {"pair": "rack7", "node": "sw2"}, 8.0) in samples(EVERYTHING)


def test_a_scrape_holds_every_sample_in_both_formats() -> None:
    exposition = pytest.importorskip("ovsha.agent.exposition", reason="python3-prometheus-client is not installed")
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics

    told = metrics.families(EVERYTHING)
    for accept, read in (("", parser), ("application/openmetrics-text", openmetrics)):
        body, kind = exposition.text(told, 0.25, 0.5, accept)
        assert kind.startswith(accept or "text/plain")
        found = {
            (each.name, tuple(sorted(each.labels.items()))): each.value
            for family in read.text_string_to_metric_families(body.decode())
            for each in family.samples
        }
        for name, labels, value in samples(EVERYTHING):
            assert found[name, tuple(sorted(labels.items()))] == pytest.approx(value)
        whose = (("node", "sw2"), ("pair", "rack7"))
        assert found["ovsha_loop_age_seconds", whose] == 0.25
        assert found["ovsha_told_age_seconds", whose] == 0.5
        assert found["process_resident_memory_bytes", ()] > 0


def test_the_stamp_of_a_database_is_told_by_its_term() -> None:
    assert [v for n, labels, v in samples(document()) if n == "ovsha_side_stamp_term" and labels["whose"] == "own"] == [
        STAMP.term
    ]


def test_every_reason_to_refuse_a_heartbeat_has_its_counter() -> None:
    counters = {reason: at for at, reason in enumerate(heartbeat.REASONS)}
    told = samples(document(outside=replace(OUTSIDE, counters=counters)))
    assert {labels["reason"]: v for n, labels, v in told if n == "ovsha_heartbeats_refused_total"} == counters
