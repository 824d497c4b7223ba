"""One archive has what both sides know, no key, and says what it has not."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import settings
from lab import Lab
from story import MakeLab, begin
from switch import Switch


def collected(switch: Switch, target: Path, *options: str) -> tuple[dict[str, bytes], str]:
    """Return the files of an archive that `switch` has made, and what it printed."""
    done = switch.ovsha("collect", "--output", str(target), *options, limit=120.0)
    assert done.returncode == 0, done.stderr
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read() for name, file in files.items() if file is not None}, done.stdout


def key_of(pair: Lab) -> bytes:
    return (pair.directory / "pair.key").read_bytes().strip()


def test_both_sides_are_in_the_archive_and_no_key_is(lab: MakeLab, tmp_path: Path) -> None:
    pair = begin(lab, rows=50, tls=True)
    # Somebody has left keys where they do not belong.
    state = pair.sw2.directory / "state" / "ledgers"
    state.mkdir(exist_ok=True)
    (state / "careless.json").write_bytes(b"the key is " + key_of(pair))
    (state / "other.json").write_text("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\n")
    overrides: dict[str, Any] = {"backup": {"export": ["/bin/scp", "--password=hunter2"]}}
    settings.write(pair.sw1.config_file, settings.merged(pair.sw1.config, overrides))
    files, told = collected(pair.sw1, tmp_path / "both.tar.gz", "--database")
    for node in ("sw1", "sw2"):
        for name in ("MANIFEST", "status.json", "sync-status.txt", "counters.json", "config.yaml", "trace.jsonl",
                     "agent.log", "clagctl.json", "clagctl.txt", "net/addresses.txt", "net/routes.txt",
                     "net/neighbours.txt", "net/sockets.txt", "ovsdb-server/sync-status.txt", "versions.txt",
                     "ovsdb-server/list-remotes.txt", "ovsdb-server/memory-show.txt", "database.db"):  # fmt: skip
            assert files.get(f"{node}/{name}"), f"{node}/{name}"
    assert b"state: backup" in files["sw2/ovsdb-server/sync-status.txt"]
    assert any(name.startswith("sw1/journal/") for name in files)
    for name, data in files.items():
        assert key_of(pair) not in data, name
        assert b"PRIVATE KEY" not in data, name
        assert b"hunter2" not in data, name
    assert b"holds a key, and was left out" in files["sw2/MANIFEST"]
    assert "no key is in it" in told
    assert not list((pair.sw2.directory / "state" / "collect").iterdir()), "the peer keeps nothing of it"


def test_what_fails_or_hangs_leaves_a_line_and_the_rest_is_there(lab: MakeLab, tmp_path: Path) -> None:
    pair = begin(lab, rows=50)
    pair.sw1.agent.stop()
    pair.sw1.clagctl("lab-mode", "hang")
    pair.sw2.power_off()
    files, told = collected(pair.sw1, tmp_path / "one.tar.gz")
    manifest = files["sw1/MANIFEST"].decode()
    missing = manifest.partition("missing:")[2]
    for words in ("clagctl.json: ", "has not ended within", "status.json: ", "trace.jsonl: "):
        assert words in missing, manifest
    assert b"state: active" in files["sw1/ovsdb-server/sync-status.txt"]
    assert "sw2: missing" in files["MANIFEST"].decode()
    assert "sw2 is missing" in told
    pair.sw2.power_on()
    pair.sw1.clagctl("lab-mode", "normal")
