"""A stand-in for clagd: tells the role of this switch by talking to the stand-in on the other one.

It talks UDP over the real peer link (only there: the socket is bound to the interface) and over the backup path, takes
its role by clag_rules, and answers clagctl on a unix socket.  On SIGTERM it says goodbye to the peer, as clagd does; on
SIGKILL it says nothing.  Run as ``python3 -m standins.clagd``; the log goes to stderr in clagd's words.

A test can set how clagctl is answered, by ``clagctl lab-mode MODE``: normal, rubbish, hang, error (a message and status
1), exit1 (the right output and status 1), static (whatever happens, what was true when this was set).
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from standins import clag_rules, clag_text
from standins.clag_rules import Clag, Message, Timers

PORT = 5342
Mode = Literal["normal", "rubbish", "hang", "error", "exit1", "static"]
RUBBISH = "\x1b[2J{'clagIntfs': <object at 0x7f", 0
ERROR = "Error: unable to read the state of the peer link", 1


class Daemon:
    """One clagd: its state, its two ways to the peer and its control socket."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._interface: str = args.interface
        self._peer = _place(args.peer_ip)
        self._backup_peer = None if args.backup_ip is None else _place(args.backup_ip)
        self._settings = clag_text.Settings(
            args.interface, args.peer_ip, args.backup_ip, args.sys_mac, args.vxlan_anycast
        )
        timers = Timers(args.lacp_poll, args.peer_timeout, args.peer_link_poll, args.reload_timer, args.init_delay)
        now = time.monotonic()
        self._clag = Clag(_mac(args.interface), args.priority, timers, now, args.backup_ip is not None)
        self._mode: Mode = "normal"
        self._hung: list[socket.socket] = []
        self._due = now
        self._polled = now
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._link = self._udp(args.address, clag_rules.over_peer_link, args.interface)
        self._backup = None
        if args.backup_local is not None and args.backup_ip is not None:
            self._backup = self._udp(args.backup_local, clag_rules.over_backup)
        self._control = self._listen(args.socket)

    def run(self) -> None:
        """Serve until SIGTERM, then say goodbye."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        self._selector.register(reader, selectors.EVENT_READ, lambda: reader.recv(64))
        log("Beginning execution of clagd version 1.4.0")
        log("Role is now secondary")
        while not self._stopping:
            now = time.monotonic()
            for key, _ in self._selector.select(max(0.0, min(self._due, self._polled) - now)):
                key.data()
            self._tick(time.monotonic())
        log("Cleanup is executing.")
        self._send(self._clag.says(goodbye=True))
        log("Cleanup is finished")

    def _stop(self) -> None:
        self._stopping = True

    def _tick(self, now: float) -> None:
        if now >= self._polled:
            self._polled = now + self._clag.timers.peer_link_poll
            if not _carrier(self._interface):
                self._take(clag_rules.carrier_lost(self._clag, now))
        self._take(clag_rules.decide(self._clag, now))
        if now >= self._due:
            self._due = now + self._clag.timers.lacp_poll
            self._send(self._clag.says())

    def _take(self, clag: Clag) -> None:
        """Go over to the next state; what the peer should hear of it, it hears at once."""
        if self._mode == "static":
            return
        before, self._clag = self._clag, clag
        if clag.role != before.role:
            log(f"Role is now {clag.role}{'; ' + clag.why if clag.why else ''}")
        if clag.peer_alive and not before.peer_alive:
            log("The peer switch is active.")
        if clag.backup_active != before.backup_active:
            log(f"HealthCheck: backup {'active' if clag.backup_active else 'inactive'}")
        if clag.says() != before.says():
            self._due = 0.0

    def _send(self, message: Message) -> None:
        data = json.dumps(asdict(message)).encode()
        for way, to in ((self._link, self._peer), (self._backup, self._backup_peer)):
            if way is not None and to is not None:
                try:
                    way.sendto(data, to)
                except OSError:  # the link is down, which the peer will notice by our silence
                    continue

    def _udp(
        self, address: str, take: Callable[[Clag, Message, float], Clag], interface: str | None = None
    ) -> socket.socket:
        udp = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        if interface is not None:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        udp.bind(_place(address))
        udp.setblocking(False)

        def receive() -> None:
            try:
                message = Message.parse(json.loads(udp.recv(4096)))
            except (OSError, ValueError, TypeError):  # an ICMP error of an earlier send, or no message of ours
                return
            self._take(take(self._clag, message, time.monotonic()))

        self._selector.register(udp, selectors.EVENT_READ, receive)
        return udp

    def _listen(self, path: Path) -> socket.socket:
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(path))
        server.listen(16)
        self._selector.register(server, selectors.EVENT_READ, lambda: self._converse(server.accept()[0]))
        return server

    def _converse(self, client: socket.socket) -> None:
        client.settimeout(1.0)
        try:
            words = json.loads(client.recv(4096))
            if self._mode == "hang" and words["command"][:1] != ["lab-mode"]:
                self._hung.append(client)
                return
            text, status = self._answer(words["command"], words["json"])
            client.sendall(json.dumps({"text": text, "exit": status}).encode())
        except (OSError, ValueError):  # clagctl was killed meanwhile
            pass
        client.close()

    def _answer(self, command: Sequence[str], as_json: bool) -> tuple[str, int]:
        if command[:1] != ["lab-mode"]:
            if self._mode == "rubbish":
                return RUBBISH
            if self._mode == "error":
                return ERROR
        text, status = self._carry_out(command, as_json, time.monotonic())
        return text, 1 if self._mode == "exit1" else status

    def _carry_out(self, command: Sequence[str], as_json: bool, now: float) -> tuple[str, int]:
        clag, settings = self._clag, self._settings
        match command:
            case [] | ["status"]:
                return (clag_text.status_json if as_json else clag_text.status_text)(clag, settings, now), 0
            case ["lab-nv"]:
                return clag_text.status_nv(clag, settings), 0
            case ["showbackupip"]:
                return clag_text.backup_text(clag, settings), 0
            case ["params"]:
                params = clag_text.params(clag, settings)
                return (json.dumps(params, indent=4) + "\n" if as_json else clag_text.params_text(params)), 0
            case ["priority"]:
                return f"{clag.priority}\n", 0
            case ["priority", number] if number.isdecimal() and int(number) <= 65535:
                self._take(clag_rules.set_priority(clag, int(number), now))
                return "", 0
            case ["lab-mode", mode] if mode in get_args(Mode):
                self._mode = mode  # type: ignore[assignment]
                return "", 0
        return f"Unknown command: {' '.join(command)}\n", 2


def log(text: str) -> None:
    """Write a line as clagd's log has it."""
    stamp = datetime.now(UTC).isoformat()
    print(f"{stamp} {os.uname().nodename} clagd[{os.getpid()}]: {text}", file=sys.stderr, flush=True)


