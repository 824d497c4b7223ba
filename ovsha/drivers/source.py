"""Hold a session to the peer's ovsdb-server: its lineage, its tokens, and whether it and its host live.

A closed connection tells of a crash within milliseconds.  A silent one is asked in two
ways: the server by an echo, its host by whether the kernel there acknowledges that echo
(tcp(7), TCP_INFO), since a busy server answers nothing for seconds.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any

from ovs.poller import Poller

from ovsha.core.facts import Role, Source
from ovsha.drivers.database import Contents, Database

_RETRY = 0.2
_UNACKED_OFFSET = 24
_UNACKED_LENGTH = 28


class PeerSource:
    """A session to `target`, the peer's replication address; it is given up after `silence_limit` seconds."""

    def __init__(self, target: str, database: str, silence_limit: float) -> None:
        self.target = target
        self._silence_limit = silence_limit
        self._database = Database(target, database, _RETRY, self._answered)
        self._role: Role | None = None
        self._role_at = 0.0
        self._echo_at = 0.0
        self._acknowledged_at = 0.0
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
            closed=not connected and channel.closed_at is not None,
            life_age=self._life_age(now) if connected else None,
            answer_age=channel.unanswered_for(now) if connected else None,
            role=self._role if connected else None,
            stamp=contents.stamp,
            token=contents.token,
            empty=contents.empty,
            schema=self._database.schema if connected else None,
            role_age=now - self._role_at if connected and self._role is not None else None,
        )

    def run(self, now: float, probe_every: float) -> None:
        """Take what has come; ask the server for an echo and its role each `probe_every` seconds."""
        self._now = now
        channel = self._database.channel
        self._database.run(now)
        if not channel.connected:
            self._role, self._acknowledged_at = None, now
            return
        if self._life_age(now) > self._silence_limit:
            channel.close(now, f"silent for {self._silence_limit:g} s")
            self._database.run(now)
        elif now >= self._echo_at + probe_every:
            self._echo_at = now
            if channel.unanswered_for(now) < self._silence_limit:
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

    def _life_age(self, now: float) -> float:
        """Return for how long the peer's host has acknowledged nothing although it was sent something."""
        channel = self._database.channel
        if not channel.waiting or not _unacknowledged(channel.socket):
            self._acknowledged_at = now
            return 0.0
        return min(channel.unanswered_for(now), now - self._acknowledged_at)


def _unacknowledged(connection: socket.socket | None) -> int:
    """Return how many segments the other host has not acknowledged; any when the kernel cannot tell."""
    if connection is None:
        return 1
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED_LENGTH)
    except OSError:
        return 1
    return int(struct.unpack_from("I", info, _UNACKED_OFFSET)[0])
