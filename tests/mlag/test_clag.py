"""Laws of reading clagd: what clagctl prints becomes a role, or unknown and the reason."""

from __future__ import annotations

import json
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovs.poller import Poller

from ovsha.core.facts import Clag, MlagRole
from ovsha.mlag.parse import facts_of
from ovsha.mlag.reader import OUTPUT_LIMIT, ClagReader
from ovsha.mlag.sources import CLAGCTL, CLAGCTL_TEXT, Question

FIXTURES = Path(__file__).parents[1] / "fixtures" / "clag"
SAMPLES = sorted(p.name for p in FIXTURES.iterdir())
PRIMARY, SECONDARY = MlagRole.PRIMARY, MlagRole.SECONDARY
LIMIT = 20.0


def sample(name: str) -> str:
    return (FIXTURES / name).read_bytes().decode()


def without_trouble(
    role: MlagRole, peer_role: MlagRole | None, peer_alive: bool | None, backup_active: bool | None
) -> Clag:
    return Clag(role, peer_role, peer_alive, backup_active, trouble="")


MEANINGS = {
    "json-primary.json": without_trouble(PRIMARY, SECONDARY, True, True),
    "json-secondary.json": without_trouble(SECONDARY, PRIMARY, True, True),
    "json-linklocal-backup-false.json": without_trouble(PRIMARY, SECONDARY, True, False),
    "json-peer-dead-keys-absent.json": without_trouble(PRIMARY, None, False, False),
    "json-peer-dead-keys-empty.json": without_trouble(PRIMARY, None, False, False),
    "json-without-backup-keys.json": without_trouble(PRIMARY, SECONDARY, True, None),
    "text-primary.txt": without_trouble(PRIMARY, SECONDARY, True, True),
    "text-secondary-vrf.txt": without_trouble(SECONDARY, PRIMARY, True, True),
    "text-peer-dead.txt": without_trouble(PRIMARY, None, False, False),
    "text-no-backup-configured.txt": without_trouble(PRIMARY, SECONDARY, True, False),
    "text-bare-backup.txt": without_trouble(PRIMARY, SECONDARY, True, None),
    "text-without-backup-line.txt": without_trouble(PRIMARY, SECONDARY, True, None),
    "text-backup-false.txt": without_trouble(PRIMARY, SECONDARY, True, False),
    "text-crlf-collapsed.txt": without_trouble(PRIMARY, SECONDARY, True, True),
    "clagd-down.txt": Clag(trouble="clagd does not answer: Unable to communicate with clagd. Is it running?"),
}


def test_every_sample_has_a_meaning() -> None:
    assert set(SAMPLES) == set(MEANINGS)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_form_of_output_is_understood(name: str) -> None:
    assert facts_of(sample(name)) == MEANINGS[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_carriage_returns_and_leading_blanks_change_nothing(name: str) -> None:
    text = "".join(f"   {line}\r\n" for line in sample(name).splitlines())
    assert facts_of(text) == MEANINGS[name]


def test_a_warning_before_the_json_changes_nothing() -> None:
    assert facts_of("DeprecationWarning: [x] is old\n" + sample("json-primary.json")).role is PRIMARY


def changed(key: str, value: object) -> str:
    answer = json.loads(sample("json-primary.json"))
    answer["status"][key] = value
    return json.dumps(answer)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "nothing"),
        (" \n\t\r\n", "nothing"),
        ("bash: clagctl: oops", "oops"),
        ("Traceback (most recent call last):\n  File\nIOError: no socket", "IOError: no socket"),
        ("{}", "without a status"),
        ("{\n", "cannot be read"),
        ('{"status": []}', "without a status"),
        ('{"status": {}}', "ourRole"),
        ("[1, 2]", "no role"),
        ("{" * 100_000, "cannot be read"),
        ('{"status":' * 100_000, "cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        (changed("ourRole", "master"), "master"),
        (changed("ourRole", 7), "ourRole"),
        (changed("ourRole", None), "ourRole"),
        (changed("peerRole", ["primary"]), "peerRole"),
        (changed("peerAlive", "yes"), "peerAlive"),
        (changed("peerAlive", 1), "peerAlive"),
        (changed("backupActive", {}), "backupActive"),
        ("The peer is alive\n", "no role"),
        ("Our Priority, ID, and Role: 1000 02:11:22:00:00:0a prim\n", "prim"),
        ("Our Priority, ID, and Role: 1000 primary\n", "1000 primary"),
        ("Our Priority, ID, and Role: \n", "''"),
        (sample("text-primary.txt") + sample("text-secondary-vrf.txt"), "contradicts"),
        (sample("text-primary.txt") + "The peer is not alive\n", "contradicts"),
    ],
)
def test_what_is_not_understood_is_unknown_and_named(text: str, named: str) -> None:
    facts = facts_of(text)
    assert facts == Clag(trouble=facts.trouble)
    assert named in facts.trouble
    assert len(facts.trouble) < 200
    assert "\n" not in facts.trouble


