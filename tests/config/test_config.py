"""Laws of the configuration: what is refused and how it is said, what is doubted, and that etc/ovsha.yaml is true."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netaddr
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ovsha.config import Config, describe, load, parse, read_key
from ovsha.config.values import Default
from ovsha.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "etc" / "ovsha.yaml"
FAST_PROFILE = re.compile(r"^  # Fast profile.*\n((?:  #   .*\n)+)", re.MULTILINE)

LEAST: dict[str, Any] = {
    "node": "sw1",
    "pair": {"id": "rack7"},
    "nodes": {
        "sw1": {"peer_link": "169.254.0.9", "backup_path": "192.168.100.1"},
        "sw2": {"peer_link": "169.254.0.10", "backup_path": "192.168.100.2"},
    },
    "vip": {"address": "169.254.0.11"},
}
ABSENT = object()


def changed(changes: dict[str, object]) -> str:
    """Return the least file as text, with the dotted keys of `changes` set, or left out where ABSENT."""
    values: Any = yaml.safe_load(yaml.safe_dump(LEAST))
    for key, value in changes.items():
        *path, last = key.split(".")
        place = values
        for name in path:
            place = place.setdefault(name, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    text: str = yaml.safe_dump(values, sort_keys=False)
    return text


def complaint(text: str) -> str:
    """Return the one line in which `text` is refused, without the name of its file."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "F")
    line = str(caught.value)
    assert line.startswith("F: ")
    assert line.isprintable()
    return line.removeprefix("F: ")


