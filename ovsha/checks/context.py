"""What checks and preflight look at: the configuration, what the agent says, this switch and its peer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ovsha.checks import survey
from ovsha.config import Config, read_key
from ovsha.config.values import bare
from ovsha.core.facts import Role
from ovsha.errors import DriverError
from ovsha.net import routes
from ovsha.ovsdb import endpoints, own_server
from ovsha.peer import rpc_client

START = "start it: systemctl start ovsha"


class Context:
    """One look at this switch; what several checks need is looked at once.

    `document`: what `ovsha status --json` prints, None when the agent does not answer, and then `trouble` says why.
    """

    def __init__(self, config: Config, document: dict[str, Any] | None, trouble: str = "") -> None:
        self.config = config
        self.document = document
        self.trouble = trouble

    @cached_property
    def server(self) -> own_server.OwnServer:
        """This switch's ovsdb-server, as it shows itself."""
        return own_server.look(self.config)

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
        return endpoints.peer_server_remote(self.config)

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


_SURVEY_LIMIT = 20.0
Address = IPv4Address | IPv6Address


@dataclass
class PreflightContext:
    """This switch, and the peer where it was asked.

    `survey`: what the peer's agent tells of its switch, None when it was not asked (then `asked` is false) or does
    not answer, and then `trouble` says why.
    """

    look: Context
    asked: bool = False
    quick: bool = False
    survey: dict[str, Any] | None = None
    trouble: str = ""

    @property
    def config(self) -> Config:
        """The configuration of this switch."""
        return self.look.config

    @property
    def peer(self) -> str:
        """The name of the other switch."""
        return self.config.peer

    @property
    def vip(self) -> Address:
        """The VIP."""
        return ip_address(str(self.config.vip.address))

    def address(self, node: str) -> Address:
        """Return the peer-link address of a node, without the zone of a link-local one."""
        return bare(self.config.nodes[node].peer_link)

    def backup(self, node: str) -> Address | None:
        """Return the address of a node on the backup path, None when there is none."""
        address = self.config.nodes[node].backup_path
        return None if address is None else ip_address(str(address))

    @cached_property
    def held(self) -> list[routes.Held]:
        """The addresses of this switch.  Raises DriverError."""
        return routes.held()

    def ask_peer(self) -> None:
        """Ask the peer's agent what its switch is made of; that it does not answer is a finding and no error."""
        self.asked = True
        try:
            self.survey = self.ask(survey.SURVEY, _SURVEY_LIMIT)
        except DriverError as error:
            self.trouble = str(error)

    def ask(self, method: str, limit: float) -> dict[str, Any]:
        """Return what the peer's agent answers.  Raises DriverError, and ConfigError for the pair key."""
        answer = rpc_client.ask(
            str(self.config.nodes[self.peer].peer_link),
            self.config.exchange.port,
            read_key(self.config.pair.key_file),
            method,
            {},
            limit,
        )
        if not isinstance(answer, dict):
            raise DriverError(f"{self.peer} answers {method} in a form of another release; upgrade both switches")
        return answer


def trunk(interface: str) -> str:
    """Return what an interface is a part of, by its name: peerlink of peerlink.4094."""
    return interface.partition(".")[0]
