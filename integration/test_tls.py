"""TLS between the servers: the pair does all that it does without, and whoever shows another certificate is refused."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pki
import settings
from lab import Lab
from pki import Credentials
from story import (
    LIMIT,
    MakeLab,
    await_every_row,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    in_sync,
    undisturbed,
)
from switch import Switch
from test_checks import await_line


def section(credentials: Credentials, tls: bool = True) -> dict[str, Any]:
    """Return the section of the configuration that names these files."""
    return {
        "tls": tls,
        "private_key": str(credentials.private_key),
        "certificate": str(credentials.certificate),
        "ca_cert": str(credentials.ca_certificate),
    }


def prepared(lab: MakeLab, tls: bool = True, **wishes: Any) -> Lab:
    """Return a pair whose servers have the certificate of the pair, with nothing running yet."""
    files = pki.pair()
    pair = lab(tls=True, overrides={"replication": section(files, tls)}, **wishes)
    for switch in pair.switches:
        switch.credentials = files
    return pair


def begun(pair: Lab, vtepds: bool = False) -> Lab:
    """Start it, and wait until it serves on sw1 and is in sync."""
    pair.start_controller()
    pair.start(vtepds=vtepds)
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    return pair


def reconfigure(switch: Switch, credentials: Credentials, tls: bool = True) -> None:
    """Write other files into its configuration, and have the agent read it."""
    switch.server_tls = tls
    switch.config["replication"].update(section(credentials, tls))
    settings.write(switch.config_file, switch.config)
    assert switch.agent.pid is not None
    os.kill(switch.agent.pid, signal.SIGHUP)


def test_a_crash_a_silent_death_and_planned_moves_go_as_without_tls(lab: MakeLab) -> None:
    pair = begun(prepared(lab), vtepds=True)
    assert pair.sw2.replicates_from() == "ssl:169.254.0.9:9999"
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active", LIMIT, "sw2 takes over from a crash")
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
    pair.sw1.power_off("kill")
    pair.wait_until(lambda: pair.sw2.role() == "active", LIMIT, "sw2 takes over from a silent death")
    await_rows(pair, 10)
    pair.sw1.power_on()
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync again")
    assert pair.sw1.ovsha("switchover", "--to", "sw2", "--yes").returncode == 0
    await_pair(pair, pair.sw2)
    done = pair.sw1.ovsha("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pair_at_work_goes_from_plain_to_tls_by_a_reload_on_each_side(lab: MakeLab) -> None:
    pair = begun(prepared(lab, tls=False))
    assert pair.sw2.replicates_from() == "tcp:169.254.0.9:9999"
    with undisturbed(pair):
        reconfigure(pair.sw2, pki.pair())
        await_problem(pair, pair.sw2, "our session to ovsdb-server on sw1", "as one without TLS does")
        await_problem(pair, pair.sw1, "our session to ovsdb-server on sw2", "as one with TLS does")
        reconfigure(pair.sw1, pki.pair())
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync again")
    assert pair.sw2.replicates_from() == "ssl:169.254.0.9:9999"
    for switch in pair.switches:
        assert f"pssl:9999:{switch.address}" in switch.remotes()
        assert f"ptcp:9999:{switch.address}" not in switch.remotes()
    await_every_row(pair, pair.sw2)


def test_authorities_that_differ_or_are_missing_on_one_side_are_told(lab: MakeLab) -> None:
    pair = begun(prepared(lab))
    files, copy = pki.pair(), pair.directory / "both-cacert.pem"
    shown_by(pair.sw2, replace(files, ca_certificate=copy), files.ca_certificate.read_text())
    await_line(pair, pair.sw1, "certs", "OK certs: ", "has the same one")
    copy.write_text(pki.credentials("ctl").ca_certificate.read_text())
    await_line(pair, pair.sw1, "certs", "WARNING certs: sw2 believes other authorities than this side")
    copy.unlink()
    await_line(pair, pair.sw1, "certs", "WARNING certs: sw2 has no both-cacert.pem yet", f"copy {files.ca_certificate}")


def test_a_server_that_was_started_without_a_key_is_left_as_it_is_and_named(lab: MakeLab) -> None:
    pair = lab(overrides={"replication": section(pki.pair())})
    pair.sw2.server_tls = False
    pair.sw2.server.start()
    pair.sw2.agent.start()
    await_problem(pair, pair.sw2, "replication: ovsdb-server was started without --private-key")
    assert f"ptcp:9999:{pair.sw2.address}" in pair.sw2.remotes()


def issued(directory: Path, name: str, days: int, authority: Path | None) -> Credentials:
    """Return another certificate, that ends in so many days; it is its own authority where none is given."""
    key, asked, made = (directory / f"{name}-{what}.pem" for what in ("privkey", "req", "cert"))
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={name}", "-out", asked)
    signer: tuple[object, ...] = ("-signkey", key)
    if authority is not None:
        signer = ("-CA", authority / "cacert.pem", "-CAkey", authority / "private" / "cakey.pem", "-CAcreateserial")
    openssl("x509", "-req", "-in", asked, *signer, "-days", days, "-out", made)
    return Credentials(key, made, pki.pair().ca_certificate)


def openssl(*words: object) -> None:
    """Run the program of that name."""
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def shown_by(switch: Switch, credentials: Credentials, authorities: str = "") -> None:
    """Have the switch show another certificate: its server from its next start, and its agent."""
    if authorities:
        credentials.ca_certificate.write_text(authorities)
    switch.credentials = credentials
    switch.server.stop()
    switch.server.start()
    reconfigure(switch, credentials)


def test_a_stranger_and_an_expired_certificate_are_refused_and_named(lab: MakeLab) -> None:
    pair = begun(prepared(lab))
    authority = pki.pair().private_key.parent / "pki" / "switchca"
    shown_by(pair.sw2, issued(pair.directory, "stranger", 100, None))
    await_problem(
        pair, pair.sw1, "our session to ovsdb-server on sw2: the certificate shown there is refused: self-signed"
    )
    await_problem(pair, pair.sw2, "our session to ovsdb-server on sw1: our certificate is refused there")
    assert pair.sw2.replicates_from() is None, "it copies from nobody"
    shown_by(pair.sw2, issued(pair.directory, "late", -1, authority))
    await_problem(
        pair,
        pair.sw1,
        "our session to ovsdb-server on sw2: the certificate shown there is refused: certificate has expired",
    )
    await_problem(pair, pair.sw2, "our certificate is refused there: it has expired")
    shown_by(pair.sw2, issued(pair.directory, "soon", 9, authority))
    pair.wait_until(lambda: in_sync(pair), LIMIT, "one of the same authority is taken")
    await_line(pair, pair.sw2, "certs", "expires in 8 d 23 h")
    assert pair.sw1.role() == "active", "that was no reason to move"
