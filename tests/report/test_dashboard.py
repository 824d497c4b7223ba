"""The dashboard shows metrics that there are, in panels that do not lie upon each other."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from ovsha.report.metrics import METRICS

DASHBOARD = json.loads((Path(__file__).resolve().parents[2] / "etc" / "grafana" / "ovsha.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]


def test_every_panel_asks_for_metrics_that_there_are() -> None:
    names = {row.name for row in METRICS} | {"ovsha_loop_age_seconds"}
    asked = {
        name for panel in PANELS for each in panel.get("targets", []) for name in re.findall(r"ovsha_\w+", each["expr"])
    }
    assert asked
    assert asked <= names


def test_every_panel_is_of_the_chosen_pair_or_of_the_job() -> None:
    for panel in PANELS:
        for each in panel.get("targets", []):
            for name, labels in re.findall(r"((?:ovsha|process)_\w+|\bup\b)\{([^}]*)\}", each["expr"]):
                assert 'pair="$pair"' in labels if name.startswith("ovsha") else 'job="ovsha"' in labels


def test_every_panel_says_what_it_shows_and_has_its_own_place() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")
    for one, other in combinations(PANELS, 2):
        assert one["id"] != other["id"]
        assert apart(one["gridPos"], other["gridPos"]), f"{one['title']} lies upon {other['title']}"


def apart(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
