"""Look at a page with a real headless Chromium, by the DevTools protocol over a pair of pipes.

    with Browser(("ip", "netns", "exec", "sw1"), directory) as browser:
        browser.open("http://127.0.0.1:9477/", 390, 844)
        browser.evaluate("document.title")

What the page asked for and what went wrong on it is kept in `requests` and `errors`.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = shutil.which("chromium")
_LIMIT = 60.0


class Browser:
    """A Chromium with one page, started by a command that begins with `entering`, with its files in `directory`."""

    def __init__(self, entering: Sequence[str], directory: Path) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._entering, self._directory = entering, directory
        self._said = b""
        self._asked = 0
        self._session = ""
        self._loaded = False

    def __enter__(self) -> Self:
        assert PROGRAM is not None, "chromium is not installed"
        its_in, self._out = os.pipe()
        self._in, its_out = os.pipe()
        # The protocol is spoken on the descriptors 3 and 4.
        speak = f'exec "$@" 3<&{its_in} 4>&{its_out}'
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
        command = ["bash", "-c", speak, "chromium", *self._entering, PROGRAM, *options]
        self._log = (self._directory / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._directory / 'chromium'}", "about:blank"],
            pass_fds=(its_in, its_out),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        os.close(its_in)
        os.close(its_out)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._log.close()

    def open(self, url: str, width: int, height: int, dark: bool = False) -> None:
        """Load the page in a window of that size, in a light or a dark scheme."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        self._call("Page.navigate", url=url)
        end = time.monotonic() + _LIMIT
        while not self._loaded:
            self._hear(end)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG, the whole of the page."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        asked = {"id": self._asked, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        end = time.monotonic() + _LIMIT
        while True:
            answer = self._hear(end)
            if answer.get("id") == self._asked:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _hear(self, end: float) -> dict[str, Any]:
        """Return the next message; keep what events tell."""
        while b"\0" not in self._said:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            more = os.read(self._in, 1 << 20)
            assert more, "Chromium has ended; see chromium.log"
            self._said += more
        said, _, self._said = self._said.partition(b"\0")
        message: dict[str, Any] = json.loads(said)
        self._take(message.get("method", ""), message.get("params", {}))
        return message

    def _take(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["text"])
