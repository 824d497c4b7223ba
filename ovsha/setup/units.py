"""Have our own services run the server and the agent, in the place of those that start a server in their own way."""

from __future__ import annotations

from ovsha.setup.services import Services

SERVER, AGENT = "ovsha-ovsdb-server.service", "ovsha.service"
OTHERS = (
    "openvswitch-vtep.service",
    "openvswitch-switch.service",
    "ovs-vswitchd.service",
    "ovsdb-server.service",
)
"""Cumulus' and Debian's: each starts a server that is active and writable at once."""


def others(services: Services) -> list[str]:
    """Return those of them that run or are started at boot.  Raises DriverError."""
    there = [unit for unit in OTHERS if services.exists(unit)]
    return [unit for unit in there if services.is_active(unit) or services.is_enabled(unit)]


def set_up(services: Services, unit: str) -> bool:
    """Tell whether a unit runs and is started at boot.  Raises DriverError."""
    return services.exists(unit) and services.is_active(unit) and services.is_enabled(unit)


def begin(services: Services, unit: str) -> None:
    """Have a unit started, now and at boot.  Raises DriverError."""
    services.enable(unit)
    services.start(unit)
