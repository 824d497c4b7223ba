"""Each alert rule fires on what it is for and stays quiet otherwise, as promtool(1) of Prometheus itself finds."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovsha.report import diagnosis
from ovsha.report.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "etc" / "prometheus" / "ovsha.rules.yml"
PROMTOOL = shutil.which("promtool")

OWN = 'pair="rack7", node="sw1", side="sw1", whose="own"'
PEERS = 'pair="rack7", node="sw2", side="sw2", whose="own"'
NODE = 'pair="rack7", node="sw1"'
LABELS = {"pair": "rack7", "node": "sw1"}
SIDE = {**LABELS, "side": "sw1", "whose": "own"}
Series = dict[str, str]


@dataclass(frozen=True)
class Story:
    """Samples every 15 s that fire the alert within ten minutes, and samples that do not."""

    alert: str
    fires: Series
    labels: dict[str, str]
    summary: str
    quiet: tuple[Series, ...]


def serving(one: str, other: str) -> Series:
    return {f"ovsha_side_serving{{{OWN}}}": one, f"ovsha_side_serving{{{PEERS}}}": other}


def simple(alert: str, series: str, bad: str, good: str, labels: dict[str, str], summary: str, *quiet: str) -> Story:
    """Make a story of one series: `quiet` are further values of it that do not fire."""
    return Story(alert, {series: bad}, labels, summary, tuple({series: value} for value in (good, *quiet)))


SHORTLY = "0x10 1x1 0x30"
STORIES = (
    simple("OvshaAgentDown", 'up{job="ovsha", instance="sw1:9477"}', "0x40", "1x40",
           {"job": "ovsha", "instance": "sw1:9477"}, "ovsha on sw1:9477 does not answer", "1x10 0x2 1x30"),
    simple("OvshaLoopStuck", f"ovsha_loop_age_seconds{{{NODE}}}", "10+15x40", "0.1x40",
           LABELS, "The agent on sw1 of pair rack7 has not turned for 10m 10s", "0x10 6x1 0x30"),
    Story("OvshaNobodyServes", serving("0x40", "0x40"), {"pair": "rack7"}, "Nobody serves pair rack7", (
        serving("1x40", "0x40"),
        serving("1x10 0x1 0x29", "0x11 1x29"),
        # The agent of the serving side has died, and its server goes on.
        {f"ovsha_side_serving{{{PEERS}}}": "0x40",
         'ovsha_source_role{pair="rack7", node="sw2", role="active"}': "1x40"},
    )),
    Story("OvshaBothServe", serving("1x40", "1x40"), {"pair": "rack7"}, "Both sides of pair rack7 serve",
          (serving("1x40", "0x40"), serving("1x20 0x20", "0x20 1x20"))),
    simple("OvshaNeedsDecision", f'ovsha_side_state{{{OWN}, state="needs-decision"}}', "1x40", "0x40",
           {**SIDE, "state": "needs-decision"}, "sw1 of pair rack7 needs a decision"),
    simple("OvshaServerDown", f'ovsha_side_server_life{{{OWN}, life="hung"}}', "1x40", "0x40",
           {**SIDE, "life": "hung"}, "ovsdb-server on sw1 of pair rack7 is hung", SHORTLY),
    simple("OvshaNotInSync", f"ovsha_in_sync{{{NODE}}}", "0x40", "1x40", LABELS,
           "Pair rack7 is not in sync, as sw1 sees it", "0x10 1x30"),
    simple("OvshaPeerLost", f'ovsha_presence{{{NODE}, presence="silent"}}', "1x40", "0x40",
           {**LABELS, "presence": "silent"}, "sw1 of pair rack7 does not hear its peer, which is silent", SHORTLY),
    simple("OvshaPathDown", f'ovsha_path_up{{{NODE}, path="backup-path"}}', "0x40", "1x40",
           {**LABELS, "path": "backup-path"}, "Heartbeats do not pass on the backup-path of sw1, pair rack7",
           "1x10 0x1 1x30"),
    Story("OvshaReplicationLag",
          {f"ovsha_side_lag_seconds{{{OWN}}}": "2.5x40", f'ovsha_setting_seconds{{{NODE}, setting="max_lag"}}': "1x40"},
          SIDE, "The copy on sw1 of pair rack7 is 2.5s behind",
          ({f"ovsha_side_lag_seconds{{{OWN}}}": "0.5x40",
            f'ovsha_setting_seconds{{{NODE}, setting="max_lag"}}': "1x40"},
           {f"ovsha_side_lag_seconds{{{OWN}}}": "2.5x40",
            f'ovsha_setting_seconds{{{NODE}, setting="max_lag"}}': "5x40"})),
    Story("OvshaNoController",
          {f"ovsha_side_controllers{{{OWN}}}": "0x40", f"ovsha_side_serving{{{OWN}}}": "1x40",
           f'ovsha_manager_connected{{{NODE}, target="ssl:10.0.0.1:6640"}}': "0x40"},
          SIDE, "No controller is connected to sw1, which serves pair rack7",
          ({f"ovsha_side_controllers{{{OWN}}}": "1x40", f"ovsha_side_serving{{{OWN}}}": "1x40",
            f'ovsha_manager_connected{{{NODE}, target="ssl:10.0.0.1:6640"}}': "1x40"},
           # A backup has none, and a pair without managers wants none.
           {f"ovsha_side_controllers{{{OWN}}}": "0x40", f"ovsha_side_serving{{{OWN}}}": "0x40",
            f'ovsha_manager_connected{{{NODE}, target="ssl:10.0.0.1:6640"}}': "0x40"},
           {f"ovsha_side_controllers{{{OWN}}}": "0x40", f"ovsha_side_serving{{{OWN}}}": "1x40"})),
    Story("OvshaNoVtep", {f"ovsha_side_vtep_sessions{{{OWN}}}": "0x40", f"ovsha_side_serving{{{OWN}}}": "1x40"},
          SIDE, "No VTEP daemon is attached to sw1, which serves pair rack7",
          ({f"ovsha_side_vtep_sessions{{{OWN}}}": "2x40", f"ovsha_side_serving{{{OWN}}}": "1x40"},
           {f"ovsha_side_vtep_sessions{{{OWN}}}": "0x40", f"ovsha_side_serving{{{OWN}}}": "0x40"})),
    simple("OvshaStepFailing", f'ovsha_step_failing{{{NODE}, step="add the VIP and announce it"}}', "1x40", "_x40",
           {**LABELS, "step": "add the VIP and announce it"}, "sw1 of pair rack7 cannot add the VIP and announce it",
           "_x10 1x1 _x30"),
    simple("OvshaTrouble", f'ovsha_problem{{{NODE}, problem="trouble", level="degraded"}}', "2x40", "0x40",
           {**LABELS, "problem": "trouble", "level": "degraded"}, "Something hinders ovsha on sw1 of pair rack7",
           "0x5 1x10 0x25"),
    simple("OvshaMlagTrouble", f'ovsha_problem{{{NODE}, problem="mlag", level="degraded"}}', "1x40", "0x40",
           {**LABELS, "problem": "mlag", "level": "degraded"},
           "The MLAG role of sw1, pair rack7, is unknown or that of its peer too", SHORTLY),
    simple("OvshaCollision", f"ovsha_collisions{{{NODE}}}", "1x40", "0x40", LABELS,
           "Somebody gets in the way of pair rack7, as sw1 sees it"),
    simple("OvshaEstranged", f"ovsha_identity_estranged{{{NODE}}}", "1x40", "0x40", LABELS,
           "Another switch answers in the place of the peer of sw1, pair rack7"),
    simple("OvshaDivergence", f'ovsha_problem{{{NODE}, problem="divergence", level="degraded"}}', "1x40", "0x40",
           {**LABELS, "problem": "divergence", "level": "degraded"},
           "Rows of pair rack7 were acknowledged by the overwritten side only"),
    simple("OvshaMovesHeld", f'ovsha_problem{{{NODE}, problem="moves-held", level="degraded"}}', "1x40", "0x40",
           {**LABELS, "problem": "moves-held", "level": "degraded"},
           "Pair rack7 has moved so often that it is not given back by itself"),
    simple("OvshaIncident", f"ovsha_incidents_total{{{NODE}}}", "0x20 1x20", "3x40", LABELS,
           "ovsdb-server on sw1 of pair rack7 was found in a role that nobody ordered"),
    simple("OvshaStarved", f"ovsha_gaps_total{{{NODE}}}", "0x10 1x5 2x5 5x20", "0x20 1x20", LABELS,
           "The agent on sw1 of pair rack7 is not scheduled in time"),
    simple("OvshaHooksFail", f"ovsha_hooks_failed_total{{{NODE}}}", "0x20 1x20", "2x40", LABELS,
           "Hooks fail on sw1 of pair rack7"),
    simple("OvshaPaused", f'ovsha_side_mode{{{OWN}, mode="paused"}}', "1x40", "0x40",
           {**SIDE, "mode": "paused"}, "sw1 of pair rack7 only watches (mode paused)", "0x10 1x10 0x20"),
    simple("OvshaUpgradeOpen", f"ovsha_side_upgrade_seconds{{{OWN}}}", "20000+60x40", "60+60x40", SIDE,
           "sw1 of pair rack7 is in an upgrade that nobody finishes", "20000x2 _x38"),
    Story("OvshaServiceMoved", serving("1x20 0x20", "0x20 1x20"),
          {"pair": "rack7", "node": "sw2", "side": "sw2", "whose": "own"},
          "The service of pair rack7 has moved to sw2", (serving("1x40", "0x40"),)),
)  # fmt: skip


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def promtool(*args: str) -> None:
    if PROMTOOL is None:
        pytest.skip("promtool is not installed")
    ran = subprocess.run([PROMTOOL, *args], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def expectation(story: Story) -> list[dict[str, Any]]:
    """Return the alert as it must fire, with all its labels and sentences."""
    rule = rules()[story.alert]
    template = rule["annotations"]["description"]
    description = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: story.labels[found[1]], template)
    return [
        {
            "exp_labels": {**story.labels, **rule["labels"]},
            "exp_annotations": {"summary": story.summary, "description": description},
        }
    ]


def unit_test(name: str, alert: str, series: Series, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": "15s",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [{"eval_time": "10m", "alertname": alert, "exp_alerts": expected}],
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.alert)
def test_an_alert_fires_on_what_it_is_for_and_on_nothing_else(story: Story, tmp_path: Path) -> None:
    tests = [unit_test("fires", story.alert, story.fires, expectation(story))]
    tests += [unit_test(f"quiet {at}", story.alert, series, []) for at, series in enumerate(story.quiet)]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    promtool("test", "rules", str(file))


def test_every_alert_has_its_story() -> None:
    assert [story.alert for story in STORIES] == list(rules())
    assert all(story.quiet for story in STORIES)


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_the_rules_ask_for_metrics_and_labels_that_there_are() -> None:
    names = {row.name for row in METRICS} | {"ovsha_loop_age_seconds", "up"}
    words = {name for name, _, _ in diagnosis.ROWS}
    for rule in rules().values():
        assert set(re.findall(r"\b(ovsha_\w+|up)\b", rule["expr"].replace('job="ovsha"', ""))) <= names
        assert set(re.findall(r'problem="([^"]+)"', rule["expr"])) <= words


def test_every_alert_says_how_grave_it_is_and_what_to_do() -> None:
    for name, rule in rules().items():
        assert re.fullmatch(r"Ovsha[A-Z][A-Za-z]+", name)
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert not rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
