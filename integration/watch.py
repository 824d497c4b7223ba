"""Watch one switch of the lab closely, from a thread, for what should never be seen there and for how long it is."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rpc import Refused
from story import LISTENER, MANAGERS
from switch import Switch

EVERY = 0.003
VIP_EVERY = 0.1


class Watch:
    """Look at the server of a backup every few milliseconds while the block lasts.

    `active`: for how many seconds at a time it was active.  `opened`: what of the service was ever open there, beside
    that: the remotes and the VIP, through which clients write.  A server that does not answer shows nothing.
    """

    def __init__(self, switch: Switch) -> None:
        self.active: list[float] = []
        self.opened: set[str] = set()
        self._switch = switch
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._since: float | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._note(active=False)

    def _run(self) -> None:
        look_at_vip = 0.0
        while not self._over.wait(EVERY):
            try:
                self._note(active=self._switch.role() == "active")
                self.opened |= self._switch.remotes() & {MANAGERS, LISTENER}
            except (OSError, Refused):
                continue
            if time.monotonic() >= look_at_vip:
                look_at_vip = time.monotonic() + VIP_EVERY
                self.opened |= {"VIP"} if self._switch.vip_present() else set()

    def _note(self, active: bool) -> None:
        now = time.monotonic()
        if active and self._since is None:
            self._since = now
        elif not active and self._since is not None:
            self.active.append(now - self._since)
            self._since = None
