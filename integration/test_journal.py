"""A real journald takes the agent's records with their fields, and a burst of them in its own time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

JOURNALD = Path("/lib/systemd/systemd-journald")
ROOT = Path(__file__).resolve().parent.parent

# It gets a /run of its own, so that it is nobody else's journal.
SCRIPT = f"""
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/log/journal /run/systemd/journal
{JOURNALD} >/run/said 2>&1 &
journald=$!
trap 'kill $journald' EXIT
while [ ! -S /run/systemd/journal/socket ]; do sleep 0.05; done
"$1" -c "$2"
read_it() {{ journalctl --directory=/run/log/journal --no-pager --output=json SYSLOG_IDENTIFIER=ovsha; }}
until read_it | grep -q "the end"; do sleep 0.05; done
read_it
"""
TALK = """
import logging, time
from ovsha.host.systemd import JournalHandler
handler = JournalHandler()
log = logging.Logger("ovsha")
log.addHandler(handler)
facts = {"kind": "move", "from": "backup", "to": "active", "reason": "of two\\nlines", "term": 7}
log.info("backup -> active", extra={"event": facts})
for number in range(300):
    log.warning("line %d", number)
log.info("the end")
end = time.monotonic() + 30
while handler._waiting and time.monotonic() < end:
    handler.flush()
    time.sleep(0.01)
"""


def test_a_real_journal_keeps_every_record_with_its_fields(needs_lab: None) -> None:
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("there is no systemd-journald here")
    command = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, TALK]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each["MESSAGE"] for each in found[:-1]] == [
        "backup -> active",
        *(f"line {number}" for number in range(300)),
    ]
    assert found[-1]["MESSAGE"] == "the end"
    fields = {name: value for name, value in found[0].items() if name.startswith("OVSHA_")}
    assert fields == {
        "OVSHA_KIND": "move",
        "OVSHA_FROM": "backup",
        "OVSHA_TO": "active",
        "OVSHA_REASON": "of two\nlines",
        "OVSHA_TERM": "7",
    }
    assert (found[0]["PRIORITY"], found[1]["PRIORITY"]) == ("6", "4")
