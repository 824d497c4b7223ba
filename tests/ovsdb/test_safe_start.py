"""Laws of how the server is started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ovsha import config
from ovsha.core.lineage import PARKED
from ovsha.errors import ConfigError, DriverError
from ovsha.ovsdb import launch
from tests.support import tables

FILE = """
node: sw1
pair: {id: rack7}
nodes:
  sw1: {peer_link: ADDRESS1}
  sw2: {peer_link: ADDRESS2}
vip: {address: VIP}
"""


def configuration(first: str = "169.254.0.9", second: str = "169.254.0.10", vip: str = "169.254.0.11") -> config.Config:
    return config.parse(FILE.replace("ADDRESS1", first).replace("ADDRESS2", second).replace("VIP", vip), "a test")


def test_server_follows_an_address_that_cannot_answer() -> None:
    line = launch.command(configuration(), "")
    assert f"--sync-from={PARKED}" in line
    assert "--active" not in line


def test_server_listens_on_its_socket_and_its_replication_address_alone() -> None:
    remotes = [each for each in launch.command(configuration(), "") if each.startswith("--remote")]
    assert remotes == ["--remote=punix:/var/run/openvswitch/db.sock", "--remote=ptcp:9999:169.254.0.9"]


TLS = "replication: {tls: WANTED, private_key: /k.pem, certificate: /c.pem, ca_cert: /a.pem}\n"


@pytest.mark.parametrize(("wanted", "method"), [("true", "pssl"), ("false", "ptcp")])
def test_files_of_the_configuration_are_given_to_the_server_before_the_peer_is_listened_to_with_them(
    wanted: str, method: str
) -> None:
    text = (FILE + TLS).replace("ADDRESS1", "fd00::1").replace("ADDRESS2", "fd00::2").replace("VIP", "fd00::3")
    given = config.parse(text.replace("WANTED", wanted), "a test")
    line = launch.command(given, "--ssl-protocols=TLSv1.2")
    assert f"--remote={method}:9999:[fd00::1]" in line
    assert {"--private-key=/k.pem", "--certificate=/c.pem", "--ca-cert=/a.pem", "--ssl-protocols=TLSv1.2"} < {*line}
    for other in ("--bootstrap-ca-cert=/b.pem", "-p/x.pem", "-C/x.pem", "--certificate=/x.pem"):
        with pytest.raises(ConfigError, match="is decided by section replication; take it away"):
            launch.command(given, other)


def test_address_of_ipv6_stands_in_brackets() -> None:
    line = launch.command(configuration("fd00::1", "fd00::2", "fd00::3"), "")
    assert "--remote=ptcp:9999:[fd00::1]" in line
    line = launch.command(configuration("fe80::9%peerlink.4094", "fe80::a%peerlink.4094"), "")
    assert "--remote=ptcp:9999:[fe80::9%peerlink.4094]" in line


def test_options_of_the_operator_come_before_the_database() -> None:
    line = launch.command(configuration(), "--private-key='/home/a b/key.pem'  --certificate=/c.pem")
    assert line[-3:] == ["--private-key=/home/a b/key.pem", "--certificate=/c.pem", "/var/lib/openvswitch/conf.db"]


@pytest.mark.parametrize(
    "extra", ["--active", "--remote=db:hardware_vtep,Global,managers", "--sync=tcp:10.0.0.1:9", "--mon", "x.db", "'"]
)
def test_option_that_would_undo_the_safe_start_is_refused(extra: str) -> None:
    with pytest.raises(ConfigError, match=launch.OPTIONS):
        launch.command(configuration(), extra)


def test_command_in_the_readme_does_what_the_unit_does() -> None:
    shown = re.search(r"^    (ovsdb-server (?:.*\\\n)*.*)$", tables.README.read_text(), re.MULTILINE)
    assert shown is not None
    words = shlex.split(shown[1].replace("\\\n", ""))
    example = re.search(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", tables.README.read_text())
    assert example is not None
    configured = config.parse(re.sub(r"^ {4}", "", example[1], flags=re.MULTILINE), "README.rst")
    done = launch.command(configured, "")
    assert set(words[1:]) <= set(done)


def test_database_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "conf.db"
    file.write_text("data")
    launch.make_database(file, None)
    assert file.read_text() == "data"


def test_no_database_and_no_schema_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"conf\.db: there is no database.*vtep.ovsschema is not there") as refused:
        launch.make_database(tmp_path / "conf.db", tmp_path / "vtep.ovsschema")
    assert "\n" not in str(refused.value)


def test_schema_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    schema = tmp_path / "vtep.ovsschema"
    schema.write_text("{}")
    with pytest.raises(DriverError, match=r"conf\.db: cannot be made: ovsdb-tool: "):
        launch.make_database(tmp_path / "conf.db", schema)
    assert list(tmp_path.iterdir()) == [schema]


def test_file_with_another_database_is_refused_by_both_names(tmp_path: Path) -> None:
    schema, file = tmp_path / "schema", tmp_path / "conf.db"
    schema.write_text('{"name": "Open_vSwitch", "version": "8.3.0", "tables": {}}')
    launch.make_database(file, schema)
    launch.check_database(file, "Open_vSwitch")
    with pytest.raises(ConfigError, match=r"conf\.db: holds the database Open_vSwitch and not hardware_vtep"):
        launch.check_database(file, "hardware_vtep")
    assert sorted(tmp_path.iterdir()) == [file, schema], "nothing is left of its making"


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "conf.db"
    file.write_text("rubbish")
    with pytest.raises(DriverError, match=r"conf\.db: is no database that can be served: ovsdb-tool: ") as refused:
        launch.check_database(file, "hardware_vtep")
    assert "\n" not in str(refused.value)


def test_wrong_configuration_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(["--config", str(tmp_path / "none.yaml"), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ovsha-ovsdb-server: ")
    assert said.count("\n") == 1
