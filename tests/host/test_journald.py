"""The journal gets each record once with its fields, and keeps nobody waiting when it does not read."""

from __future__ import annotations

import io
import logging
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ovsha.host.systemd import JournalHandler, datagram, handler

Fields = dict[str, str]


class Journal:
    """A journal that reads when it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listen()

    def listen(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def read(self) -> list[Fields]:
        found = []
        while True:
            try:
                found.append(parse(self.socket.recv(1 << 20)))
            except BlockingIOError:
                return found

    def messages(self) -> list[str]:
        return [fields["MESSAGE"] for fields in self.read()]


def parse(sent: bytes) -> Fields:
    """Read a datagram as the journal does."""
    fields = {}
    while sent:
        line, _, rest = sent.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, sent = rest[8 : 8 + length], rest[9 + length :]
        else:
            sent = rest
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    there = Journal(tmp_path / "socket")
    yield there
    there.socket.close()


@pytest.fixture
def log(journal: Journal) -> Iterator[logging.Logger]:
    with closing(JournalHandler(str(journal.path), waiting=5)) as to_journal:
        logger = logging.Logger("ovsha")
        logger.addHandler(to_journal)
        yield logger


def record(text: str, level: int = logging.INFO, **event: object) -> logging.LogRecord:
    made = logging.LogRecord("ovsha", level, "agent.py", 1, text, None, None)
    if event:
        made.event = event
    return made


def test_an_event_keeps_its_fields(journal: Journal, log: logging.Logger) -> None:
    facts = {"kind": "move", "from": "backup", "to": "active", "term": 7, "planned": False, "who": None}
    log.info("backup -> active, because %s", "the peer is silent", extra={"event": facts})
    assert journal.read() == [
        {
            "MESSAGE": "backup -> active, because the peer is silent",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "ovsha",
            "OVSHA_KIND": "move",
            "OVSHA_FROM": "backup",
            "OVSHA_TO": "active",
            "OVSHA_TERM": "7",
            "OVSHA_PLANNED": "0",
        }
    ]


def test_a_line_without_facts_is_a_line(journal: Journal, log: logging.Logger) -> None:
    log.error("cannot add the VIP")
    assert journal.read() == [{"MESSAGE": "cannot add the VIP", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "ovsha"}]


def test_a_value_of_several_lines_cannot_make_fields_of_its_own(journal: Journal, log: logging.Logger) -> None:
    log.warning("one\nPRIORITY=0\n", extra={"event": {"kind": "order", "reason": "a\nMESSAGE=b", "No Name\n": "c"}})
    (fields,) = journal.read()
    assert fields["MESSAGE"] == "one\nPRIORITY=0\n"
    assert fields["PRIORITY"] == "4"
    assert fields["OVSHA_REASON"] == "a\nMESSAGE=b"
    assert len(fields) == 5


def test_what_is_too_large_is_cut_and_sent(journal: Journal, log: logging.Logger) -> None:
    log.info("x" * 300_000, extra={"event": {"kind": "move", "much": "y" * 300_000}})
    (fields,) = journal.read()
    assert set(fields) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"}
    assert 0 < len(fields["MESSAGE"]) < 300_000
    log.info("all of it is said", extra={"event": {"kind": "move", "much": "y" * 300_000}})
    assert journal.messages() == ["all of it is said"]


def test_a_journal_that_does_not_read_keeps_nobody_waiting(journal: Journal, log: logging.Logger) -> None:
    began = time.thread_time()
    sent = 2000
    for number in range(sent):
        log.info("line %d", number)
    assert time.thread_time() - began < 5.0
    first = journal.messages()
    log.handlers[0].flush()
    second = journal.messages()
    assert first == [f"line {number}" for number in range(len(first))]
    assert second[:-1] == [f"line {number}" for number in range(sent - 5, sent)], "the newest were kept"
    assert second[-1] == f"{sent - 5 - len(first)} lines of the log were lost"


def test_a_journal_that_is_started_anew_gets_what_was_said_meanwhile(journal: Journal, log: logging.Logger) -> None:
    journal.socket.close()
    log.info("while it was away")
    journal.path.unlink()
    log.info("and while its socket was")
    journal.listen()
    log.info("now")
    assert journal.messages() == ["while it was away", "and while its socket was", "now"]


def test_only_a_standard_error_that_leads_to_the_journal_is_replaced(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        status = os.fstat(stderr.fileno())
        ours = f"{status.st_dev}:{status.st_ino}"
        for environ, stamped in (({}, True), ({"JOURNAL_STREAM": "1:1"}, True), ({"JOURNAL_STREAM": ours}, False)):
            made = handler(environ, stderr)
            if isinstance(made, JournalHandler):
                assert not stamped, "here is a journal"
                made.close()
            else:
                assert made.format(record("here")).startswith("INFO here") is not stamped
    assert not isinstance(handler({"JOURNAL_STREAM": ours}, io.StringIO()), JournalHandler)


@pytest.mark.parametrize(("level", "priority"), [(50, "2"), (40, "3"), (30, "4"), (20, "6"), (10, "7")])
def test_levels_become_priorities_of_syslog(level: int, priority: str) -> None:
    assert parse(datagram(record("here", level)))["PRIORITY"] == priority