@pytest.mark.parametrize("value", ["", "none", "unknown"])
def test_a_peer_without_a_known_role_takes_nothing_from_our_own(value: str) -> None:
    assert facts_of(changed("peerRole", value)) == without_trouble(PRIMARY, None, True, True)


def test_an_active_backup_path_to_no_address_is_not_believed() -> None:
    assert facts_of(changed("backupIp", "false")).backup_active is None


@given(st.text() | st.text('{}[]":,aeiloprsuR \nBIP()0.', max_size=400))
def test_any_text_gives_facts(text: str) -> None:
    facts = facts_of(text)
    assert (facts.role is None) == bool(facts.trouble)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["primary"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
known_keys = st.sampled_from(sorted(json.loads(sample("json-primary.json"))["status"]))


@given(st.dictionaries(known_keys, json_values))
def test_any_json_status_gives_facts(status: dict[str, object]) -> None:
    facts = facts_of(json.dumps({"status": status}))
    assert (facts.role is None) == bool(facts.trouble)


@given(st.sampled_from(SAMPLES), st.integers(0), st.integers(0, 40), st.text(max_size=20))
def test_a_damaged_sample_gives_facts(name: str, at: int, cut: int, put: str) -> None:
    text = sample(name)
    at %= len(text)
    facts = facts_of(text[:at] + put + text[at + cut :])
    assert (facts.role is None) == bool(facts.trouble)


@given(st.sampled_from(SAMPLES), st.integers(0))
def test_a_truncated_sample_never_gives_another_role(name: str, at: int) -> None:
    text = sample(name)
    assert facts_of(text[: at % len(text)]).role in (None, MEANINGS[name].role)


# ------------------------------------------------------------------ the reader, with real children


Script = Callable[[str, str], tuple[str, ...]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def make(name: str, body: str) -> tuple[str, ...]:
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)
        return (str(path), "-j")

    return make


@pytest.fixture
def readers() -> Iterator[list[ClagReader]]:
    made: list[ClagReader] = []
    yield made
    for reader in made:
        reader.close()


def settle(reader: ClagReader, until: Callable[[], bool]) -> float:
    """Turn as the agent's loop does until the condition holds; return the longest turn's seconds."""
    start = time.monotonic()
    longest = 0.0
    while not until():
        now = time.monotonic()
        assert now - start < LIMIT, f"not within {LIMIT} s: {reader.facts}"
        reader.run(now)
        longest = max(longest, time.monotonic() - now)
        poller = Poller()
        reader.wait(poller, time.monotonic())
        poller.timer_wait(1000)
        if not until():
            poller.block()
    return longest


def reading(command: tuple[str, ...], text: tuple[str, ...], interval: float, timeout: float) -> ClagReader:
    """Return a reader of clagctl's JSON form and, where there is one, of its text form."""
    questions = (Question(command, CLAGCTL), *((Question(text, CLAGCTL_TEXT),) if text else ()))
    return ClagReader(lambda: questions, interval, timeout)


def asked(
    readers: list[ClagReader], command: tuple[str, ...], text: tuple[str, ...] = (), timeout: float = LIMIT
) -> ClagReader:
    """Return a reader that has been answered, or has failed, once."""
    reader = reading(command, text, interval=3600.0, timeout=timeout)
    readers.append(reader)
    settle(reader, lambda: reader.age(0.0) is not None)
    return reader


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], LIMIT)[0], f"process {pid} lives on"
    finally:
        os.close(fd)


