"""Hold what the checks look at: the configuration, what the agent says, and this switch itself."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ovsha import remotes
from ovsha.checks import ovsdb
from ovsha.config import Config
from ovsha.core.facts import Role

START = "start it: systemctl start ovsha"


class Look:
    """One look at this switch; what several checks need is looked at once.

    `document`: what `ovsha status --json` prints, None when the agent does not answer, and then `trouble` says why.
    """

    def __init__(self, config: Config, document: dict[str, Any] | None, trouble: str = "") -> None:
        self.config = config
        self.document = document
        self.trouble = trouble

    @cached_property
    def server(self) -> ovsdb.OwnServer:
        """This switch's ovsdb-server, as it shows itself."""
        return ovsdb.look(self.config)

    @property
    def own(self) -> dict[str, Any] | None:
        """This side as the agent knows it, None without an agent."""
        return self.document["sides"][self.config.node] if self.document else None

    @property
    def other(self) -> dict[str, Any] | None:
        """The peer as its last heartbeat told, None when there never was one, or no agent here."""
        return self.document["sides"].get(self.config.peer) if self.document else None

    @property
    def current(self) -> bool:
        """Whether the peer is heard now, so that `other` is true."""
        return self.other is not None and bool(self.other["current"])

    @property
    def idle(self) -> str:
        """Why the agent of this side carries out nothing just now: "paused", "advises", or "" when it acts."""
        mode = self.own["mode"] if self.own else "active"
        return {"active": "", "paused": "is paused", "advise": "only advises"}.get(mode, mode)

    @property
    def serves(self) -> bool | None:
        """Whether this side is to serve: as the agent says, or else by the server's role; None when nobody knows."""
        if self.own is not None:
            return bool(self.own["serving"])
        return None if self.server.role is None else self.server.role is Role.ACTIVE

    @property
    def source(self) -> str:
        """Where the peer's database is copied from, as "tcp:169.254.0.9:9999"."""
        return remotes.peer_server(self.config)

    @property
    def peers(self) -> frozenset[IPv4Address | IPv6Address]:
        """The addresses of the other side, which is no controller."""
        peer = self.config.nodes.get(self.config.peer)
        held = () if peer is None else (peer.peer_link, peer.backup_path)
        return frozenset(ip_address(str(each)) for each in held if each is not None)

    @property
    def without_agent(self) -> str:
        """What is to be added to a sentence that would say more if the agent ran."""
        return "" if self.document else " (seen without the agent, which does not answer)"
