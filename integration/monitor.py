"""Watch what the kernel of a namespace tells of its routes or addresses, with the time it was told at."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence


class Monitor:
    """`ip monitor` of `what` (route, address) in a namespace, until it is closed.

    `told`: when each line that has `word` in it came, by the monotonic clock, and the line.
    """

    def __init__(self, entering: Sequence[str], what: str, word: str) -> None:
        self.told: list[tuple[float, str]] = []
        self._word = word
        command = [*entering, "stdbuf", "-oL", "ip", "monitor", what]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Watch no more."""
        self._process.kill()
        self._listener.join()
        self._process.__exit__(None, None, None)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if self._word in line:
                self.told.append((time.monotonic(), line.strip()))
