"""Have the local server take the peer's sessions with TLS or without, as the configuration says.

What started it may have said otherwise: the vendor's script, or this package before the configuration was changed.
So a pair goes from the one to the other by a reload on each side, and its service is not interrupted.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ovsha.agent.switch import Switch
from ovsha.core.facts import Life, Mode
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.history.recorder import Recorder
from ovsha.ovsdb import own_server

_AGAIN = 2.0
_WHAT = "replication"


class ReplicationListener:
    """Looks after the listener for the peer of the server of `switch`."""

    def __init__(self, switch: Switch, recorder: Recorder) -> None:
        self._switch, self._recorder = switch, recorder
        self._again_at = float("-inf")

    def run(self, view: View | None, decision: Decision | None, mode: Mode) -> None:
        """Exchange the listener when it is the wrong one, this side acts, and nothing else is under way."""
        server = self._switch.server
        if view is None or decision is None or view.now < self._again_at or not server.copied_otherwise:
            return
        if mode is not Mode.ACTIVE or view.server.life is not Life.UP or decision.step or decision.record.grant:
            return
        self._again_at = view.now + _AGAIN
        secure = self._switch.config.replication.tls
        if secure and not _has_key(server.pid):
            words = "ovsdb-server was started without --private-key, so it cannot speak TLS with the peer: restart it"
            self._switch.troubles[_WHAT] = words
            return
        self._switch.troubles.pop(_WHAT, None)

        def done(error: str | None) -> None:
            how = "with TLS" if secure else "without TLS"
            text = f"ovsdb-server takes the peer's sessions {how} now" if error is None else f"{how}: {error}"
            self._recorder.event("incident", text, logging.INFO if error is None else logging.WARNING, what=text)

        server.listen_rightly(done)


def _has_key(pid: int | None) -> bool:
    """Tell whether a server was given a key; what cannot be looked at is taken for one that has."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return True
    return own_server.option(tuple(words), "private-key", "p") is not None
