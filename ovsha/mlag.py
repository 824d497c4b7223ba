"""Choose who is asked for the MLAG role of this switch, and ask, for commands and threads that may wait.

The agent asks the same ones by `ovsha.drivers.clag`; nobody else runs clagctl(8), nv(1) or the operator's own command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ovsha import programs
from ovsha.checks import mlag_detail
from ovsha.checks.mlag_detail import Detail
from ovsha.config_switch import Clag as Settings
from ovsha.core.facts import Clag
from ovsha.drivers.clag_parse import parse
from ovsha.drivers.mlag_facts import CLAGCTL, CLAGCTL_TEXT, NV, OWN, Question, Source


@dataclass(frozen=True, slots=True)
class Answer:
    """What the MLAG of this switch tells, and who told it."""

    source: Source
    clag: Clag
    detail: Detail


def questions(settings: Settings) -> tuple[Question, ...]:
    """Return who is to be asked now, and who when that is not understood; with `auto` it depends on what is there.

    Where nothing is there clagctl is named, so that what is missing has the name that an operator expects.
    """
    chosen: str = settings.source
    if chosen == "auto":
        there = {"command": settings.own_command, "clagctl": settings.command, "nv": settings.nv_command}
        chosen = next((name for name, command in there.items() if command and _is_there(command[0])), "clagctl")
    if chosen == "command":
        return (Question(settings.own_command, OWN),)
    if chosen == "nv":
        return (Question(settings.nv_command, NV),)
    texts = (Question(settings.text_command, CLAGCTL_TEXT),) if settings.text_command else ()
    return (Question(settings.command, CLAGCTL), *texts)


def ask(settings: Settings) -> Answer:
    """Return what is told, by clagctl in both its forms.  Raises DriverError when it cannot be run, or hangs."""
    asked = questions(settings)
    answers = [(each.source, *programs.read(each.command, settings.timeout)) for each in asked]
    clags = [parse(text, source, status) for source, status, text in answers]
    clag = next((each for each in clags if each.role is not None), clags[0])
    detail = Detail()
    for source, _, text in answers:
        detail = mlag_detail.together(detail, mlag_detail.read(source, text))
    return Answer(asked[0].source, clag, detail)


def commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the commands that tell of the MLAG, by the names of the files in which what they print is collected."""
    names = {CLAGCTL: "clagctl.json", CLAGCTL_TEXT: "clagctl.txt", NV: "nv-mlag.json", OWN: "mlag-facts.json"}
    return {names[each.source]: each.command for each in questions(settings)}


def _is_there(program: str) -> bool:
    return Path(program).is_file() and os.access(program, os.X_OK)