def flat(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        else:
            yield path + key, value


def test_least_file_takes_every_other_value_from_the_defaults() -> None:
    config = parse(changed({}), "F")
    assert (config.node, config.peer) == ("sw1", "sw2")
    assert config.nodes["sw2"].peer_link == netaddr.IPAddress("169.254.0.10")
    assert config.vip.interface == "peerlink.4094"
    assert config.pair.preferred == "clag"
    assert config.clag.command == ("/usr/bin/clagctl", "-j")
    assert config.heartbeat.port == 5344
    assert config.lone_boot is None
    assert config.snapshots.directory == Path("/var/lib/ovsha/snapshots")
    assert config.warnings == ()


def test_values_of_the_file_replace_the_defaults() -> None:
    config = parse(
        changed({
            "node": "sw2",
            "pair.preferred": "sw1",
            "vip.interface": "bridge",
            "lone_boot": 90,
            "heartbeat.interval": 0.1,
            "heartbeat.dead_interval": 0.3,
            "restore.mode": "manual",
            "run_directory": "/run/x",
        }),
        "F",
    )  # fmt: skip
    assert (config.node, config.peer, config.pair.preferred) == ("sw2", "sw1", "sw1")
    assert config.vip.interface == "bridge"
    assert config.lone_boot == 90.0
    assert config.heartbeat.dead_interval == 0.3
    assert config.restore.mode == "manual"
    assert config.run_directory == Path("/run/x")


def test_the_same_text_gives_an_equal_config_and_another_text_another() -> None:
    assert parse(changed({}), "F") == parse(changed({}), "F")
    assert parse(changed({}), "F") != parse(changed({"nodes.sw2.peer_link": "169.254.0.12"}), "F")


def test_without_node_it_is_the_host_name_without_its_domain() -> None:
    host = socket.gethostname().partition(".")[0]
    text = changed({"node": ABSENT, "nodes.sw1": ABSENT, f"nodes.{host}": LEAST["nodes"]["sw1"]})
    assert parse(text, "F").node == host
    assert parse(text, "F").peer == "sw2"
    assert "(the name of this host) is not among nodes: sw1, sw2" in complaint(changed({"node": None}))


def test_a_heading_with_nothing_below_it_takes_the_defaults() -> None:
    assert parse(changed({"heartbeat": None}), "F") == parse(changed({}), "F")


def test_ipv6_pair_is_accepted() -> None:
    config = parse(
        changed({
            "nodes.sw1": {"peer_link": "fd00::9", "backup_path": "192.168.100.1"},
            "nodes.sw2": {"peer_link": "fd00::a", "backup_path": "192.168.100.2"},
            "vip.address": "fd00::b",
        }),
        "F",
    )  # fmt: skip
    assert config.vip.address.version == 6


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("heartbeat.interval", "abc", "'abc' is not a number of seconds; write for example {default}"),
        (
            "heartbeat.interval",
            "100ms",
            "'100ms' is not a number of seconds, which is written without a unit; write for example {default}",
        ),
        ("heartbeat.interval", None, "null is not a number of seconds; write for example {default}"),
        ("heartbeat.interval", 0, "0 is not between 0.01 and 10 seconds; write for example {default}"),
        ("heartbeat.interval", -1, "-1 is not between 0.01 and 10 seconds; write for example {default}"),
        ("heartbeat.interval", True, "'true' is not a number of seconds; write for example {default}"),
        ("heartbeat.interval", [0.1], "[0.1] is not a number of seconds; write for example {default}"),
        ("heartbeat.port", 0, "0 is not a port from 1 to 65535; write for example 5344"),
        ("replication.port", 65536, "65536 is not a port from 1 to 65535; write for example 9999"),
        ("vip.port", "9998", "'9998' is not a port from 1 to 65535; write for example 9998"),
        ("vip.port", 99.5, "99.5 is not a port from 1 to 65535; write for example 9998"),
        ("vip.announce_count", 0, "0 is not a whole number from 1 to 100; write for example 5"),
        ("snapshots.keep", 0, "0 is not a whole number from 1 to 1000; write for example 5"),
        ("pair.id", 7, "7 is a number where a name (letters, digits, '.', '_' and '-', at most 63) is wanted: "
                       "put it into quotes; write for example rack7"),
        ("pair.id", "a b", "'a b' is not a name (letters, digits, '.', '_' and '-', at most 63); "
                           "write for example rack7"),
        ("pair.key_file", "pair.key", "'pair.key' is not an absolute path; write for example /etc/ovsha/pair.key"),
        ("pair.preferred", "sw3", "'sw3' is not one of sw1, sw2, clag"),
        ("restore.mode", "auto", "'auto' is not automatic or manual; write for example automatic"),
        ("lone_boot", "never", "'never' is not a number of seconds, nor the word wait; write for example wait"),
        ("lone_boot", 0.2, "is not longer than heartbeat.dead_interval (0.45): the peer has no chance"),
        ("clag.command", "/usr/bin/clagctl -j", "'/usr/bin/clagctl -j' is not a list of the words of a command; "
                                                "write for example [/usr/bin/clagctl, -j]"),
        ("clag.command", [], "[] is not a list of the words of a command; write for example [/usr/bin/clagctl, -j]"),
        ("clag.text_command", ["clagctl"], "'clagctl' is not the absolute path of a program; "
                                           "write for example [/usr/bin/clagctl]"),
        ("peer_link.interface", "much-too-long-a-name", "'much-too-long-a-name' is not the name of an interface "
                                                        "(at most 15 characters); write for example peerlink.4094"),
        ("server.database", "hardware-vtep", "'hardware-vtep' is not the name of a database; "
                                             "write for example hardware_vtep"),
        ("server.hang_interval", 61, "is longer than server.stall_limit (60)"),
        ("vip.address", "169.254.0.11/32", "'169.254.0.11/32' is not an IP address, which is written without a prefix "
                                           "length; write for example 169.254.0.11"),
        ("vip.address", "169.254.11", "'169.254.11' is not an IP address; write for example 169.254.0.11"),
        ("vip.address", 169, "169 is not an IP address; write for example 169.254.0.11"),
        ("vip.address", "169.254.0.10", "169.254.0.10 is already nodes.sw2.peer_link; "
                                        "a backup that copies from the VIP ends up copying itself"),
        ("vip.address", "192.168.100.1", "192.168.100.1 is already nodes.sw1.backup_path"),
        ("vip.address", "fe80::b%peerlink.4094", "'fe80::b%peerlink.4094' is not an IP address; "
                                                 "write for example 169.254.0.11"),
        ("nodes.sw1.peer_link", "224.0.0.1", "224.0.0.1 is not the address of one switch that another can reach; "
                                             "write for example 169.254.0.9"),
        ("nodes.sw1.peer_link", "127.0.0.1", "127.0.0.1 is not the address of one switch that another can reach; "
                                             "write for example 169.254.0.9"),
        ("nodes.sw1.peer_link", "fe80::1", "fe80::1 is a link-local IPv6 address, which means nothing without an "
                                           "interface; add it, as fe80::1%peerlink.4094; "
                                           "write for example 169.254.0.9"),
        ("nodes.sw1.peer_link", "fd00::9%eth0", "'fd00::9%eth0' is not a link-local IPv6 address, and only those have "
                                                "a zone; write for example 169.254.0.9"),
        ("nodes.sw1.peer_link", "fe80::9%", "'fe80::9%' is not an IP address; write for example 169.254.0.9"),
        ("nodes.sw2.peer_link", "192.0.2.254", "192.0.2.254 is the address that must never answer: backups are parked "
                                               "on it; write for example 169.254.0.9"),
        ("nodes.sw2.peer_link", "fd00::a", "fd00::a and 169.254.0.9 are not of one family (IPv4, IPv6)"),
        ("nodes.sw2.peer_link", "169.254.0.9", "169.254.0.9 is already nodes.sw1.peer_link"),
        ("nodes.sw2.backup_path", "169.254.0.9", "169.254.0.9 is already nodes.sw1.peer_link"),
        ("nodes.sw2.backup_path", None, "is missing although the other switch has one; a path needs two ends"),
        ("node", "sw3", "'sw3' is not among nodes: sw1, sw2"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_with_its_key_its_reason_and_an_example(key: str, value: object, said: str) -> None:
    default = {known: default for known, default, _ in describe()}.get(key)
    assert complaint(changed({key: value})) == f"{key}: {said.replace('{default}', str(default))}"


def test_a_link_local_address_has_the_peer_link_as_its_zone_and_is_best_a_fixed_one() -> None:
    nodes = {"sw1": {"peer_link": "fe80::9%peerlink.4094"}, "sw2": {"peer_link": "fe80::200:ff:fe00:a%peerlink.4094"}}
    config = parse(changed({"nodes": nodes}), "F")
    assert str(config.nodes["sw1"].peer_link) == "fe80::9%peerlink.4094"
    assert [each for each in config.warnings if "is made of the interface's MAC" in each] == [
        "F: nodes.sw2.peer_link: fe80::200:ff:fe00:a%peerlink.4094 is made of the interface's MAC and changes with it; "
        "give it a fixed one, such as fe80::9/64, in /etc/network/interfaces"
    ]
    assert complaint(changed({"nodes": nodes, "peer_link.interface": "peerlink.7"})) == (
        "nodes.sw1.peer_link: the zone of fe80::9%peerlink.4094 is not peer_link.interface, peerlink.7"
    )
    nodes["sw2"] = dict(nodes["sw1"])
    assert complaint(changed({"nodes": nodes})).endswith("fe80::9%peerlink.4094 is already nodes.sw1.peer_link")


def test_a_vip_may_be_of_another_family_than_the_peer_link() -> None:
    assert parse(changed({"vip.address": "fd00::b"}), "F").vip.address == netaddr.IPAddress("fd00::b")


@pytest.mark.parametrize(
    ("mode", "where"), [("interface", "peerlink.4094"), ("loopback", "lo"), ("dummy", "ovsha-vip")]
)
def test_the_mode_of_the_vip_says_where_it_goes(mode: str, where: str) -> None:
    vip = parse(changed({"vip.mode": mode}), "F").vip
    assert (vip.interface, vip.routed) == (where, mode != "interface")


@pytest.mark.parametrize(
    ("mode", "interface", "said"),
    [
        ("interface", "lo", "lo is not for vip.mode interface; leave it out"),
        ("loopback", "eth0", "eth0 is not for vip.mode loopback; leave it out"),
        ("dummy", "lo", "lo is not for vip.mode dummy; leave it out"),
        ("dummy", "peerlink.4094", "peerlink.4094 is the peer link, and vip.mode dummy wants one for the VIP alone"),
    ],
)
def test_a_mode_of_the_vip_refuses_an_interface_of_another(mode: str, interface: str, said: str) -> None:
    assert complaint(changed({"vip.mode": mode, "vip.interface": interface})) == f"vip.interface: {said}"


def test_dead_interval_is_at_least_three_intervals() -> None:
    assert parse(changed({"heartbeat": {"interval": 0.1, "dead_interval": 0.3}}), "F").heartbeat.dead_interval == 0.3
    assert complaint(changed({"heartbeat": {"interval": 0.1, "dead_interval": 0.29}})) == (
        "heartbeat.dead_interval: 0.29 is less than three times heartbeat.interval (0.1), so that two lost packets "
        "would pass for a dead peer; write at least 0.3"
    )


def test_stall_must_be_longer_than_silence() -> None:
    text = changed({"heartbeat": {"dead_interval": 2, "stall_interval": 2}})
    assert complaint(text) == "heartbeat.stall_interval: is not longer than heartbeat.dead_interval (2)"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("pair.id", "pair.id: is missing; write for example rack7"),
        ("pair", "pair.id: is missing; write for example rack7"),
        ("vip.address", "vip.address: is missing; write for example 169.254.0.11"),
        ("nodes.sw1.peer_link", "nodes.sw1.peer_link: is missing; write for example 169.254.0.9"),
        ("nodes", "nodes: a pair has two switches, one that stands alone has itself; here are 0 named"),
    ],
)
def test_key_without_a_default_must_be_there(key: str, said: str) -> None:
    assert complaint(changed({key: ABSENT})) == said


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("heartbeat.intervall", "heartbeat.intervall: there is no such key; did you mean interval?"),
        ("hartbeat", "hartbeat: there is no such key; did you mean heartbeat?"),
        ("dead_interval", "dead_interval: there is no such key; did you mean heartbeat.dead_interval?"),
        ("nodes.sw1.peerlink", "nodes.sw1.peerlink: there is no such key; did you mean peer_link?"),
        ("restore.zzz", "restore.zzz: there is no such key; here are known: mode, delay"),
        ("warnings", "warnings: there is no such key; here are known: node, mode, pair, nodes, peer_link, backup_path"),
    ],
)
def test_unknown_key_is_refused_by_name_with_the_one_that_was_probably_meant(key: str, said: str) -> None:
    assert complaint(changed({key: 1})).startswith(said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clag", "nodes: a switch cannot be called clag, which has a meaning of its own in pair.preferred"),
        (7, "nodes: 7 is a number where a name"),
        ("", "nodes: '' is not a name"),
        (None, "nodes: null is not a name"),
    ],
)
def test_name_of_a_switch_must_be_a_name(name: object, said: str) -> None:
    nodes = {"sw1": LEAST["nodes"]["sw1"], name: LEAST["nodes"]["sw2"]}
    assert complaint(changed({"nodes": nodes})).startswith(said)


