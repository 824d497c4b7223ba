"""What the agent is given to read is wrong: it says so in one line and moves nothing.  So it is with signals."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import settings
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    await_pair,
    await_word,
    begin,
    counter,
    in_sync,
    log,
    open_here,
    status,
    undisturbed,
)
from switch import Switch

WRONG_CONFIGURATION, DAMAGED = 2, 1


def configured(switch: Switch, **sections: Any) -> None:
    """Write the configuration file with these values laid over the switch's own."""
    settings.write(switch.config_file, settings.merged(switch.config, sections))


def without(switch: Switch, section: str, key: str) -> None:
    """Write the configuration file without one key."""
    config = copy.deepcopy(switch.config)
    del config[section][key]
    settings.write(switch.config_file, config)


def key_file(switch: Switch) -> Path:
    return Path(switch.config["pair"]["key_file"])


def state_file(switch: Switch) -> Path:
    return switch.directory / "state" / "state.json"


def write_state(switch: Switch, text: str) -> None:
    state_file(switch).write_text(text, encoding="utf-8")


BAD: dict[str, tuple[int, str, Callable[[Switch], object]]] = {
    "no file": (2, "ovsha.yaml: cannot be read", lambda sw: sw.config_file.unlink()),
    "empty file": (2, "is empty", lambda sw: sw.config_file.write_text("")),
    "not YAML": (2, "ovsha.yaml:", lambda sw: sw.config_file.write_text("node: [sw1")),
    "not text": (2, "UTF-8", lambda sw: sw.config_file.write_bytes(b"node: \xff\xfe")),
    "a list": (2, "key: value", lambda sw: sw.config_file.write_text("- node\n")),
    "a missing key": (2, "pair.id: is missing", lambda sw: without(sw, "pair", "id")),
    "an unknown key": (2, "did you mean interval?", lambda sw: configured(sw, heartbeat={"intervall": 1})),
    "an unknown node": (2, "'sw3'", lambda sw: configured(sw, node="sw3")),
    "a wrong type": (2, "vip.port", lambda sw: configured(sw, vip={"port": "many"})),
    "an address that is none": (2, "vip.address", lambda sw: configured(sw, vip={"address": "169.254.0.256"})),
    "the VIP as replication address": (2, "vip.address", lambda sw: configured(sw, vip={"address": sw.address})),
    "a dead interval that is too short": (
        2,
        "heartbeat.dead_interval",
        lambda sw: configured(sw, heartbeat={"interval": 0.2, "dead_interval": 0.4}),
    ),
    "no key": (2, "the pair key cannot be read", lambda sw: key_file(sw).unlink()),
    "a short key": (2, "pair key has 32", lambda sw: key_file(sw).write_text("short")),
    "a key for everybody": (2, "chmod 0600", lambda sw: key_file(sw).chmod(0o644)),
    "damaged state": (1, "is damaged", lambda sw: write_state(sw, '{"pair": "lab", "no')),
    "empty state": (1, "is damaged", lambda sw: write_state(sw, "")),
    "state that is no state": (1, "is damaged", lambda sw: write_state(sw, "[]")),
    "state with another term": (1, "is damaged", lambda sw: write_state(sw, STATE.replace("1", '"1"', 1))),
    "state of another pair": (1, "belongs to node sw1 of pair other", lambda sw: write_state(sw, STATE)),
}

STATE = '{"term": 1, "reserved": 2, "pair": "other", "node": "sw1", "peer_stamp": null, "met_in": null}'


def test_an_agent_that_is_given_something_wrong_says_so_in_one_line_and_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.sw1.agent.stop()
    good = {path: path.read_bytes() for path in (pair.sw1.config_file, key_file(pair.sw1), state_file(pair.sw1))}
    with undisturbed(pair):
        for name, (exit_status, words, spoil) in BAD.items():
            spoil(pair.sw1)
            done = run_agent(pair.sw1)
            said = done.stderr.splitlines()
            assert (done.returncode, done.stdout, len(said)) == (exit_status, "", 1), (name, done)
            assert said[0].startswith("ovsha: "), (name, said)
            assert words in said[0], (name, said)
            assert not (pair.sw1.run_directory / "ovsha.pid").exists(), (name, "as if an agent ran")
            for path, content in good.items():
                path.write_bytes(content)
                path.chmod(0o600)
    with undisturbed(pair):
        pair.sw1.agent.start()
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")


def test_a_second_agent_on_a_switch_goes_away_and_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        done = run_agent(pair.sw1)
        assert done.returncode == DAMAGED
        assert "an agent runs already" in done.stderr
    assert status(pair.sw1)["pid"] == pair.sw1.agent.pid


