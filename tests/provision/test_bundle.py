"""A bundle is what it was, or is refused by one line; what the joiner compares is compared the right way round."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsha import config
from ovsha.core.facts import Schema, Stamp
from ovsha.errors import DriverError, UsageError
from ovsha.provision import bundle, config_file, database_file, init, server_options, target
from ovsha.provision.bundle import Bundle, File
from ovsha.provision.database_file import Local
from ovsha.provision.discover import Found
from ovsha.provision.init import Wishes, together
from ovsha.provision.target import There

TEXT = """\
# our pair
node: sw1       # the only line that differs
pair: {id: rack7, preferred: sw1}
nodes:
  sw1: {peer_link: 169.254.0.9, backup_path: 192.168.0.1}
  sw2: {peer_link: 169.254.0.10, backup_path: 192.168.0.2}
vip: {address: 169.254.0.11}
"""
OTHER = TEXT.replace("node: sw1 ", "node: sw2 ")
KEY = b"k" * 64 + b"\n"
MADE = Bundle(
    "rack7", "sw1", "1" * 32, "sw2", OTHER, KEY, (File("/etc/a-cert.pem", 0o644, b"\0binary"),), Stamp(3, "sw1"),
    Schema("hardware_vtep", "1.7.0", "abc"), 12, 1e9, "0.1.0",
)  # fmt: skip
CONFIG = config.parse(OTHER, "test")
TABLES: dict[str, Any] = {
    "name": "hardware_vtep",
    "version": "1.7.0",
    "tables": {"Global": {"columns": {}}, "Macs": {"columns": {"a": {"type": "string"}}}},
}
STATUS = {
    "node": "sw1", "presence": "dead", "identity": {"own": "1" * 32, "peer": None},
    "sides": {"sw1": {"serving": True, "stamp": {"term": 3, "node": "sw1", "chosen": False}}},
}  # fmt: skip


def there(rows: int = 10, **identity: Any) -> There:
    status = STATUS | {"identity": {"own": "1" * 32, "peer": None, **identity}}
    return There(status, TABLES, {"Global": 1, "Macs": rows})


def local(rows: int, stamp: Stamp | None = None) -> Local:
    return Local(Path("/db"), TABLES, {"Global": 1, "Macs": rows}, stamp)


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_what_comes_out_is_what_went_in() -> None:
    assert bundle.unpack(bundle.pack(MADE), "b") == MADE
    assert MADE.settings().node == "sw2"


def test_the_fingerprint_is_that_of_the_pair_and_not_of_the_moment() -> None:
    later = replace(MADE, made=2e9, rows=99, stamp=Stamp(7, "sw2"), version="9", schema=Schema("a", "b", "c"))
    assert later.fingerprint == MADE.fingerprint
    others = [
        replace(MADE, key=b"x" * 64), replace(MADE, config=OTHER + "#"), replace(MADE, identity="2" * 32),
        replace(MADE, files=()), replace(MADE, pair="rack8"), replace(MADE, node="sw3"),
    ]  # fmt: skip
    assert len({MADE.fingerprint, *(each.fingerprint for each in others)}) == 7
    assert "kkkk" not in MADE.fingerprint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.update(format="ovsha join bundle 2"), "made by another release of ovsha"),
        (lambda body: body.update(format="something"), "is no join bundle"),
        (lambda body: body.update(rows=13), "is damaged"),
        (lambda body: body.update(key=base64.b64encode(b"z" * 64).decode()), "is damaged"),
        (lambda body: body.pop("pair"), "is damaged"),
    ],
)  # fmt: skip
def test_a_changed_bundle_is_refused(change: Any, said: str) -> None:
    body = json.loads(bundle.pack(MADE))
    change(body)
    with pytest.raises(DriverError, match=said):
        bundle.unpack(json.dumps(body), "b.json")


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", "[" * 200_000, bundle.pack(MADE)[:300]])
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(DriverError, match=r"b.json: is no join bundle, or is damaged; make a new one"):
        bundle.unpack(text, "b.json")


@pytest.mark.parametrize(
    "made",
    [
        replace(MADE, key=b"short"),
        replace(MADE, files=(File("etc/a", 0o600, b""),)),
        replace(MADE, files=(File("/etc/../root/a", 0o600, b""),)),
    ],
)
def test_a_bundle_that_would_do_harm_is_refused(made: Bundle) -> None:
    with pytest.raises(DriverError, match=r"holds no pair key|belongs nowhere"):
        bundle.unpack(bundle.pack(made), "b")


def test_a_bundle_of_another_switch_contradicts_itself() -> None:
    with pytest.raises(DriverError, match="contradicts itself"):
        replace(MADE, config=TEXT).settings()
    with pytest.raises(DriverError, match=r"made by a newer ovsha \(0.1.0\)"):
        replace(MADE, config=OTHER + "unheard_of: 1\n").settings()


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(bundle.pack(MADE))
    path.chmod(0o640)
    with pytest.raises(UsageError, match="mode 0640 lets others than its owner in, and the pair key is in it"):
        bundle.load(path)
    path.chmod(0o600)
    assert bundle.load(path) == MADE
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DriverError, match="is no join bundle"):
        bundle.load(path)
    with pytest.raises(DriverError, match="is not a regular file"):
        bundle.load(tmp_path)


# -- the other side's configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["node: sw1 ", '"node": sw1 ', "node : sw1 "])
def test_the_other_side_gets_the_same_but_its_name(form: str) -> None:
    own = TEXT.replace("node: sw1 ", form)
    made = config.parse(config_file.text(own, config.parse(own, "own")), "other")
    assert (made.node, made.peer, made.pair.id, made.vip) == ("sw2", "sw1", "rack7", CONFIG.vip)


def test_its_comments_stay() -> None:
    assert config_file.text(TEXT, config.parse(TEXT, "own")).startswith("# our pair\nnode: sw2\n")


# -- what the joiner compares ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (local(0), ""),
        (local(10), ""),
        (local(9, Stamp(3, "sw1")), ""),
        (local(11), "has 11 rows, 35 cells, and sw1 has 32 only"),
        (local(1, Stamp(1, "leaf5")), "has 1 row of another pair, stamped by leaf5 in term 1"),
        (local(1, Stamp(4, "sw2")), "has 1 row of term 4, newer than those of sw1, of term 3"),
    ],
)
def test_what_is_more_or_another_pairs_is_not_given_up_unasked(mine: Local, said: str) -> None:
    answer = target.content_refusal(mine, CONFIG, there())
    assert (said in answer) if said else answer == ""


def test_the_joiner_needs_all_that_the_first_switch_has_and_may_have_more() -> None:
    more = copy.deepcopy(TABLES)
    more["tables"]["Macs"]["columns"]["b"] = {"type": "integer"}
    assert target.schema_refusal(more, CONFIG, there()) == ""
    newer = replace(there(), schema=more)
    assert "has a column Macs.b, which that of sw2, 1.7.0, lacks" in target.schema_refusal(TABLES, CONFIG, newer)


@pytest.mark.parametrize(
    ("known", "own", "replaces", "alive", "said"),
    [
        (None, "", False, False, ""),
        ("2" * 32, "2" * 32, False, True, ""),
        ("2" * 32, "3" * 32, False, False, "sw1 knows another switch as sw2"),
        ("2" * 32, "3" * 32, True, False, ""),
        ("2" * 32, "", True, True, "sw1 hears the sw2 that it knows"),
    ],
)
def test_a_unit_that_is_not_the_known_one_says_that_it_replaces_it(
    known: str | None, own: str, replaces: bool, alive: bool, said: str
) -> None:
    found = replace(there(), status=there(peer=known).status | {"presence": "alive" if alive else "dead"})
    answer = target.identity_refusal(own, CONFIG, found, replaces)
    assert (said in answer) if said else answer == ""


# -- what init puts together -------------------------------------------------------------------------------------------

FOUND = Found("peerlink.4094", "169.254.0.9", "169.254.0.10", "192.168.0.1", "192.168.0.2")
WISHES = Wishes(node="sw1", peer_name="sw2", vip="169.254.0.11")


def test_clagd_and_the_kernel_say_the_addresses_and_the_operator_the_rest() -> None:
    made = together(WISHES, None, FOUND)
    assert (made.pair, made.preferred, made.interface) == ("sw1-sw2", "sw1", "peerlink.4094")
    assert [node.peer_link for node in made.nodes.values()] == ["169.254.0.9", "169.254.0.10"]


def test_a_backup_path_in_a_vrf_is_written_down_where_no_file_spoke_of_it() -> None:
    found = replace(FOUND, vrf="mgmt")
    assert together(WISHES, None, found).more == {"backup_path": {"vrf": "mgmt"}}
    assert together(Wishes(), config.parse(TEXT, "older"), found).more == {}


def test_the_operators_word_comes_before_the_file_and_the_file_before_clagd() -> None:
    older = config.parse(TEXT, "older")
    made = together(Wishes(peer_address="169.254.0.12"), older, replace(FOUND, own="169.254.0.99"))
    assert (made.pair, made.vip, made.nodes["sw1"].peer_link) == ("rack7", "169.254.0.11", "169.254.0.9")
    assert made.nodes["sw2"].peer_link == "169.254.0.12"


def test_the_switch_that_stood_alone_is_the_original_primary_of_the_pair_that_it_begins() -> None:
    alone = config.parse("{node: sw1, pair: {id: rack7}, nodes: {sw1: {}}}", "older")
    assert together(WISHES, alone, FOUND).preferred == "sw1"


@pytest.mark.parametrize(
    ("wishes", "found", "option"),
    [
        (replace(WISHES, peer_name=""), FOUND, "--peer-name NAME"),
        (replace(WISHES, vip=""), FOUND, "--vip ADDRESS"),
        (replace(WISHES, peer_name="sw1", node="sw1"), FOUND, "both switches would be called sw1: give --node NAME"),
        (WISHES, replace(FOUND, interface=""), "--interface NAME"),
        (WISHES, replace(FOUND, own="", trouble=("clagd is off",)), r"\(clagd is off\): give it by --address ADDRESS"),
        (WISHES, replace(FOUND, peer=""), "--peer-address ADDRESS"),
        (WISHES, replace(FOUND, own_backup=""), "--backup-address ADDRESS"),
        (WISHES, replace(FOUND, peer_backup=""), "--peer-backup-address ADDRESS"),
    ],
)
def test_what_nobody_says_is_one_line_that_names_the_option(wishes: Wishes, found: Found, option: str) -> None:
    with pytest.raises(UsageError, match=option):
        together(wishes, None, found)


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_options_of_a_server_keep_the_lines_that_are_not_about_them(tmp_path: Path) -> None:
    file = tmp_path / "options"
    file.write_text("# mine\nOVSDB_SERVER_OPTIONS='--log-file -vwarn'\nOTHER=1\n")
    assert server_options.given(file) == ["--log-file", "-vwarn"]
    file.write_text(server_options.text(["--private-key=/a b/k.pem", "-vwarn"], file))
    assert file.read_text().startswith("# mine\nOTHER=1\nOVSDB_SERVER_OPTIONS=")
    assert server_options.given(file) == ["--private-key=/a b/k.pem", "-vwarn"]
    assert server_options.given(tmp_path / "missing") == []


def test_the_tls_of_a_running_server_is_read_in_all_its_forms() -> None:
    words = ["ovsdb-server", "-p", "/k", "--certificate=/c", "--bootstrap-ca-cert", "/a", "--remote=punix:x", "/db"]
    assert server_options.tls_of(words) == ["--private-key=/k", "--certificate=/c", "--bootstrap-ca-cert=/a"]


@pytest.mark.parametrize(
    ("source", "user", "host", "port"),
    [
        ("ssh://sw1", None, "sw1", None),
        ("ssh://cumulus@192.168.0.1", "cumulus", "192.168.0.1", None),
        ("ssh://root@[fd00::1]:2222/", "root", "[fd00::1]", "2222"),
    ],
)
def test_an_address_of_ssh_is_taken_apart(source: str, user: str | None, host: str, port: str | None) -> None:
    found = bundle.WHERE.fullmatch(source.removeprefix(bundle.SCHEME))
    assert found is not None
    assert (found["user"], found["host"], found["port"]) == (user, host, port)


@pytest.mark.parametrize("source", ["ssh://", "ssh://-oProxyCommand=x", "ssh://a b", "ssh://-l@host", "ssh://h:port", "ssh://a/b"])
def test_what_is_no_address_of_ssh_never_reaches_it(source: str) -> None:
    with pytest.raises(UsageError, match=r"is no ssh://\[USER@\]HOST\[:PORT\]"):
        bundle.get(source)


def test_a_database_is_found_looked_at_kept_and_blanked(tmp_path: Path) -> None:
    schema = Path("/usr/share/openvswitch/vtep.ovsschema")
    if not schema.exists():
        pytest.skip("needs openvswitch-vtep")
    path = tmp_path / "vtep.db"
    subprocess.run(["ovsdb-tool", "create", str(path), str(schema)], check=True)
    row = '["hardware_vtep", {"op": "insert", "table": "Logical_Switch", "row": {"name": "ls"}}]'
    subprocess.run(["ovsdb-tool", "transact", str(path), row], check=True, capture_output=True)
    path.chmod(0o640)
    found = database_file.look(path, "hardware_vtep")
    assert found is not None
    assert (found.rows, found.counts, found.stamp) == (1, {"Logical_Switch": 1}, None)
    assert found.cells == len(found.whole_schema["tables"]["Logical_Switch"]["columns"]) + 2
    with pytest.raises(DriverError, match="holds the database hardware_vtep and not Open_vSwitch"):
        database_file.look(path, "Open_vSwitch")
    place = f"snapshots: {{directory: {tmp_path / 'kept'}}}\n"
    kept = database_file.keep(config.parse(TEXT + place, "test"), found)
    assert kept.read_bytes() == path.read_bytes()
    database_file.blank(path, schema)
    emptied = database_file.look(path, "hardware_vtep")
    assert emptied is not None
    assert emptied.counts == {}
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir() if "~lock~" not in each.name) == ["kept", "vtep.db"]
    assert database_file.look(tmp_path / "missing", "hardware_vtep") is None
    assert [each.path for each in database_file.find("hardware_vtep", [kept]) if each.path == kept] == [kept]
    assert target.schema_of(schema) == emptied.whole_schema


def test_settings_complain_with_what_clagd_complained_of() -> None:
    assert "clagd is off" in str(init.missing("it", "--it", Found(trouble=("clagd is off",))))