def test_a_third_switch_is_refused() -> None:
    text = changed({"nodes.sw3.peer_link": "169.254.0.12"})
    assert complaint(text) == "nodes: a pair has two switches, one that stands alone has itself; here are 3 named"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; what it needs at least is pair.id, nodes"),
        ("# only words\n", "is empty; what it needs at least is pair.id, nodes"),
        ("- a\n", "['a'] stands where keys with their values belong (key: value)"),
        ("just words", "'just words' stands where keys with their values belong (key: value)"),
        (changed({"heartbeat": 5}), "heartbeat: 5 stands where keys with their values belong (key: value)"),
        ("pair: {id: a}\npair: {id: b}\n", "line 2: the key 'pair' is there twice"),
        ("pair:\n  id: a\n  'id': b\n", "line 3: the key 'id' is there twice"),
        ("pair: &p {id: a}\n", "line 1: anchors, aliases and tags of YAML are not used here"),
        ("pair: !!python/object:os.system {}\n", "line 1: anchors, aliases and tags of YAML are not used here"),
        ("a: [[[[[[[[[[]]]]]]]]]]\n", "line 1: is nested too deeply"),
        ("pair: {id: a}\n---\npair: {id: b}\n",
         "line 2: expected a single document in the stream, but found another document"),
        ("pair: {id: a\n", "line 2: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'"),
        ("pair:\n\tid: a\n",
         "line 2: while scanning for the next token, found character '\\t' that cannot start any token"),
        ("? {a: b}\n: c\n", "line 1: while constructing a mapping, found unhashable key"),
        ("a: \0",
         'unacceptable character #x0000: special characters are not allowed in "<unicode string>", position 3'),
    ],
)  # fmt: skip
def test_text_that_is_not_a_configuration_is_refused_in_one_line(text: str, said: str) -> None:
    assert complaint(text) == said


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "2026-01-02", "1e", "0x1F", "0o7"])
def test_words_that_other_yaml_readers_turn_into_something_else_stay_words(word: str) -> None:
    text = changed({}).replace("id: rack7", f"id: {word}")
    assert parse(text, "F").pair.id == word


