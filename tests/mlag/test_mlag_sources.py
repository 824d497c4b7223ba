"""Laws of the MLAG sources beyond clagctl: nv and the operator's own command become the same facts, or unknown."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.checks import pair as check
from ovsha.checks.result import Level
from ovsha.config.switch import Clag as Settings
from ovsha.core.facts import Clag, MlagRole
from ovsha.errors import DriverError
from ovsha.mlag import parse, reader
from ovsha.mlag.parse import facts_of
from ovsha.mlag.sources import CLAGCTL, NV, OWN, SOURCES, How, Source

FIXTURES = Path(__file__).parents[1] / "fixtures" / "mlag"
EXAMPLE = Path(__file__).parents[2] / "etc" / "mlag-facts.keepalived"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "mlag-facts.schema.json").read_text())
PRIMARY, SECONDARY = MlagRole.PRIMARY, MlagRole.SECONDARY

NV_MEANINGS = {
    "nv-flat-strings.json": Clag(PRIMARY, SECONDARY, True, True, ""),
    "nv-flat-booleans.json": Clag(SECONDARY, PRIMARY, True, True, ""),
    "nv-nested-state-enabled.json": Clag(PRIMARY, SECONDARY, True, True, ""),
    "nv-columns.json": Clag(SECONDARY, PRIMARY, True, False, ""),
    "nv-peer-dead.json": Clag(PRIMARY, None, False, False, ""),
    "nv-disabled.json": Clag(trouble="MLAG is disabled on this switch, as nv show mlag tells"),
    "nv-configured-only.json": Clag(trouble="nv show mlag tells no local-role"),
}
OWN_MEANINGS = {
    "command-whole.json": Clag(PRIMARY, SECONDARY, True, True, ""),
    "command-least.json": Clag(SECONDARY, None, None, None, ""),
    "command-no-role.json": Clag(trouble="clag.own_command tells no role: keepalived is in state FAULT"),
}
SAMPLES = [(NV, name) for name in NV_MEANINGS] + [(OWN, name) for name in OWN_MEANINGS]


def sample(name: str) -> str:
    return (FIXTURES / name).read_text()


def meaning(name: str) -> Clag:
    return {**NV_MEANINGS, **OWN_MEANINGS}[name]


def test_every_sample_has_a_meaning() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == {name for _, name in SAMPLES}


@pytest.mark.parametrize(("source", "name"), SAMPLES)
def test_each_shape_is_understood(source: Source, name: str) -> None:
    assert facts_of(sample(name), source) == meaning(name)


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        yield f"{before}{key}", value


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys with dashes as mappings in mappings."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        head, dash, rest = key.partition("-")
        if dash:
            made.setdefault(head, {})[rest] = value
        else:
            made[key] = value
    return made


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nested": nested,
    "below mlag": lambda values: {"mlag": values},
    "below operational": lambda values: {"operational": values, "applied": {"enable": "on"}},
    "booleans": lambda values: {key: {"True": True, "False": False}.get(str(value), value)
                                for key, value in values.items()},
    "other columns": lambda values: dict(reversed(values.items())),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["nv-flat-booleans.json", "nv-peer-dead.json"])
def test_the_shape_in_which_nv_tells_its_fields_changes_nothing(name: str, change: str) -> None:
    values = {key: value for key, value in json.loads(sample(name)).items() if not isinstance(value, dict)}
    assert values
    as_before = facts_of(json.dumps(values), NV)
    assert as_before.role is not None
    assert facts_of(json.dumps(CHANGES[change](values)), NV) == as_before


@pytest.mark.parametrize(
    ("source", "text", "named"),
    [
        (NV, "", "nv show mlag printed nothing"),
        (NV, "Error: The requested item does not exist.\n", "The requested item does not exist"),
        (NV, "[]", "no JSON"),
        (NV, "{}", "tells no local-role"),
        (NV, '{"local-role": "master"}', "master"),
        (NV, '{"local-role": "primary", "peer-alive": "perhaps"}', "peer-alive is 'perhaps'"),
        (NV, '{"local-role": "primary", "peer-alive": 0}', "peer-alive is 0"),
        (NV, '{"local-role": ["primary"]}', "local-role"),
        (NV, '{"enable": "off", "peer-alive": "False"}', "disabled"),
        (OWN, "role: primary\n", "no JSON"),
        (OWN, '{"role": "primary", "peer_alive": "True"}', "peer_alive is 'True'"),
        (OWN, '{"role": "master"}', "master"),
        (OWN, '{"ourRole": "primary"}', "tells no role"),
    ],
)
def test_what_is_not_understood_is_unknown_and_named(source: Source, text: str, named: str) -> None:
    facts = facts_of(text, source)
    assert facts == Clag(trouble=facts.trouble)
    assert named in facts.trouble


def test_an_own_command_is_believed_only_when_it_ends_with_0_and_the_others_by_what_they_print() -> None:
    text = sample("command-whole.json")
    assert facts_of(text, OWN, 1) == Clag(trouble="clag.own_command ended with status 1: '{'")
    assert facts_of(sample("nv-peer-dead.json"), NV, 1).role is PRIMARY


def test_a_backup_path_without_an_address_is_believed_of_an_own_command_only() -> None:
    told = {"role": "primary", "peer_alive": True, "backup_alive": True}
    assert facts_of(json.dumps(told), OWN).backup_active is True
    assert facts_of(json.dumps(told | {"backup_address": "false"}), OWN).backup_active is None


def test_what_an_operator_wants_to_know_is_read_as_well() -> None:
    detail = parse.read_detail(NV, sample("nv-flat-strings.json"))
    assert (detail.priority, detail.peer_priority, detail.ident) == (1000, 32768, "44:38:39:00:00:09")
    assert (detail.peer_interface, detail.peer_address) == ("peerlink.4094", "169.254.0.10")
    assert (detail.backup, detail.vrf) == ("192.168.100.2", "mgmt")
    assert (detail.system_mac, detail.anycast) == ("44:38:39:ff:40:01", "10.9.9.9")
    assert parse.read_detail(OWN, sample("command-whole.json")).peer_priority == 100


def judged(source: Source, text: str) -> Level:
    return check.judge(facts_of(text, source), parse.read_detail(source, text), source).level


@pytest.mark.parametrize(
    ("source", "name", "level"),
    [
        (NV, "nv-flat-strings.json", Level.OK),
        (NV, "nv-columns.json", Level.WARNING),
        (NV, "nv-peer-dead.json", Level.CRITICAL),
        (NV, "nv-disabled.json", Level.UNKNOWN),
        (OWN, "command-whole.json", Level.OK),
        (OWN, "command-least.json", Level.UNKNOWN),
        (OWN, "command-no-role.json", Level.UNKNOWN),
    ],
)
def test_each_answer_has_a_meaning_to_an_operator(source: Source, name: str, level: Level) -> None:
    found = check.judge(facts_of(sample(name), source), parse.read_detail(source, sample(name)), source)
    assert found.level is level
    assert bool(found.do) == (level is not Level.OK)
    assert "clagctl" not in found.text


# ------------------------------------------------------------------ any input


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9)
    | st.sampled_from(["primary", "True", "on", "disabled", "10.0.0.1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
keys = st.sampled_from(
    sorted(
        {place for source in (NV, OWN) for fact in source.facts for place in fact.places}
        | {"mlag", "operational", "local", "peer"}
    )
)
sources = st.sampled_from([NV, OWN])


@given(sources, st.dictionaries(keys, values | st.dictionaries(keys, values)))
def test_any_json_gives_facts_and_never_a_dead_peer_unless_it_says_so(source: Source, told: dict[str, Any]) -> None:
    text = json.dumps(told)
    facts = facts_of(text, source)
    assert (facts.role is None) == bool(facts.trouble)
    assert facts.peer_alive is not False or "false" in text.lower()
    judged(source, text)


@given(sources, st.text() | st.text('{}[]":,aeiloprsuR \n()-_', max_size=400))
def test_any_text_gives_facts(source: Source, text: str) -> None:
    facts = facts_of(text, source)
    assert (facts.role is None) == bool(facts.trouble)
    judged(source, text)


@given(st.sampled_from(SAMPLES), st.integers(0), st.integers(0, 40), st.text(max_size=20))
def test_a_damaged_sample_gives_facts(which: tuple[Source, str], at: int, cut: int, put: str) -> None:
    source, name = which
    text = sample(name)
    at %= len(text)
    facts = facts_of(text[:at] + put + text[at + cut :], source)
    assert (facts.role is None) == bool(facts.trouble)


@given(st.sampled_from(SAMPLES), st.integers(0))
def test_a_truncated_sample_gives_no_facts_at_all(which: tuple[Source, str], at: int) -> None:
    source, name = which
    text = sample(name).rstrip()
    assert facts_of(text[: at % len(text)], source).role is None


# ------------------------------------------------------------------ who is asked


def program(directory: Path, name: str, body: str) -> str:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(*there: str, **changed: Any) -> Settings:
        """Return settings whose commands are in a directory of their own, where only those of `there` exist."""
        for name in there:
            program(tmp_path, name, f"cat {FIXTURES}/nv-peer-dead.json" if name == "nv" else "exit 1")
        usual = {"command": (f"{tmp_path}/clagctl", "-j"), "text_command": (), "nv_command": (f"{tmp_path}/nv",)}
        return Settings(**{**usual, **changed})

    return make


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), CLAGCTL), (("clagctl",), CLAGCTL), (("nv",), NV), (("clagctl", "nv"), CLAGCTL), (("clagctl", "own"), OWN)],
)
def test_auto_asks_the_first_that_is_there(
    settings: Callable[..., Settings], tmp_path: Path, there: tuple[str, ...], chosen: Source
) -> None:
    own = (f"{tmp_path}/own",)
    assert reader.questions(settings(*there, own_command=own))[0].source is chosen


@pytest.mark.parametrize(("named", "chosen"), [("clagctl", CLAGCTL), ("nv", NV), ("command", OWN)])
def test_a_source_that_is_named_is_asked_whether_it_is_there_or_not(
    settings: Callable[..., Settings], named: str, chosen: Source
) -> None:
    asked = settings("clagctl", "nv", source=named, own_command=("/nowhere",))
    assert [each.source for each in reader.questions(asked)] == [chosen]


def test_the_answer_comes_with_who_gave_it(settings: Callable[..., Settings]) -> None:
    answer = reader.ask(settings("nv"))
    assert (answer.source, answer.clag.peer_alive, answer.detail.priority) == (NV, False, 1000)
    with pytest.raises(DriverError, match="clagctl cannot be run"):
        reader.ask(settings("nv", source="clagctl"))


# ------------------------------------------------------------------ the tables and the example


def test_every_source_tells_the_role_and_who_lives_and_each_fact_once() -> None:
    for source in SOURCES:
        names = [fact.name for fact in source.facts]
        assert len(names) == len(set(names))
        assert {"role", "peer_role", "peer_alive", "backup_alive"} <= set(names)
        assert next(fact for fact in source.facts if fact.name == "role").how in (How.ROLE, How.THIRD)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("MASTER", Clag(PRIMARY, None, None, None, "")),
        ("BACKUP", Clag(SECONDARY, PRIMARY, True, None, "")),
        ("FAULT", Clag(trouble="clag.own_command tells no role: keepalived is in state FAULT")),
        (None, Clag(trouble="clag.own_command tells no role: keepalived has not written")),
    ],
)
def test_the_example_for_keepalived_tells_what_keepalived_knows(
    tmp_path: Path, state: str | None, expected: Clag
) -> None:
    file = tmp_path / "state"
    if state is not None:
        file.write_text(f"{state}\n")
    daemon = tmp_path / "pid"
    daemon.write_text(f"{os.getpid()}\n")
    ran = subprocess.run([str(EXAMPLE), str(file), str(daemon)], capture_output=True, text=True, check=True)
    found = facts_of(ran.stdout, OWN, ran.returncode)
    assert found.trouble.startswith(expected.trouble)
    assert (found.role, found.peer_alive) == (expected.role, expected.peer_alive)
    daemon.unlink()
    ran = subprocess.run([str(EXAMPLE), str(file), str(daemon)], capture_output=True, text=True, check=True)
    assert "keepalived does not run" in facts_of(ran.stdout, OWN, ran.returncode).trouble


types = {
    "string": st.text(max_size=20), "boolean": st.booleans(), "null": st.none(),
    "integer": st.integers(0, 2**31 - 1),
}  # fmt: skip


def of_schema(described: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return what a property of the schema may be."""
    if "enum" in described:
        return st.sampled_from(described["enum"])
    wanted = described["type"]
    return st.one_of([types[each] for each in ([wanted] if isinstance(wanted, str) else wanted)])


PROPERTIES = SCHEMA["properties"]


@given(st.fixed_dictionaries(
    {name: of_schema(PROPERTIES[name]) for name in SCHEMA["required"]},
    optional={name: of_schema(each) for name, each in PROPERTIES.items() if name not in SCHEMA["required"]},
))  # fmt: skip
def test_all_that_the_schema_allows_is_believed(told: dict[str, Any]) -> None:
    found = facts_of(json.dumps(told), OWN)
    role = told["role"]
    assert found.role is (MlagRole(role) if role else None), found.trouble
    assert role is None or found.peer_alive is told["peer_alive"]
    assert role is not None or "tells no role" in found.trouble


def test_the_schema_describes_the_facts_of_the_own_command_and_no_others() -> None:
    assert set(PROPERTIES) == {fact.name for fact in OWN.facts}
    assert SCHEMA["required"] == ["role", "peer_alive", "backup_alive"]
    assert all(each.get("description") for each in PROPERTIES.values())