def test_agents_with_different_keys_or_pairs_do_not_hear_each_other_and_a_healthy_service_stays(lab: MakeLab) -> None:
    pair = begin(lab)
    other_key = pair.directory / "other.key"
    other_key.touch(mode=0o600)
    other_key.write_text("another secret that is long enough for a pair key", encoding="ascii")
    pair.sw2.agent.stop()
    configured(pair.sw2, pair={"key_file": str(other_key)})
    with undisturbed(pair):
        pair.sw2.agent.start()
        pair.wait_until(lambda: counter(pair.sw1, "forged") > 20, LIMIT, "sw1 refuses what sw2 says")
        pair.wait_until(lambda: counter(pair.sw2, "forged") > 20, LIMIT, "sw2 refuses what sw1 says")
        assert not open_here(pair.sw2)
        assert not status(pair.sw1)["healthy"]


def test_a_reload_with_a_bad_file_keeps_the_old_configuration_and_says_so(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        for spoil, words in (
            (lambda: pair.sw1.config_file.write_text("node: [sw1"), "reload refused"),
            (lambda: configured(pair.sw1, heartbeat={"interval": 0}), "heartbeat.interval"),
            (lambda: configured(pair.sw1, pair={"id": "other"}), "restart the agent"),
        ):
            said = len(log(pair.sw1))
            spoil()
            reload(pair.sw1)
            await_word(pair, pair.sw1, "reload refused, the old configuration stays", since=said)
            await_word(pair, pair.sw1, words, since=said)
            assert status(pair.sw1)["settings"]["restore_delay"] == 1.0
    settings.write(pair.sw1.config_file, pair.sw1.config)
    await_pair(pair, pair.sw1)


def test_a_reload_with_a_good_file_applies_it_and_nobody_notices(lab: MakeLab) -> None:
    pair = begin(lab)
    for number, switch in enumerate(pair.switches):
        with undisturbed(pair):
            delay = 20.0 + number
            configured(switch, restore={"delay": delay})
            reload(switch)
            await_word(pair, switch, "configuration read anew")
            await_setting(pair, switch, delay)
            pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    await_pair(pair, pair.sw1)


def await_setting(pair: Lab, switch: Switch, delay: float) -> None:
    """Wait until the agent goes by this delay; a fresh agent has no status yet."""
    pair.wait_until(lambda: status(switch)["settings"]["restore_delay"] == delay, LIMIT, "it applies")


def test_a_healthy_service_stays_when_the_agents_are_told_to_stop(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        for switch in pair.switches:
            for end in (signal.SIGTERM, signal.SIGINT):
                switch.agent.kill(end)
                pair.wait_until(lambda: not switch.agent.running, LIMIT, "the agent ends")  # noqa: B023
                assert switch.agent.exit_status == 0
                assert not (switch.run_directory / "ovsha.pid").exists()
                switch.agent.start()
                pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    with undisturbed(pair):
        for switch in pair.switches:
            switch.agent.stop()
            assert switch.agent.exit_status == 0


def test_an_agent_that_finds_pipes_in_its_state_directory_starts_or_says_in_one_line_why_not(lab: MakeLab) -> None:
    pair = begin(lab)
    state = pair.sw1.directory / "state"
    dropped = [state / name for name in ("process.json", "standing.json", "pause-passed.json", "peer-token.json")]
    with undisturbed(pair):
        pair.sw1.agent.stop()
        for path in dropped:
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        for refused in (state / "state.json", state / "identity"):
            kept = refused.read_text(encoding="utf-8")
            refused.unlink()
            os.mkfifo(refused)
            ended = run_agent(pair.sw1)
            assert ended.returncode == DAMAGED
            assert f"{refused}: cannot be read: Not a regular file" in ended.stderr.splitlines()[-1]
            refused.unlink()
            refused.write_text(kept, encoding="utf-8")
        pair.sw1.agent.start()
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    assert all(str(path) in log(pair.sw1) for path in dropped)


def run_agent(switch: Switch) -> Any:
    """Run the agent in the foreground, as an operator would; it has to end by itself."""
    return switch.ovsha("agent", limit=20.0)


def reload(switch: Switch) -> None:
    switch.agent.kill(signal.SIGHUP)


def test_the_configurations_of_the_lab_are_what_config_check_accepts(lab: MakeLab) -> None:
    pair = lab(rows=None)
    for switch in pair.switches:
        done = switch.ovsha("config", "check", str(switch.config_file))
        assert (done.returncode, done.stderr) == (0, "")
        assert yaml.safe_load(switch.config_file.read_text(encoding="utf-8"))["node"] == switch.node
