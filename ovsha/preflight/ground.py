"""Hold what the items of the preflight look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ovsha import exchange
from ovsha.addresses import bare
from ovsha.checks import answers, net
from ovsha.checks.look import Look
from ovsha.config import Config, read_key
from ovsha.errors import DriverError

_SURVEY_LIMIT = 20.0
Address = IPv4Address | IPv6Address


@dataclass
class Ground:
    """This switch, and the peer where it was asked.

    `survey`: what the peer's agent tells of its switch, None when it was not asked (then `asked` is false) or does
    not answer, and then `trouble` says why.
    """

    look: Look
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
    def held(self) -> list[net.Held]:
        """The addresses of this switch.  Raises DriverError."""
        return net.held()

    def ask_peer(self) -> None:
        """Ask the peer's agent what its switch is made of; that it does not answer is a finding and no error."""
        self.asked = True
        try:
            self.survey = self.ask(answers.SURVEY, _SURVEY_LIMIT)
        except DriverError as error:
            self.trouble = str(error)

    def ask(self, method: str, limit: float) -> dict[str, Any]:
        """Return what the peer's agent answers.  Raises DriverError, and ConfigError for the pair key."""
        answer = exchange.ask(
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