@pytest.mark.parametrize(("written", "value"), [("1", 1.0), ("2.5", 2.5), (".5", 0.5), ("2.", 2.0), ("2e0", 2.0)])
def test_seconds_may_be_written_as_any_decimal_number(written: str, value: float) -> None:
    assert parse(changed({}) + f"handover: {{timeout: {written}}}\n", "F").handover.timeout == value


def accepted_or_refused_in_one_line(text: str) -> bool:
    try:
        return parse(text, "F").node in ("sw1", "sw2")
    except ConfigError as err:
        return "\n" not in str(err)


@given(st.text())
def test_any_text_gives_a_config_or_one_line(text: str) -> None:
    assert accepted_or_refused_in_one_line(text)


@given(st.lists(st.sampled_from([*"{}[]:,-?|>&*!%@`'\"#\n \t~=<", "sw1", "1", "---", "heartbeat", "\ufeff", "1e9"])))
def test_any_heap_of_yaml_signs_gives_a_config_or_one_line(signs: list[str]) -> None:
    assert accepted_or_refused_in_one_line("".join(signs))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([key.replace("NAME", "sw1") for key, _, _ in describe()])


@given(KEYS, VALUES)
def test_any_value_of_any_key_gives_a_config_or_one_line(key: str, value: object) -> None:
    assert accepted_or_refused_in_one_line(changed({key: value}))


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"nodes.sw1.backup_path": None, "nodes.sw2.backup_path": ABSENT}, "F: nodes: without backup_path"),
        ({"heartbeat.interval": 0.05, "heartbeat.dead_interval": 0.15}, "F: heartbeat.dead_interval: 0.15 is shorter"),
        ({"server.hang_interval": 0.5}, "F: server.hang_interval: 0.5 is short"),
        ({"server.stall_limit": 4}, "F: server.stall_limit: 4 may be shorter than a resynchronisation"),
        ({"heartbeat.stall_interval": 3}, "F: heartbeat.stall_interval: 3 may be shorter than a resynchronisation"),
    ],
)
def test_doubtful_value_is_accepted_with_one_warning(changes: dict[str, object], doubt: str) -> None:
    (warning,) = parse(changed(changes), "F").warnings
    assert warning.startswith(doubt)
    assert warning.isprintable()


