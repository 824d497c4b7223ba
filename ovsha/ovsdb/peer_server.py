"""Hold a session to the peer's ovsdb-server: its lineage, its tokens, and whether it and its host live.

A closed connection tells of a crash within milliseconds.  A silent one is asked in two
ways: the server by an echo, its host by whether the kernel there acknowledges that echo
(tcp(7), TCP_INFO), since a busy server answers nothing for seconds.  What could not be sent
is not acknowledged either.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Mapping
from typing import Any

from ovs.poller import Poller

from ovsha.core.facts import Role, Source
from ovsha.ovsdb.database import Contents, Database

_RETRY = 0.2
_DATA_OFFSET, _ACK_OFFSET = 52, 56  # milliseconds since data and since an acknowledgement came
_INFO_LENGTH = 60
_KEPT_ALIVE = 2.0
"""Seconds within which a host that is there acknowledges something: the kernel asks it each second (Channel)."""


class PeerSource:
    """A session to `target`, the peer's replication address; it is given up after `silence_limit` seconds.

    A server that has answered nothing for `probe_limit` seconds is asked no more, but its host is, by the kernel.
    """

    def __init__(self, target: str, database: str, silence_limit: float, probe_limit: float = 0.0) -> None:
        self.target = target
        self._silence_limit = silence_limit
        self._probe_limit = max(silence_limit, probe_limit)
        self._database = Database(target, database, _RETRY, self._answered)
        self._role: Role | None = None
        self._role_at = 0.0
        self._echo_at = 0.0
        self._acknowledged_at = 0.0
        self._packet_at: float | None = None
        self._told: tuple[int, float] | None = None
        self._told_at = float("-inf")
        self._now = 0.0

    @property
    def contents(self) -> Contents:
        """What the rows of the peer's database say."""
        return self._database.contents

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The whole schema of the peer's database, None before it was read."""
        return self._database.whole_schema

    @property
    def trouble(self) -> str:
        """What hinders us from talking to the peer's server, "" when nothing does."""
        return self._database.trouble or self._database.channel.trouble

    def facts(self, now: float) -> Source:
        """Return what the session shows."""
        channel, contents = self._database.channel, self._database.contents
        connected = channel.connected
        return Source(
            loaded=contents.loaded,
            closed=self.closed,
            life_age=self._life_age(now) if connected else None,
            answer_age=channel.unanswered_for(now) if connected else None,
            role=self._role if connected else None,
            stamp=contents.stamp,
            token=contents.token,
            empty=contents.empty,
            schema=self._database.schema if connected else None,
            role_age=now - self._role_at if connected and self._role is not None else None,
        )

    def packet_age(self, now: float) -> float | None:
        """Return the seconds since the peer's host acknowledged, sent or refused anything here, None for never."""
        return None if self._packet_at is None else now - self._packet_at

    @property
    def closed(self) -> bool:
        """Whether the session has ended, or was refused, and there is none now."""
        channel = self._database.channel
        return not channel.connected and channel.closed_at is not None

    @property
    def ended(self) -> bool:
        """Whether the peer's host has ended or refused the session, and there is none now."""
        return not self._database.channel.connected and self._database.channel.ended_at is not None

    def run(self, now: float, probe_every: float) -> None:
        """Take what has come; ask the server for an echo and its role each `probe_every` seconds."""
        self._now = now
        channel = self._database.channel
        self._database.run(now)
        self._note_packet(now)
        if not channel.connected:
            self._role, self._acknowledged_at = None, now
            return
        if self._life_age(now) > self._silence_limit:
            channel.close(now, f"silent for {self._silence_limit:g} s")
            self._database.run(now)
        elif now >= self._echo_at + probe_every:
            self._echo_at = now
            if channel.unanswered_for(now) < self._probe_limit:
                self._database.probe_role(self._probed)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when something comes; a probe that is due waits for the next heartbeat."""
        self._database.channel.wait(poller, now)

    def close(self, now: float) -> None:
        """End the session."""
        self._database.channel.close(now, "closing")

    def _answered(self) -> None:
        self._acknowledged_at = self._now

    def _probed(self, role: Role | None) -> None:
        self._role = role
        self._role_at = self._acknowledged_at = self._now

    def _note_packet(self, now: float) -> None:
        """Ask the kernel when the peer's host last sent us anything on this session, or ended it."""
        channel = self._database.channel
        self._told, self._told_at = told, _ = _told(channel.socket), now
        moments = [channel.ended_at, None if told is None else now - told[1], self._packet_at]
        self._packet_at = max((each for each in moments if each is not None), default=None)

    def _life_age(self, now: float) -> float:
        """Return for how long the peer's host has acknowledged nothing although it was, or should be, sent something.

        When nothing is under way, the kernel asks, and goes on unanswered where the host is gone.
        """
        channel = self._database.channel
        told = self._told if now == self._told_at else _told(channel.socket)
        outstanding, packet_age = told or (1, 0.0)
        if not channel.waiting or not (channel.backlog or outstanding):
            self._acknowledged_at = now
            return packet_age if packet_age >= _KEPT_ALIVE else 0.0
        return min(channel.unanswered_for(now), now - self._acknowledged_at)


def _told(connection: socket.socket | None) -> tuple[int, float] | None:
    """Return how many bytes were not sent or are not acknowledged, and the seconds since the other host sent anything.

    None: the kernel cannot tell.
    """
    if connection is None:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_LENGTH)
        data, acknowledged = (struct.unpack_from("=I", info, at)[0] for at in (_DATA_OFFSET, _ACK_OFFSET))
        left = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ of tcp(7)
    except (OSError, struct.error):
        return None
    return int(struct.unpack("=i", left)[0]), min(data, acknowledged) / 1000
