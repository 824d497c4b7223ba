"""How Sphinx builds these pages: `make docs`, into build/docs."""

from __future__ import annotations

import re
from pathlib import Path

_VERSION = re.search(r'__version__ = "([^"]+)"', (Path(__file__).parents[1] / "ovsha" / "__init__.py").read_text())
assert _VERSION is not None, "the version is in ovsha/__init__.py"

project = "ovsha"
project_copyright = "the ovsha maintainers"
release = version = _VERSION[1]
html_theme = "alabaster"
html_theme_options = {"description": "High availability for the OVSDB servers of an MLAG pair", "page_width": "1100px"}
html_show_sourcelink = False
# What a console shows is no language.
highlight_language = "none"
nitpicky = True
