"""Look at how MLAG is set up: on this switch by clagd and /etc/network/interfaces, and against the peer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from ovsha import mlag
from ovsha.checks import mlag as check
from ovsha.checks.mlag_detail import Detail
from ovsha.drivers.mlag_facts import OWN
from ovsha.errors import DriverError
from ovsha.preflight.finding import Finding, fail, of_check, passed, together, warn
from ovsha.preflight.ground import Ground

INTERFACES = Path("/etc/network/interfaces")
_WORD = re.compile(r"^\s*(clagd-[a-z-]+)\s+(.*?)\s*$", re.MULTILINE)
_RESERVED = re.compile("44:38:39:(ff|be):", re.IGNORECASE)
_DEFAULT_PRIORITY = 32768


def setup(ground: Ground) -> Finding:
    """Return how MLAG is set up."""
    try:
        answer = mlag.ask(ground.config.clag)
    except DriverError as error:
        return fail(
            f"the MLAG role cannot be asked for: {error}", "correct section clag of the file, or set MLAG up first"
        )
    detail = answer.detail
    now = of_check(check.judge(answer.clag, detail, answer.source))
    if answer.clag.role is None:
        return now
    clagd = [] if answer.source is OWN else [*_own(detail), *against_file(detail, read_interfaces())]
    found = [now, *clagd, *_addresses(ground, detail), *_peer(ground, detail)]
    return together(found, passed(f"{now.text}; system MAC {detail.system_mac or 'unknown'}", **now.facts))


def read_interfaces(path: Path = INTERFACES) -> dict[str, str]:
    """Return the clagd- keywords of /etc/network/interfaces, none where it is not there; the last one holds."""
    try:
        return {found[1]: found[2] for found in _WORD.finditer(path.read_text(errors="replace"))}
    except OSError:
        return {}


def _own(detail: Detail) -> Iterator[Finding]:
    if detail.priority == detail.peer_priority is not None:
        what = f"both switches have priority {detail.priority}, so that the lower MAC decides who is primary"
        yield warn(what, "set clagd-priority 1000 on the one that is to be primary")
    if detail.system_mac and not _RESERVED.match(detail.system_mac):
        what = f"the system MAC {detail.system_mac} is not of the range for MLAG pairs"
        yield warn(what, "set clagd-sys-mac to one of 44:38:39:ff:00:00 to 44:38:39:ff:ff:ff, the same on both")
    if not detail.anycast:
        what = "there is no anycast IP, so each switch is a VTEP of its own to the controller"
        yield warn(what, "set clagd-vxlan-anycast-ip on lo, the same on both")


def against_file(detail: Detail, configured: dict[str, str]) -> Iterator[Finding]:
    """Compare what clagd does with what it will do after the next boot, by the keywords of `configured`."""
    for keyword, running, remedy in (
        (
            "clagd-priority",
            "" if detail.priority is None else str(detail.priority),
            "; clagctl priority N sets the first",
        ),
        ("clagd-backup-ip", detail.backup, ""),
        ("clagd-sys-mac", detail.system_mac, ""),
        ("clagd-vxlan-anycast-ip", detail.anycast, ""),
    ):
        written = configured.get(keyword, "").partition(" ")[0].lower()
        if written and running and written != running:
            what = f"clagd runs with {running}, and {keyword} in {INTERFACES} is {written}, which holds after a boot"
            yield warn(what, f"make them the same{remedy}")


def _addresses(ground: Ground, detail: Detail) -> Iterator[Finding]:
    """Compare clagd's addresses with those in our configuration."""
    link, peer = ground.config.peer_link.interface, ground.address(ground.peer)
    if detail.peer_interface and detail.peer_interface != link:
        what = f"clagd's peer link is {detail.peer_interface}, and peer_link.interface is {link}"
        yield fail(what, f"write peer_link.interface: {detail.peer_interface}")
    told = _address(detail.peer_address)
    if told is not None and told != str(peer) and not ip_address(told).is_link_local:
        yield fail(f"clagd's peer is {told}, and nodes.{ground.peer}.peer_link is {peer}", "correct one of them")
    backup, path = _address(detail.backup), ground.backup(ground.peer)
    if backup is not None and path is not None and backup != str(path):
        what = f"clagd's backup IP is {backup}, and nodes.{ground.peer}.backup_path is {path}"
        yield warn(what, "use the same network for both, unless two backup paths are meant")
    elsewhere = check.other_vrf(ground.config, detail)
    if elsewhere is not None:
        yield fail(*elsewhere)


def _peer(ground: Ground, detail: Detail) -> Iterator[Finding]:
    theirs = (ground.survey or {}).get("mlag") or {}
    for key, own, name in (
        ("system_mac", detail.system_mac, "system MAC (clagd-sys-mac)"),
        ("anycast_ip", detail.anycast, "anycast IP (clagd-vxlan-anycast-ip)"),
    ):
        other = theirs.get(key)
        if other is not None and other != own:
            what = f"the {name} is {own or 'not set'} here and {other or 'not set'} on {ground.peer}"
            yield fail(what, "set the same on both switches")


def _address(text: str) -> str | None:
    try:
        address = str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
    # The configured one of a point-to-point link over IPv6 is not the one that clagd resolves.
    return None if address.startswith("169.254.") and text == "linklocal" else address
