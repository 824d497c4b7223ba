"""Take what four commands print on a real pair, and put it into the README where its markers are.

Run `python3 integration/shown.py` as root to rewrite README.rst.  The pair: a crash of the active
ovsdb-server, the return of it, the restore; then the other ovsdb-server dies.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import story
from lab import Lab
from switch import HERE, Switch

README = HERE.parent / "README.rst"
MARKED = re.compile(r"(\.\. begin shown, made by integration/shown\.py\n\n).*?(\n\.\. end shown\n)", re.DOTALL)
WIDTH = "80"
LIMIT = 60.0


def take() -> list[tuple[str, str]]:
    """Return the command lines with their prompts, and what each printed."""
    with Lab(rows=1000, tls=True, overrides={"restore": {"delay": 1.0}}) as lab:
        lab.start_controller(rate=50)
        lab.start(vtepds=True)
        lab.wait_until(lambda: story.in_sync(lab), LIMIT, "both agents say in sync")
        time.sleep(12)  # so long nobody misses a VTEP daemon that has yet to connect
        shown = [_shown(lab.sw2, "sync-status"), _shown(lab.sw1, "check")]
        lab.sw1.server.kill()
        lab.wait_until(lambda: lab.sw2.role() == "active", LIMIT, "sw2 takes over")
        time.sleep(2)
        lab.sw1.server.start()
        lab.wait_until(lambda: lab.sw1.role() == "active" and story.in_sync(lab), LIMIT, "sw1 is restored")
        time.sleep(12)
        lab.sw2.server.kill()
        time.sleep(3)
        return [*shown, _shown(lab.sw1, "status"), _shown(lab.sw1, "history")]


def rewritten(text: str, shown: list[tuple[str, str]]) -> str:
    """Return the README's text with what was shown."""
    blocks = [f"::\n\n{_indented(prompt)}\n{_indented(output)}" for prompt, output in shown]
    return MARKED.sub(lambda found: found[1] + "\n\n".join(blocks) + "\n" + found[2], text)


def _shown(switch: Switch, *words: str) -> tuple[str, str]:
    """Run a command as at a terminal without colours."""
    master, slave = pty.openpty()
    environment = {**os.environ, **switch.environment, "COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "xterm"}
    command = [*switch.entering, sys.executable, "-m", "ovsha", *words, "--config", str(switch.config_file)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=HERE.parent, env=environment):
        os.close(slave)
        output = ""
        while True:
            try:
                output += os.read(master, 65536).decode()
            except OSError:  # the other end is closed
                break
    os.close(master)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "")
    return f"{switch.node}# ovsha {' '.join(words)}", _as_installed(switch, plain).strip("\n")


def _as_installed(switch: Switch, text: str) -> str:
    """Return text with the places of an installed switch instead of the lab's."""
    for place, usual in (("run", "/var/run/openvswitch"), ("state", "/var/lib/ovsha"), ("", "/var/lib/openvswitch")):
        text = text.replace(str(switch.directory / place), usual)
    return text


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


if __name__ == "__main__":
    taken = take()
    Path(README).write_text(rewritten(README.read_text(), taken))
    print("\n\n".join("\n".join(each) for each in taken))
