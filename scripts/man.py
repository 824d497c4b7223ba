"""Write the man pages from the command line's help, the keys of the configuration, and scripts/manual.py.

Run `python3 scripts/man.py`, or `make man`; tests/project/test_man.py holds that nothing would change.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator

import manual
from tree import ROOT, Command, commands, takes_value, value

from ovsha import __version__
from ovsha.config import describe
from ovsha.config.values import Default

DATE = "2026-11-21"
_COMMON = ("--config", "--target", "--json")


def pages() -> dict[str, str]:
    """Return every page by its path in the repository."""
    return {"man/ovsha.8": "\n".join(_ovsha()) + "\n", "man/ovsha.yaml.5": "\n".join(_yaml()) + "\n"}


def _ovsha() -> Iterator[str]:
    found = commands()
    yield from _head("OVSHA", "8", "ovsha", "high availability for the OVSDB servers of an MLAG pair")
    yield ".SH SYNOPSIS"
    yield f".B ovsha\n{_usage(found[0])}\n.I COMMAND\n.RI [ ARGUMENT \\&...]"
    yield from _prose("DESCRIPTION", manual.DESCRIPTION)
    yield ".SH OPTIONS"
    yield r"\-\-config and \-\-target may stand before a command as well as after it, \-\-json after it only."
    seen: set[str] = set()
    for each in (argument for command in found for argument in command.options):
        name = each.option_strings[0]
        if name in (*_COMMON, "--version") and name not in seen:
            seen.add(name)
            yield from _option(each)
    yield ".SH COMMANDS"
    for command in found[1:]:
        if not command.actions:
            yield from _command(command)
    yield from _table("STATES", manual.STATES, "What ovsha status calls operational, and what each guarantees:")
    yield from _table("EXIT STATUS", manual.EXIT_STATUS)
    yield f".PP\n{_text(manual.CHECK_STATUS)}"
    yield from _table("FILES", manual.FILES, "With the defaults of the configuration:")
    yield from _table("ENVIRONMENT", manual.ENVIRONMENT)
    yield ".SH EXAMPLES"
    for number, (what, line) in enumerate(manual.EXAMPLES):
        yield f"{'.PP' + chr(10) if number else ''}{_text(what)}\n.PP\n.RS 4\n.EX\n{_text(line)}\n.EE\n.RE"
    yield ".SH SEE ALSO"
    yield ".BR ovsha.yaml (5),\n.BR ovsdb\\-server (1),\n.BR ovs\\-appctl (8),\n.BR ovsdb (7)"


def _command(command: Command) -> Iterator[str]:
    yield f'.SS "{" ".join(("ovsha", *command.path)).replace("-", chr(92) + "-")}"'
    places = "".join(f" {_place(each)}" for each in command.places)
    usage = "".join(f" {_bracketed(each)}" for each in command.options if each.option_strings[0] not in _COMMON)
    if places or usage:
        yield f".B ovsha {_text(' '.join(command.path))}\n{_text((usage + places).strip())}\n.PP"
    yield _text(command.about)
    for each in (*command.places, *command.options):
        if not each.option_strings or each.option_strings[0] not in _COMMON:
            yield from _option(each)


def _option(argument: argparse.Action) -> Iterator[str]:
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in argument.option_strings)
    shown = rf"\fI{_text(value(argument))}\fR" if takes_value(argument) else ""
    if argument.option_strings and argument.nargs == "?":
        shown = f"[{shown}]"
    yield f".TP\n{' '.join(part for part in (names, shown) if part)}"
    about = argument.help or ""
    literal = about.split(",")[0] in [str(choice) for choice in argument.choices or ()]
    yield _text((about if literal else about[:1].upper() + about[1:]) + ".")


def _usage(command: Command) -> str:
    return "\n".join(
        rf".RB [ {_text(each.option_strings[0])} ]"
        if not takes_value(each)
        else rf".RB [ {_text(each.option_strings[0])} \~\c{chr(10)}.IR {_text(value(each))} ]"
        for each in command.options
    )


def _bracketed(argument: argparse.Action) -> str:
    text = argument.option_strings[0]
    if takes_value(argument):
        text += f" [{value(argument)}]" if argument.nargs == "?" else f" {value(argument)}"
    return text if argument.required else f"[{text}]"


def _place(argument: argparse.Action) -> str:
    form = {"?": "[{}]", "*": "[{}]...", "+": "{}..."}.get(str(argument.nargs), "{}")
    return form.format(value(argument))


def _yaml() -> Iterator[str]:
    yield from _head("OVSHA.YAML", "5", "ovsha.yaml", "configuration of ovsha(8)")
    yield from _prose("DESCRIPTION", manual.CONFIG_DESCRIPTION)
    yield ".SH KEYS"
    for key, default, about in describe():
        yield f".TP\n.B {_text(key)}"
        given = "It must be given." if default is Default.REQUIRED else f"Default: {_written(default)}."
        yield f"{_text(about)}\n{_text(given)}"
    yield f".SH EXAMPLES\nThe least that is needed:\n.PP\n.RS 4\n.EX\n{_text(manual.CONFIG_EXAMPLE.rstrip())}\n.EE\n.RE"
    yield ".SH FILES\n.I /etc/ovsha/ovsha.yaml"
    yield ".SH SEE ALSO\n.BR ovsha (8)"


def _written(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)


def _head(title: str, section: str, name: str, about: str) -> Iterator[str]:
    yield '.\\" Made by scripts/man.py; do not edit.'
    yield f'.TH {title} {section} {DATE} "ovsha {__version__}" "System Administration"'
    yield f".SH NAME\n{name} \\- {_text(about)}"


def _prose(title: str, paragraphs: Iterable[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield "\n.PP\n".join(_text(each) for each in paragraphs)


def _table(title: str, rows: Iterable[tuple[str, str]], lead: str = "") -> Iterator[str]:
    yield f'.SH "{title}"' if " " in title else f".SH {title}"
    if lead:
        yield _text(lead)
    for term, about in rows:
        yield f".TP\n.B {_text(term)}\n{_text(about[:1].upper() + about[1:].rstrip('.') + '.')}"


def _text(text: str) -> str:
    """Return text as roff takes it literally; a sentence begins on a line of its own."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    lines = escaped.replace(".  ", ".\n").split("\n")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


if __name__ == "__main__":
    for path, page in pages().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(page)
