"""Write metrics in the formats of Prometheus, with its own library (python3-prometheus-client).

Imported when somebody asks for /metrics, and only then: the agent runs without the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from ovsha.report.metrics import COUNTER, Family

LOOP_AGE = Family("ovsha_loop_age_seconds", "gauge", "How long ago the agent's loop turned.", ())
TOLD_AGE = Family("ovsha_told_age_seconds", "gauge", "How old the facts of this scrape are.", ())
"""What the serving thread itself can tell of the loop, even when that is stuck."""


def text(families: Sequence[Family], loop_age: float, told_age: float, accept: str) -> tuple[bytes, str]:
    """Return the exposition and its content type, in the format that `accept` prefers; ages are seconds."""
    labels = next((dict(s[0]) for family in families for s in family.samples), {})
    whose: dict[str, str] = {name: labels[name] for name in ("pair", "node") if name in labels}
    ages = (
        Family(row.name, row.kind, row.doc, ((whose, max(0.0, value)),))
        for row, value in ((LOOP_AGE, loop_age), (TOLD_AGE, told_age))
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*families, *ages]))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Families:
    """Give the families to the library."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        """Yield those that have a sample."""
        for family in self._families:
            if family.samples:
                yield _family(family)


def _family(family: Family) -> Any:
    names = list(dict.fromkeys(name for labels, _ in family.samples for name in labels))
    kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    made = kind(family.name.removesuffix("_total"), family.doc, labels=names)
    for labels, value in family.samples:
        made.add_metric([labels.get(name, "") for name in names], value)
    return made