def test_nothing_is_known_before_the_first_answer() -> None:
    reader = reading(("true",), (), 5.0, 4.0)
    assert reader.facts == Clag()
    assert reader.age(3.0) is None
    reader.close()


def test_the_role_comes_from_the_json_form(readers: list[ClagReader], script: Script) -> None:
    reader = asked(readers, script("clagctl", f"cat {FIXTURES}/json-secondary.json"))
    assert reader.facts == MEANINGS["json-secondary.json"]


def test_the_text_form_is_asked_when_the_json_is_not_understood(readers: list[ClagReader], script: Script) -> None:
    odd = script("odd", "echo 'clagctl: unrecognized arguments: -j' >&2; exit 2")
    reader = asked(readers, odd, script("text", f"cat {FIXTURES}/text-peer-dead.txt"))
    assert reader.facts == MEANINGS["text-peer-dead.txt"]


def test_a_clagd_that_is_down_is_not_asked_twice(readers: list[ClagReader], script: Script, tmp_path: Path) -> None:
    down = script("down", f"cat {FIXTURES}/clagd-down.txt; exit 1")
    reader = asked(readers, down, script("text", f"touch {tmp_path}/asked"))
    assert reader.facts == MEANINGS["clagd-down.txt"]
    assert not (tmp_path / "asked").exists()


def test_usable_output_counts_though_the_exit_status_is_not_zero(readers: list[ClagReader], script: Script) -> None:
    reader = asked(readers, script("clagctl", f"cat {FIXTURES}/json-primary.json; exit 1"))
    assert reader.facts == MEANINGS["json-primary.json"]


def test_the_exit_status_is_told_when_the_output_is_of_no_use(readers: list[ClagReader], script: Script) -> None:
    reader = asked(readers, script("clagctl", "echo oops; exit 3"))
    assert reader.facts == Clag(trouble="clagctl tells no role: 'oops' (exit status 3)")


def test_a_missing_command_is_unknown(readers: list[ClagReader], tmp_path: Path) -> None:
    reader = asked(readers, (f"{tmp_path}/clagctl",))
    assert reader.facts == Clag(trouble=f"{tmp_path}/clagctl: No such file or directory")


def test_a_command_that_may_not_be_run_is_unknown(readers: list[ClagReader], tmp_path: Path) -> None:
    path = tmp_path / "clagctl"
    path.touch()
    path.chmod(stat.S_IRUSR)
    assert asked(readers, (str(path),)).facts == Clag(trouble=f"{path}: Permission denied")


def test_a_slow_clagctl_is_killed_with_its_children_and_the_turn_never_waits(
    readers: list[ClagReader], script: Script, tmp_path: Path
) -> None:
    slow = script("clagctl", f"sleep 1000 & echo $! > {tmp_path}/pid; echo half; wait")
    reader = reading(slow, slow, interval=3600.0, timeout=0.5)
    readers.append(reader)
    longest = settle(reader, lambda: reader.age(0.0) is not None)
    assert reader.facts == Clag(trouble="clagctl gave no answer within 0.5 s")
    assert longest < 0.3
    gone(int((tmp_path / "pid").read_text()))


def test_what_clagctl_leaves_running_is_killed(readers: list[ClagReader], script: Script, tmp_path: Path) -> None:
    body = f"sleep 1000 & echo $! > {tmp_path}/pid; cat {FIXTURES}/json-primary.json"
    reader = asked(readers, script("clagctl", body))
    assert reader.facts.role is PRIMARY
    gone(int((tmp_path / "pid").read_text()))


