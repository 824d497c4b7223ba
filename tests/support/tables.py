"""Make the tables of README.rst and of pages in docs/ from the code, between their markers.

Run `python3 tests/support/tables.py` to rewrite them; tests/project/test_readme.py holds that nothing would change.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import tree  # noqa: E402

from ovsha import config  # noqa: E402
from ovsha.core.election import RULES  # noqa: E402
from ovsha.core.split_brain import CRITERIA  # noqa: E402
from ovsha.core.transition import PLANS  # noqa: E402
from ovsha.mlag.sources import ABSOLUTE, CLAGCTL, CLAGCTL_TEXT, NV, OWN, Source  # noqa: E402
from ovsha.report.metrics import METRICS  # noqa: E402

README = ROOT / "README.rst"
PAGES = (README, *(ROOT / "docs" / f"{name}.rst" for name in ("deciding", "monitoring", "security", "mlag-sources")))
MARKED = re.compile(r"(\.\. begin (\w+), made by tests/support/tables\.py\n\n).*?(\n\.\. end \2\n)", re.DOTALL)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a simple table of reStructuredText."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = [rule, _line(head, widths), rule, *(_line(row, widths) for row in rows), rule]
    return "\n".join(lines) + "\n"


PORTS = (
    ("replication.port", "TCP", "own address on the peer link", "ovsdb-server", "the peer's server and agent"),
    ("vip.port", "TCP", "the VIP, on the active side only", "ovsdb-server", "the VTEP daemons of both switches"),
    ("exchange.port", "TCP", "own address on the peer link", "ovsha", "the peer's agent and commands"),
    ("heartbeat.port", "UDP", "own address on the peer link, and on the backup path", "ovsha", "the peer's agent"),
    ("metrics.port", "TCP", "``metrics.address``", "ovsha", "who watches; by default only this switch"),
)
"""What listens: the key of the port, and in words where, which program, and for whom."""


def tables() -> dict[str, str]:
    """Return every generated table by the name of its markers."""
    rules = [(rule.name, rule.goal.value, rule.why) for rule in RULES]
    plans = [
        (goal.value, str(number), row.step.value)
        for goal, plan in PLANS.items()
        for number, row in enumerate(plan, 1)
    ]
    # Wider than any, so that a new name does not move all the others.
    metrics = [(f"``{row.name}``", row.doc) for row in METRICS]
    verdict = [(str(number), criterion.why) for number, criterion in enumerate(CRITERIA, 1)]
    defaults = {key: default for key, default, _ in config.describe()}
    ports = [(f"{defaults[key]} {kind}", f"``{key}``", where, whose, who) for key, kind, where, whose, who in PORTS]
    return {
        "ports": table(("port", "key", "listens on", "program", "is for"), ports),
        "metrics": table(("metric".ljust(46), "what it is"), metrics),
        "commands": table(("command", "what it does"), _commands()),
        "rules": table(("rule", "goal", "because"), rules),
        "plans": table(("goal", "step", "what is done"), plans),
        "mlag_clagctl": _mlag(CLAGCTL),
        "mlag_clagctl_text": _mlag(CLAGCTL_TEXT),
        "mlag_nv": _mlag(NV),
        "mlag_command": _mlag(OWN),
        "verdict": table(("order", "the side goes on of which it is true that"), verdict),
    }


def _mlag(source: Source) -> str:
    """Return where a source of MLAG facts tells each, and how it is read there."""
    root = f"{source.roots[0]}." if source.roots[0] else ""

    def shown(place: str) -> str:
        return f"``{place.removeprefix(ABSOLUTE) if place.startswith(ABSOLUTE) else root + place}``"

    rows = [(f"``{fact.name}``", " or ".join(map(shown, fact.places)), fact.how.value) for fact in source.facts]
    return table(("fact", "where it stands", "how it is read"), rows)


def _commands() -> list[tuple[str, ...]]:
    """Return the commands that are not within another one, and what their help says."""
    found = {each.path: each for each in tree.commands()}
    top = [each for path, each in found.items() if len(path) == 1]
    single = {each.path: found[*each.path, *each.actions] for each in top if len(each.actions) == 1}
    return [
        (f"``ovsha {' '.join([*each.path, *(['|'.join(each.actions)] if each.actions else [])])}``",
         _short(single.get(each.path, each).about))
        for each in top
    ]  # fmt: skip


def _short(sentence: str) -> str:
    """Return a help text without its exit status, as the cell of a table."""
    return sentence[:1].lower() + sentence[1:].partition("; exit status")[0].rstrip(".")


def rewritten(text: str) -> str:
    """Return the text of a file with the tables that the code has now."""
    made = tables()
    return MARKED.sub(lambda found: found[1] + made[found[2]] + found[3], text)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rewritten(path.read_text()))
