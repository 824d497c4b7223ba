"""Make elements of HTML and SVG, in which text is always escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, *inside: str | None, **attributes: object) -> Markup:
    """Return an element; a None inside or as an attribute is left out, `class_` is class and `a_b` is a-b."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*inside)}</{name}>")


def join(*parts: str | None) -> Markup:
    """Return the parts after each other, those that are text escaped."""
    return Markup(
        "".join(part if isinstance(part, Markup) else escape(part, quote=False) for part in parts if part is not None)
    )
