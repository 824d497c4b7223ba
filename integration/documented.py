"""Read the steps of a page, as an operator does who copies them.

A step is a line of a literal block that begins with a prompt: ``sw1#`` or ``sw2#`` for that switch, ``both#`` for both,
one after the other.  Lines without a prompt are what is printed.  A command that ends in a backslash goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PROMPT = re.compile(r"^ {4,}(both|sw1|sw2)# (.*)$", re.MULTILINE)
_TITLE = re.compile(r"^(\S.*)\n([-=~])\2+$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One command, and where it is typed: sw1, sw2 or both."""

    where: str
    command: str


def steps(page: Path, title: str) -> list[Step]:
    """Return the steps of the section of that title, up to the next title of any kind; KeyError when there is none."""
    text = page.read_text(encoding="utf-8")
    titles = list(_TITLE.finditer(text))
    for number, found in enumerate(titles):
        if found[1] == title:
            end = titles[number + 1].start() if number + 1 < len(titles) else len(text)
            section = re.sub(r" *\\\n +", " ", text[found.end() : end])
            return [Step(*each.groups()) for each in _PROMPT.finditer(section)]
    raise KeyError(f"{page.name} has no section {title}")

