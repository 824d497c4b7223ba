"""ovsha ledger shows what is on the shelf, and settles it once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ovsha.divergence import ledger
from ovsha.divergence.compare import Entry, Kind
from ovsha.divergence.ledger import Head

ROOT = Path(__file__).parents[2]
HEAD = Head("20261121T070000Z-term5", "sw2", 5, "sw1", 6, "2026-11-21T07:00:00Z", "one.db", 99, "hardware_vtep",
            base="term6.db")  # fmt: skip
ENTRIES = [
    Entry("Ucast_Macs_Remote", "u1", Kind.INSERTED, {"MAC": "aa", "ipaddr": "", "locator": ["uuid", "l1"]}, None),
    Entry("Ucast_Macs_Remote", "u2", Kind.CHANGED, {"MAC": "bb", "ipaddr": "1"}, {"MAC": "bb", "ipaddr": "2"}),
    Entry("Ucast_Macs_Remote", "u3", Kind.DELETED, None, {"MAC": "cc", "ipaddr": "3"}),
]


class Switch:
    """A switch whose agent does not run."""

    def __init__(self, directory: Path) -> None:
        self.ledgers = directory / "state" / "ledgers"
        self.ledgers.mkdir(parents=True)
        self.file = directory / "ovsha.yaml"
        self.file.write_text(f"""
node: sw2
pair: {{id: rack7, preferred: sw1, key_file: {directory}/pair.key}}
nodes: {{sw1: {{peer_link: 169.254.0.9}}, sw2: {{peer_link: 169.254.0.10}}}}
vip: {{address: 169.254.0.11}}
state_directory: {directory}/state
run_directory: {directory}
""")

    def __call__(self, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ovsha", "ledger", *words, "--config", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, input=answer, cwd=ROOT, check=False, timeout=60)

    def fails(self, *words: str) -> str:
        """Return the one line by which a command fails."""
        result = self(*words)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result
        return result.stderr


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    return Switch(tmp_path)


@pytest.fixture
def kept(switch: Switch) -> Switch:
    ledger.add(switch.ledgers, HEAD, ENTRIES)
    return switch


def test_without_a_ledger_all_is_well(switch: Switch) -> None:
    result = switch("list")
    assert (result.returncode, result.stdout) == (0, "there is no ledger\n")
    assert json.loads(switch("list", "--json").stdout)["ledgers"] == []


def test_an_open_ledger_is_listed_with_its_counts_and_makes_the_exit_status_1(kept: Switch) -> None:
    result = kept("list")
    assert result.returncode == 1
    assert result.stdout.splitlines()[1].split("  ")[0] == HEAD.id
    (head,) = json.loads(kept("list", "--json").stdout)["ledgers"]
    assert head["counts"] == {"inserted": 1, "changed": 1, "deleted": 1}
    assert head["replayed"] is None


def test_every_row_is_shown_with_what_was_done_to_it(kept: Switch) -> None:
    shown = kept("show", "2026")
    assert shown.returncode == 0
    assert "inserted: Ucast_Macs_Remote u1\n  MAC: aa\n  locator: l1\n" in shown.stdout
    assert "changed: Ucast_Macs_Remote u2\n  ipaddr: 2 -> 1\n" in shown.stdout
    assert "deleted: Ucast_Macs_Remote u3\n  MAC: cc\n  ipaddr: 3\n" in shown.stdout
    whole = json.loads(kept("show", "2026", "--json").stdout)
    assert [entry["kind"] for entry in whole["entries"]] == ["inserted", "changed", "deleted"]


def test_a_ledger_is_dismissed_once_and_with_a_reason(kept: Switch) -> None:
    assert kept("dismiss", HEAD.id).returncode == 2
    assert "say why" in kept.fails("dismiss", HEAD.id, "--yes", "--reason", " ")
    assert kept("dismiss", HEAD.id, "--yes", "--reason", "not wanted").returncode == 0
    listed = kept("list")
    assert listed.returncode == 0
    assert "not wanted" in listed.stdout
    assert "settled" in kept.fails("dismiss", HEAD.id, "--yes", "--reason", "again")
    assert "add --again" in kept.fails("replay", HEAD.id, "--yes")


def test_a_ledger_without_rows_cannot_be_replayed(switch: Switch) -> None:
    ledger.add(switch.ledgers, Head(**{**vars_of(HEAD), "failed": "ovsdb-tool is missing"}), [])
    assert "ovsdb-tool is missing" in switch.fails("replay", HEAD.id, "--yes")


def vars_of(head: Head) -> dict[str, object]:
    return {name: getattr(head, name) for name in Head.__slots__}


def test_nothing_is_replayed_without_an_agent_that_knows_the_active_side(kept: Switch) -> None:
    assert "no agent runs here" in kept.fails("replay", HEAD.id, "--yes")


def test_an_unknown_ledger_is_named(kept: Switch) -> None:
    assert "ledger 1999: there is none of that name" in kept.fails("show", "1999")


def test_a_damaged_ledger_is_warned_of_and_hides_no_other(kept: Switch) -> None:
    (kept.ledgers / "bad.json").write_text("{")
    result = kept("list")
    assert "bad.json: is damaged" in result.stderr
    assert HEAD.id in result.stdout


# -- doubts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def doubted(switch: Switch) -> Switch:
    """Keep a ledger as the first release wrote it when the survivor had no base."""
    ledger.add(switch.ledgers, HEAD, ENTRIES)
    path = switch.ledgers / f"{HEAD.id}.json"
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "base": None, "exact": False, "why": "sw1 does not answer"}))
    return switch


def test_of_doubts_nothing_is_called_deleted(doubted: Switch) -> None:
    shown = doubted("show", HEAD.id).stdout
    assert "rows: 2 in doubt" in shown
    assert "doubt: Ucast_Macs_Remote u1, not on sw1\n" in shown
    assert "doubt: Ucast_Macs_Remote u2, otherwise on sw1\n  MAC: bb\n  ipaddr: 1 (on sw1: 2)\n" in shown
    assert "u3" not in shown
    assert [each["kind"] for each in json.loads(doubted("show", HEAD.id, "--json").stdout)["entries"]] == 2 * ["doubt"]
    title, row = doubted("list").stdout.splitlines()
    assert title.split()[-4:] == ["deleted", "doubt", "exact", "state"]
    assert row.split()[-4:] == ["0", "2", "no", "open"]


@pytest.mark.parametrize("words", [(), ("--yes",), ("--yes", "--deletions"), ("--yes", "--again"), ("--json", "--yes")])
def test_doubts_are_never_replayed_as_a_whole_without_a_terminal(doubted: Switch, words: tuple[str, ...]) -> None:
    refused = doubted("replay", HEAD.id, *words, answer="y\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is never replayed as a whole: name the ROWs to add" in refused.stderr


@pytest.mark.parametrize("word", ["u", "u3", "nothing", "", "u1u1"])
def test_a_row_that_the_ledger_does_not_list_is_refused(doubted: Switch, word: str) -> None:
    refused = doubted("replay", HEAD.id, word, "--yes")
    assert refused.returncode == 2
    assert "no row of the ledger is named so" in refused.stderr
