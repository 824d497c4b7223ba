"""Hold what a URL shows, between who makes it and who sends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """What one URL shows; `headers` stand beside those that every answer has, or in their place."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


Answerer = Callable[[str, str], Answer]
"""From a path and the Accept header to what is answered; called by several threads."""
