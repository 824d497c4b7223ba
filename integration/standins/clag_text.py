"""Print the state of clagd in the forms of `clagctl`, text as in 3.x and JSON keys as in 4.x, and of `nv`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standins.clag_rules import Clag

BOND, VXLAN = "bond01", "vxlan10"


@dataclass(frozen=True)
class Settings:
    """What clagd was told at its start and only repeats."""

    peer_interface: str
    peer_ip: str
    backup_ip: str | None
    system_mac: str
    anycast_ip: str | None


def status_text(clag: Clag, settings: Settings, now: float) -> str:
    """Return what `clagctl status` prints; there is no line of the peer's priority while the peer is not alive."""
    ours = ("Our Priority, ID, and Role", f"{clag.priority} {clag.id} {clag.role}")
    lines = [ours]
    if clag.peer_alive and clag.peer is not None:
        theirs = f"{clag.peer.priority} {clag.peer.id} {_other(clag)}"
        lines.append(("Peer Priority, ID, and Role", theirs))
        if clag.role == "secondary":
            lines.reverse()  # the primary's line stands first
    lines.append(("Peer Interface and IP", f"{settings.peer_interface} {settings.peer_ip}"))
    if settings.anycast_ip is not None:
        lines.append(("VxLAN Anycast IP", settings.anycast_ip))
    lines.append(("Backup IP", _backup(clag, settings)))
    lines.append(("System MAC", settings.system_mac))
    head = "The peer is alive" if clag.peer_alive else "The peer is not alive"
    return "\n".join([head, *(f"{label:>31}: {value}" for label, value in lines), "", *_interfaces(clag, now)]) + "\n"


def status_json(clag: Clag, settings: Settings, now: float) -> str:
    """Return what `clagctl -j status` prints; the peer's own keys are absent while it is not alive."""
    status: dict[str, Any] = {
        "backupActive": clag.backup_active,
        "backupIp": settings.backup_ip or "",
        "backupReason": "",
        "linklocal": False,
        "ourId": clag.id,
        "ourPriority": clag.priority,
        "ourRole": clag.role,
        "peerAlive": clag.peer_alive,
        "peerIf": settings.peer_interface,
        "peerIp": settings.peer_ip,
        "sysMac": settings.system_mac,
    }
    if clag.peer_alive and clag.peer is not None:
        status |= {"peerId": clag.peer.id, "peerPriority": clag.peer.priority, "peerRole": _other(clag)}
    if settings.anycast_ip is not None:
        status["vxlanAnycast"] = settings.anycast_ip
    interfaces = {
        name: {
            "clagId": 1 if name == BOND else 0,
            "operstate": "up" if clag.forwards(now) else "down",
            "peerIf": name if clag.peer_alive else "",
            "status": _link_status(clag, now),
        }
        for name in (BOND, VXLAN)
    }
    return _dump({"clagIntfs": interfaces, "status": status})


def status_nv(clag: Clag, settings: Settings) -> str:
    """Return what `nv show mlag -o json` is thought to print, flat and with words for the truth values."""
    told: dict[str, object] = {
        "backup": {} if settings.backup_ip is None else {settings.backup_ip: {}},
        "backup-active": str(clag.backup_active),
        "backup-reason": "",
        "debug": "off",
        "enable": "on",
        "local-id": clag.id,
        "local-role": clag.role,
        "mac-address": settings.system_mac,
        "peer-alive": str(clag.peer_alive),
        "peer-interface": settings.peer_interface,
        "peer-ip": settings.peer_ip,
        "priority": clag.priority,
    }
    if clag.peer_alive and clag.peer is not None:
        told |= {"peer-id": clag.peer.id, "peer-priority": clag.peer.priority, "peer-role": _other(clag)}
    if settings.anycast_ip is not None:
        told["anycast-ip"] = settings.anycast_ip
    return _dump(told)


def backup_text(clag: Clag, settings: Settings) -> str:
    """Return what `clagctl showbackupip` prints."""
    state = "active" if clag.backup_active else "inactive"
    lines = ["Backup info:", f"IP: {settings.backup_ip or ''}; State: {state}; Role: {clag.role}"]
    if clag.peer is not None:
        peer = clag.peer
        lines.append(f"Peer priority and id: {peer.priority} {peer.id}; Peer role: {peer.role}")
    return "\n".join(lines) + "\n"


def params_text(params: Mapping[str, object]) -> str:
    """Return what `clagctl params` prints."""
    return "".join(f"{name} = {value}\n" for name, value in params.items())


def params(clag: Clag, settings: Settings) -> dict[str, object]:
    """Return the parameters under clagd's own names."""
    timers = clag.timers
    return {
        "peerIp": settings.peer_ip,
        "peerIf": settings.peer_interface,
        "sysMac": settings.system_mac,
        "lacpPoll": _number(timers.lacp_poll),
        "peerLinkPoll": _number(timers.peer_link_poll),
        "reloadTimer": _number(timers.reload_timer),
        "priority": clag.priority,
        "peerTimeout": _number(timers.peer_timeout),
        "initDelay": _number(timers.init_delay),
        "backupIp": settings.backup_ip,
        "backupVrf": None,
        "vxlanAnycast": settings.anycast_ip,
    }


def _interfaces(clag: Clag, now: float) -> list[str]:
    widths = (16, 16, 7, 20, 17)
    titles = ("Our Interface", "Peer Interface", "CLAG Id", "Conflicts", "Proto-Down Reason")
    reason = "-" if clag.forwards(now) else "vxlan-single"
    rows = [titles, tuple("-" * width for width in widths)]
    for name, number, down in ((BOND, "1", "-"), (VXLAN, "-", reason)):
        rows.append((f"{name:>16}", name if clag.peer_alive else "-", number, "-", down))
    lines = ["   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return ["CLAG Interfaces", *lines]


def _link_status(clag: Clag, now: float) -> str:
    if not clag.forwards(now):
        return "protoDown"
    return "dual" if clag.peer_alive else "single"


def _backup(clag: Clag, settings: Settings) -> str:
    state = "(active)" if clag.backup_active else "(inactive)"
    return f"{settings.backup_ip} {state}" if settings.backup_ip else state


def _other(clag: Clag) -> str:
    return "secondary" if clag.role == "primary" else "primary"


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _dump(data: Mapping[str, object]) -> str:
    return json.dumps(data, indent=4, sort_keys=True) + "\n"