@pytest.fixture(scope="module")
def example() -> str:
    return EXAMPLE.read_text()


def test_example_file_is_accepted_as_it_is_and_without_a_warning() -> None:
    assert load(EXAMPLE).warnings == ()


def test_example_file_names_exactly_the_keys_there_are_and_shows_their_defaults(example: str) -> None:
    shown = dict(flat(yaml.safe_load(re.sub(r"(?m)^( *)#(?=[a-z_]+:)", r"\1", example))))
    in_force = dict(flat(yaml.safe_load(example)))
    assert {key.replace("sw1", "NAME").replace("sw2", "NAME") for key in shown} == {key for key, _, _ in describe()}
    for key, default, _ in describe():
        if key.startswith("nodes.") or default is Default.REQUIRED or key in ("node", "vip.address"):
            continue
        assert (key, shown[key]) == (key, default)
        assert in_force.get(key) is None


def test_example_file_carries_the_sentence_of_each_key_above_it(example: str) -> None:
    words = " ".join(line.strip().removeprefix("# ") for line in example.splitlines())
    for key, _, doc in describe():
        assert doc in words, key
        assert doc.endswith("."), key


def test_fast_profile_of_the_example_file_is_accepted_without_a_warning(example: str) -> None:
    profile = FAST_PROFILE.search(example)
    assert profile is not None
    config = parse(FAST_PROFILE.sub(lambda found: found[1].replace("#   ", ""), example), "F")
    assert (config.heartbeat.interval, config.heartbeat.dead_interval) == (0.05, 0.2)
    assert config.warnings == ()