def test_output_without_end_is_cut_and_what_came_is_read(readers: list[ClagReader], script: Script) -> None:
    endless = script("endless", "exec yes nonsense")
    text = script("text", f"cat {FIXTURES}/text-primary.txt; exec yes ' vni1 vni1 - - -'")
    assert asked(readers, endless, text).facts == MEANINGS["text-primary.txt"]
    assert OUTPUT_LIMIT >= 64 * 1024


def test_output_larger_than_a_pipe_arrives_whole(readers: list[ClagReader], script: Script, tmp_path: Path) -> None:
    answer = json.loads(sample("json-primary.json"))
    answer["clagIntfs"] = {f"vni{n}": answer["clagIntfs"]["server1"] for n in range(4000)}
    (tmp_path / "big.json").write_text(json.dumps(answer, indent=4, sort_keys=True))
    assert (tmp_path / "big.json").stat().st_size > 400_000
    reader = asked(readers, script("clagctl", f"cat {tmp_path}/big.json"))
    assert reader.facts == MEANINGS["json-primary.json"]


@pytest.mark.parametrize("failure", ["clagd-down.txt", "missing"])
def test_after_a_failure_the_old_role_is_not_kept(
    readers: list[ClagReader], script: Script, tmp_path: Path, failure: str
) -> None:
    command = script("clagctl", f"cat {FIXTURES}/json-primary.json")
    reader = asked(readers, command)
    assert reader.facts.role is PRIMARY
    if failure == "missing":
        Path(command[0]).unlink()
    else:
        script("clagctl", f"cat {FIXTURES}/{failure}")
    reader.poke(time.monotonic())
    settle(reader, lambda: reader.facts.role is None)
    assert reader.facts == Clag(trouble=reader.facts.trouble)
    assert reader.facts.trouble


def test_the_next_question_comes_an_interval_after_the_last(
    readers: list[ClagReader], script: Script, tmp_path: Path
) -> None:
    command = script("clagctl", f"echo x >> {tmp_path}/asked; cat {FIXTURES}/json-primary.json")
    reader = reading(command, (), interval=0.1, timeout=LIMIT)
    readers.append(reader)
    start = time.monotonic()
    settle(reader, lambda: (tmp_path / "asked").exists() and (tmp_path / "asked").stat().st_size >= 6)
    assert time.monotonic() - start >= 0.2


def test_however_often_it_is_poked_there_is_one_child_and_then_one_more(
    readers: list[ClagReader], script: Script, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    body = f"echo x >> {tmp_path}/asked; read line < {tmp_path}/gate; cat {FIXTURES}/json-primary.json"
    reader = reading(script("clagctl", body), (), interval=3600.0, timeout=LIMIT)
    readers.append(reader)
    settle(reader, lambda: (tmp_path / "asked").exists())
    for _ in range(20):
        reader.poke(time.monotonic())
        reader.run(time.monotonic())
    assert (tmp_path / "asked").read_text() == "x\n"
    for _ in range(2):
        before = reader.age(0.0)
        (tmp_path / "gate").write_text("go\n")
        settle(reader, lambda before=before: reader.age(0.0) != before)  # type: ignore[misc]
    reader.run(time.monotonic())
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_no_child_outlives_close(script: Script, tmp_path: Path) -> None:
    stubborn = (
        f"trap '' TERM HUP INT; sleep 1000 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; wait"
    )
    reader = reading(script("clagctl", stubborn), (), interval=1.0, timeout=LIMIT)
    settle(reader, lambda: (tmp_path / "pids").exists())
    leader, child = map(int, (tmp_path / "pids").read_text().split())
    assert alive(leader)
    reader.close()
    assert not Path(f"/proc/{leader}").exists()
    gone(child)
    reader.close()


def test_no_descriptor_and_no_zombie_is_left_behind(script: Script) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    reader = reading(script("clagctl", "echo oops"), script("text", "echo oops"), 0.01, LIMIT)
    ends: list[float] = []
    while len(ends) < 10:
        settle(reader, lambda: (reader.age(0.0) or 0.0) not in (0.0, *ends))
        ends.append(reader.age(0.0) or 0.0)
    reader.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
