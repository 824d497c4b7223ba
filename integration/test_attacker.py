"""What somebody on the peer link can do who is not the peer: what docs/security.rst says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import rpc
import settings
from lab import Lab
from story import LIMIT, MakeLab, await_pair, begin, in_sync, undisturbed
from switch import HERE, Switch

STRANGER = "169.254.0.12"
PAGE = HERE.parent / "docs" / "security.rst"
SAY = """
import socket, sys
source, target, port, text = sys.argv[1:]
with socket.create_connection((target, int(port)), timeout=1, source_address=(source, 0)) as session:
    session.sendall(text.encode())
    print(session.recv(65536).decode())
"""


def said(switch: Switch, source: str, target: str, port: int) -> str:
    """Try to write from an address of a switch, and return the answer, "" for none."""
    write = {"op": "insert", "table": "Logical_Switch", "row": {"name": f"written at {target}"}}
    question = json.dumps({"id": 0, "method": "transact", "params": ["hardware_vtep", write]})
    done = switch.run(sys.executable, "-c", SAY, source, target, str(port), question)
    return done.stdout if done.returncode == 0 else ""


def names(switch: Switch) -> list[str]:
    return [row["name"] for row in rpc.select(switch.socket, "Logical_Switch", "name")]


def stranger_on_the_peer_link(pair: Lab) -> None:
    """Give sw2, which the cable goes to, another address, from which it is a stranger."""
    done = pair.sw2.run("ip", "address", "add", f"{STRANGER}/29", "dev", "peerlink.4094")
    assert done.returncode == 0, done.stderr


def test_whoever_reaches_the_active_server_without_tls_can_write_to_it(lab: MakeLab) -> None:
    pair = begin(lab)
    stranger_on_the_peer_link(pair)
    for target, port in ((pair.sw1.address, settings.REPLICATION_PORT), (settings.VIP, settings.VIP_PORT)):
        assert '"uuid"' in said(pair.sw2, STRANGER, target, port)
        assert f"written at {target}" in names(pair.sw1)
    # Nor is the backup's copy a secret, but it takes nothing.
    pair.sw1.run("ip", "address", "add", "169.254.0.13/29", "dev", "peerlink.4094")
    assert "read only" in said(pair.sw1, "169.254.0.13", pair.sw2.address, settings.REPLICATION_PORT)


def test_behind_the_filter_a_stranger_reaches_nothing_and_the_pair_notices_nothing(
    lab: MakeLab, tmp_path: Path
) -> None:
    pair = begin(lab)
    shown = re.search(r"((?: {4}.*\n)*? {4}table inet ovsha \{\n(?: {4}.*\n)+)", PAGE.read_text())
    assert shown is not None
    rules = tmp_path / "ovsha.nft"
    rules.write_text(re.sub(r"(?m)^ {4}", "", shown[1]))
    with undisturbed(pair):
        for switch in pair.switches:
            done = switch.run("nft", "-f", str(rules))
            assert done.returncode == 0, done.stderr
    stranger_on_the_peer_link(pair)
    before = names(pair.sw1)
    assert said(pair.sw2, STRANGER, pair.sw1.address, settings.REPLICATION_PORT) == ""
    assert said(pair.sw2, STRANGER, settings.VIP, settings.VIP_PORT) == ""
    assert names(pair.sw1) == before
    # The other side's programs come and go as before.
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active", LIMIT, "sw2 takes over")
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync")
