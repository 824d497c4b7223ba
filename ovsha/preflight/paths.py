"""Measure both paths to the peer, and say whether the timers of the heartbeats suit them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from ovsha.core.words import span
from ovsha.errors import DriverError
from ovsha.preflight import echo
from ovsha.preflight.finding import Finding, Row, fail, passed, together, warn
from ovsha.preflight.ground import Ground

_SECONDS, _QUICK_SECONDS = 4.0, 1.0
Address = IPv4Address | IPv6Address


def measured(ground: Ground) -> Finding:
    """Send an echo each heartbeat interval over both paths at once."""
    node, beat = ground.config.node, ground.config.heartbeat
    nodes = ground.config.nodes
    ways = {"peer link": (ip_address(str(nodes[node].peer_link)), ip_address(str(nodes[ground.peer].peer_link)), "")}
    own, peer = ground.backup(node), ground.backup(ground.peer)
    if own is not None and peer is not None:
        ways["backup path"] = (own, peer, ground.config.backup_path.vrf)
    count = max(5, math.ceil((_QUICK_SECONDS if ground.quick else _SECONDS) / beat.interval))

    def run(way: tuple[Address, Address, str]) -> echo.Echoes | DriverError:
        own, peer, vrf = way
        try:
            return echo.measure(own, peer, count, beat.interval, vrf)
        except DriverError as error:
            return error

    with ThreadPoolExecutor(len(ways)) as pool:
        results = dict(zip(ways, pool.map(run, ways.values()), strict=True))
    found: list[Finding] = []
    rows: list[Row] = []
    for name, result in results.items():
        if isinstance(result, DriverError):
            found.append(fail(str(result), "run this as root, and see that the address is on this switch"))
        else:
            rows += _rows(name, result, ground)
            found += _judged(name, result, ground)
    fine = passed(f"{count} echoes over each of {len(ways)} paths fit the timers of the heartbeats")
    return together(found, replace(fine, rows=tuple(rows)))


def _rows(name: str, echoes: echo.Echoes, ground: Ground) -> list[Row]:
    beat = ground.config.heartbeat
    median, longest = echoes.median, echoes.longest
    trip = "nothing came back"
    if median is not None and longest is not None:
        trip = f"{_short(median)}, longest {_short(longest)}"
    lost = f"{echoes.lost} of {len(echoes.trips)}, {echoes.lost_in_a_row} in a row"
    return [
        Row(f"{name}: round trip", f"below {span(beat.interval)}", trip),
        Row(f"{name}: lost", f"fewer than {_bearable(ground)} in a row", lost),
    ]


def _judged(name: str, echoes: echo.Echoes, ground: Ground) -> list[Finding]:
    beat, longest = ground.config.heartbeat, echoes.longest
    if longest is None:
        return [fail(f"{ground.peer} does not answer over the {name}", f"see that the {name} is up on both switches")]
    found = []
    if echoes.lost_in_a_row >= _bearable(ground):
        what = f"the {name} loses {echoes.lost_in_a_row} packets in a row, as many as count for a dead peer"
        found.append(fail(what, "mend the link (ethtool -S), or raise heartbeat.dead_interval"))
    elif echoes.lost:
        what = f"the {name} loses {echoes.lost} of {len(echoes.trips)} packets"
        found.append(warn(what, "see the errors of its ports (ethtool -S)"))
    if longest >= beat.dead_interval:
        what = f"the {name} took {span(longest)}, longer than heartbeat.dead_interval ({span(beat.dead_interval)})"
        found.append(fail(what, f"raise heartbeat.dead_interval to {span(3 * longest)} at least"))
    elif longest >= beat.interval:
        what = f"the {name} took {span(longest)}, longer than heartbeat.interval ({span(beat.interval)})"
        found.append(warn(what, "raise heartbeat.interval and heartbeat.dead_interval, or see what delays it"))
    return found


def _short(seconds: float) -> str:
    """Return a round trip, which on a cable is a small part of a millisecond."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.1 else span(seconds)


def _bearable(ground: Ground) -> int:
    """Return how many packets in a row may be lost until a path counts as dead."""
    beat = ground.config.heartbeat
    return max(1, math.floor(beat.dead_interval / beat.interval + 1e-9))