def test_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"node: caf\xe9\n")
    for path, reason in (
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (latin, "byte 9 is not UTF-8 text"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {reason}"


def key_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "pair.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_pair_key_is_the_content_of_its_file_without_white_space_around_it(tmp_path: Path, mode: int) -> None:
    assert read_key(key_file(tmp_path, b"  " + b"k" * 32 + b"\n", mode)) == b"k" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o777])
def test_pair_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, b"k" * 32, mode)
    with pytest.raises(ConfigError) as caught:
        read_key(path)
    assert str(caught.value) == f"{path}: mode {mode:04o} lets others than its owner in; run: chmod 0600 {path}"


@pytest.mark.parametrize(("content", "size"), [(b"", 0), (b"k" * 31 + b" \n", 31), (b"k" * 5000, 4097)])
def test_pair_key_of_a_wrong_length_is_refused(tmp_path: Path, content: bytes, size: int) -> None:
    path = key_file(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        read_key(path)
    assert str(caught.value) == f"{path}: holds {size} bytes, but a pair key has 32 to 4096"


def test_missing_pair_key_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory; run: \(umask 077; openssl rand -hex 32 > "):
        read_key(tmp_path / "none")


def test_pair_key_must_be_a_regular_file_and_a_fifo_does_not_block(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path):
        with pytest.raises(ConfigError, match="is not a regular file"):
            read_key(path)


def test_every_key_has_a_default_that_its_own_reader_accepts() -> None:
    """A default is read by the reader of its key when the class is made, so a wrong one fails at import."""
    assert isinstance(parse(changed({}), "F"), Config)
    written = {key: default for key, default, _ in describe() if default not in (Default.REQUIRED, None)}
    assert parse(changed(written), "F") == parse(changed({}), "F")


def test_the_only_switch_under_nodes_stands_alone_and_needs_neither_addresses_nor_a_vip() -> None:
    alone = parse("node: sw1\npair: {id: rack7}\nnodes: {sw1: {}}\n", "F")
    assert (alone.standalone, alone.peer, alone.warnings) == (True, "", ())
    assert (alone.vip.address, alone.nodes["sw1"].peer_link) == (None, None)
    assert not parse(changed({}), "F").standalone


def test_a_pair_becomes_standalone_and_a_pair_again_by_one_entry_under_nodes() -> None:
    alone = parse(changed({"nodes.sw2": ABSENT}), "F")
    assert alone.standalone
    assert alone.vip == parse(changed({}), "F").vip
