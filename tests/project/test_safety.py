"""What docs/safety.rst promises or denies is shown by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "safety.rst").read_text()
NAMED = re.findall(r"``((?:tests|integration)/\w+\.py)::(\w+)``", TEXT)


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)), ids=lambda word: word.rpartition("/")[2])
def test_the_test_that_is_named_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def section(title: str) -> str:
    """Return the text below a title, up to the next one."""
    return re.split(r"\n[^\n]+\n-{5,}\n", TEXT.partition(f"{title}\n{'-' * len(title)}\n")[2])[0]


def test_every_item_names_a_test() -> None:
    items = re.split(r"^(?:\d\.|\*) ", section("The eight laws") + section("What is not survived"), flags=re.MULTILINE)
    assert len(items) >= 16
    assert [item.splitlines()[0] for item in items if item.strip() and "::test_" not in item] == []
