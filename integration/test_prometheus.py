"""A real Prometheus scrapes a real agent: every panel of the dashboard has something to show, and no rule is broken."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab
from story import LIMIT, MakeLab, await_pair, begin
from switch import Switch

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "etc" / "prometheus" / "ovsha.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "ovsha.json"
PORT = 19090
GET = """
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
"""


@contextmanager
def prometheus(pair: Lab, switch: Switch) -> Iterator[None]:
    """Run a Prometheus on that switch which scrapes its agent every second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    config = pair.directory / "prometheus.yml"
    job = {"job_name": "ovsha", "static_configs": [{"targets": ["127.0.0.1:9477"]}]}
    seconds = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(yaml.safe_dump({"global": seconds, "rule_files": [str(RULES)], "scrape_configs": [job]}))
    command = [
        *pair.network.entering(switch.node),
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={pair.directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{PORT}",
    ]
    with (pair.directory / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        server.kill()
        server.wait()


def api(switch: Switch, path: str, **params: str) -> Any:
    """Return what Prometheus answers; ConnectionError when it does not."""
    url = f"http://127.0.0.1:{PORT}/api/v1/{path}?{urllib.parse.urlencode(params)}"
    asked = switch.run(sys.executable, "-c", GET, url, limit=30.0)
    if asked.returncode:
        raise ConnectionError(asked.stderr)
    return json.loads(asked.stdout)["data"]


def shown(switch: Switch, expression: str) -> int:
    """Return how many series an expression of the dashboard shows now."""
    asked = expression.replace("$pair", "lab").replace("$__rate_interval", "10s")
    return len(api(switch, "query", query=asked)["result"])


def expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(panel["title"], each["expr"]) for panel in panels for each in panel.get("targets", [])]


def test_every_panel_and_every_rule_resolves_against_real_scrapes(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab)
    stack.enter_context(prometheus(pair, pair.sw2))
    pair.wait_until(lambda: shown(pair.sw2, "count_over_time(ovsha_info[20s]) > 4"), 60.0, "it has scraped")
    empty = [title for title, expression in expressions() if not shown(pair.sw2, expression)]
    assert empty == []
    pair.wait_until(lambda: all_evaluated(pair.sw2), LIMIT, "all rules are evaluated")
    assert {rule["name"]: rule["health"] for rule in rules(pair.sw2) if rule["health"] != "ok"} == {}
    assert raised(pair.sw2) == set(), "nothing is wrong, and nobody is called"
    pair.sw2.server.kill()
    due = {"OvshaServerDown", "OvshaNotInSync"}
    pair.wait_until(lambda: due <= raised(pair.sw2), LIMIT, "what is wrong is about to be an alert")
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: "OvshaServerDown" not in raised(pair.sw2), LIMIT, "and is none when it is right again")


def rules(switch: Switch) -> list[dict[str, Any]]:
    (group,) = api(switch, "rules")["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def all_evaluated(switch: Switch) -> bool:
    return all(rule["health"] != "unknown" for rule in rules(switch))


def raised(switch: Switch) -> set[str]:
    return {rule["name"] for rule in rules(switch) if rule["state"] != "inactive"}
