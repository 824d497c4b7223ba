"""What each URL of the agent shows, of what its loop last published.

    /metrics   for Prometheus
    /healthz   200 while the agent's loop turns
    /active    200 on the side that serves
    /backup    200 on a backup that is in sync
    /          the page, where the configuration turns it on

All of this runs in the serving threads.  They read what the loop left on the board, and
the loop never waits for them.  What an agent that does not turn has last said is not
vouched for: it is neither active nor backup then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.host.http import Answer
from ovsha.report import metrics, status
from ovsha.report.assessment import StatusInputs
from ovsha.words import span

log = logging.getLogger("ovsha")

STUCK = 2.0
"""Seconds without a turn after which the loop counts as stuck; it turns several times a second."""

_NO_CLIENT = "Prometheus metrics need the package python3-prometheus-client, which is not installed"


@dataclass(frozen=True, slots=True)
class Published:
    """What the loop has left to be told: `at` is seconds since 1970, `now` on the agent's clock."""

    at: float
    now: float
    view: View
    decision: Decision
    outside: StatusInputs


class Board:
    """Where the loop leaves what is to be told, and the time of its last turn."""

    def __init__(self) -> None:
        self.published: Published | None = None
        self.turned = 0.0


Page = Callable[[dict[str, Any], float, float | None], Answer]
"""From a document, when it was true in seconds since 1970, and for how long the loop is stuck if it is."""


class Urls:
    """The answers; `clock` is the agent's, `page` makes the page, None for no page."""

    def __init__(self, board: Board, clock: Callable[[], float], page: Page | None = None) -> None:
        self._board, self._clock, self._page = board, clock, page
        self._lock = threading.Lock()
        self._made: tuple[Published | None, dict[str, Any]] = (None, {})
        self._said = False
        self._shown: dict[str, Callable[[str], Answer]] = {
            "/metrics": self._metrics,
            "/healthz": lambda accept: self._health(),
            "/active": lambda accept: self._role(_active),
            "/backup": lambda accept: self._role(_backup),
            "/": lambda accept: self._front(),
        }

    def answer(self, path: str, accept: str) -> Answer:
        """Return what `path` shows to a client that takes `accept`."""
        shown = self._shown.get(path)
        return shown(accept) if shown else _text("there is nothing here", HTTPStatus.NOT_FOUND)

    def _turned(self) -> float:
        """Return how long ago the loop turned."""
        return max(0.0, self._clock() - self._board.turned)

    def _document(self) -> dict[str, Any] | None:
        """Return the document of what was published last; it is made when somebody asks, and once."""
        published = self._board.published
        if published is None:
            return None
        with self._lock:
            if self._made[0] is not published:
                document = status.status(published.view, published.decision, published.outside)
                self._made = (published, document)
            return self._made[1]

    def _health(self) -> Answer:
        if self._board.published is None:
            return _text("the agent has only just started", HTTPStatus.SERVICE_UNAVAILABLE)
        if self._turned() > STUCK:
            return self._stuck()
        return _text(f"the agent's loop turned {self._turned():.2f} s ago")

    def _stuck(self) -> Answer:
        words = f"the agent's loop has not turned for {span(self._turned())}"
        return _text(words, HTTPStatus.SERVICE_UNAVAILABLE)

    def _role(self, holds: Callable[[dict[str, Any]], tuple[bool, str]]) -> Answer:
        document = self._document()
        if document is None or self._turned() > STUCK:
            return self._health()
        here, words = holds(document)
        return _text(words, HTTPStatus.OK if here else HTTPStatus.SERVICE_UNAVAILABLE)

    def _metrics(self, accept: str) -> Answer:
        document = self._document()
        if document is None:
            return self._health()
        try:
            from ovsha.agent import exposition
        except ImportError:
            if not self._said:
                self._said = True
                log.warning("%s; /healthz, /active and /backup work without it", _NO_CLIENT)
            return _text(_NO_CLIENT, HTTPStatus.SERVICE_UNAVAILABLE)
        published = self._made[0]
        age = self._clock() - published.now if published else 0.0
        body, kind = exposition.text(metrics.families(document), self._turned(), age, accept)
        return Answer(body, kind=kind)

    def _front(self) -> Answer:
        if self._page is None:
            words = "the page is off: set page to true in section metrics of the configuration"
            return _text(words, HTTPStatus.NOT_FOUND)
        document, published = self._document(), self._board.published
        if document is None or published is None:
            return self._health()
        turned = self._turned()
        return self._page(document, published.at, turned if turned > STUCK else None)


def _text(words: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(f"{words}\n".encode(), code)


def _active(document: dict[str, Any]) -> tuple[bool, str]:
    node = document["node"]
    side = document["sides"][node]
    return side["serving"], f"{node} serves" if side["serving"] else f"{node} does not serve, because {document['why']}"


def _backup(document: dict[str, Any]) -> tuple[bool, str]:
    node = document["node"]
    side = document["sides"][node]
    if side["role"] == "backup" and not side["parked"] and side["in_sync_for"] is not None:
        return True, f"{node} is a backup in sync, for {span(side['in_sync_for'])}"
    return False, f"{node} serves" if side["serving"] else f"{node} is no backup in sync, because {document['why']}"
