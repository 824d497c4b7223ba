"""The README says what the code does."""

from __future__ import annotations

import re

import yaml

import tables
from ovsha import config

TEXT = tables.README.read_text()
MONITORING = tables.MONITORING.read_text()


def test_tables_are_those_of_the_code() -> None:
    assert {found[2] for found in tables.MARKED.finditer(TEXT + MONITORING)} == set(tables.tables())
    assert tables.rewritten(TEXT) == TEXT
    assert tables.rewritten(MONITORING) == MONITORING, "run python3 tests/tables.py"


def test_configuration_in_the_readme_is_valid() -> None:
    shown = re.search(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", TEXT)
    assert shown is not None
    text = re.sub(r"^ {4}", "", shown[1], flags=re.MULTILINE)
    assert config.parse(text, "README.rst").node in yaml.safe_load(text)["nodes"]