def _place(address: str) -> tuple[Any, ...]:
    """Return what the kernel wants for an address of either family, which may have a zone."""
    return socket.getaddrinfo(address, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]


def _mac(interface: str) -> str:
    return Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()


def _carrier(interface: str) -> bool:
    try:
        return Path(f"/sys/class/net/{interface}/carrier").read_text(encoding="ascii").strip() == "1"
    except OSError:  # the interface is down, or gone
        return False


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; times are in seconds and default to those of the real clagd."""
    parser = argparse.ArgumentParser(description="A stand-in for clagd.")
    parser.add_argument("--socket", type=Path, required=True, help="where clagctl asks")
    parser.add_argument("--interface", required=True, help="the peer link's")
    parser.add_argument("--address", required=True, help="ours on the peer link")
    parser.add_argument("--peer-ip", required=True, help="the peer's on the peer link")
    parser.add_argument("--backup-local", help="ours on the backup path")
    parser.add_argument("--backup-ip", help="the peer's on the backup path")
    parser.add_argument("--priority", type=int, default=32768)
    parser.add_argument("--sys-mac", default="44:38:39:ff:40:94")
    parser.add_argument("--vxlan-anycast")
    for name, default in asdict(Timers()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=default)
    return parser.parse_args(argv)


if __name__ == "__main__":
    Daemon(arguments()).run()
