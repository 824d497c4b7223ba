"""Tell how far our copy is behind: a token seen on the active side must show up here soon.

"Replicating" is no evidence of being up to date, and there is no sequence number; but
everything that was committed before a token is in the copy when the token is.
"""

from __future__ import annotations

from collections import deque

from ovsha.core.facts import Copy, Server, Source, Token


class CopyWatch:
    """Compare the tokens on both sides; seconds, on the clock that `look` is given."""

    def __init__(self, max_lag: float, token_interval: float) -> None:
        self._max_lag = max_lag
        self._stale_after = 3 * token_interval + max_lag
        self._waiting: deque[tuple[Token, float]] = deque()
        self._seen: Token | None = None
        self._seen_at = 0.0
        self._since: float | None = None
        self._lag: float | None = None

    def look(self, now: float, own: Server, source: Source, following: bool) -> Copy:
        """Return how the copy stands, given what both databases say now."""
        if not following or not source.loaded or own.stamp is None or own.stamp != source.stamp:
            self._waiting.clear()
            self._seen = self._since = self._lag = None
            return Copy()
        if source.token is not None and source.token != self._seen:
            self._seen, self._seen_at = source.token, now
            self._waiting.append((source.token, now))
        while self._waiting and own.token is not None and own.token >= self._waiting[0][0]:
            self._lag = now - self._waiting.popleft()[1]
            self._since = now if self._since is None else self._since
        late = bool(self._waiting) and now - self._waiting[0][1] > self._max_lag
        if late or now - self._seen_at > self._stale_after:
            self._since = None
        return Copy(None if self._since is None else now - self._since, self._lag)
