"""Say which keys decide when the service moves, waits or is held: intervals, delays and limits are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ovsha import config_values as read
from ovsha.config_keys import key


@dataclass(frozen=True, kw_only=True)
class Restore:
    """How the original primary gets the service back after a failover."""

    mode: Literal["automatic", "manual"] = key(
        "Whether the original primary asks for the service by itself (automatic) or waits for the operator (manual).",
        read.choice("automatic", "manual"),
        "automatic",
    )
    delay: float = key("How long it must have been in sync before it asks.", read.seconds(0, 604800), 30.0)


@dataclass(frozen=True, kw_only=True)
class Failover:
    """A move of the service that nobody ordered and to which the other side does not consent, because it cannot."""

    max_behind: float | None = key(
        "How far a copy may be behind what is known of the peer's data and still serve unasked; null for no limit.",
        read.seconds_or_null(0, 604800),
        60.0,
    )


@dataclass(frozen=True, kw_only=True)
class Handover:
    """A planned move of the service."""

    timeout: float = key("How long each step may take before the move is called off.", read.seconds(0.1, 600), 5.0)


@dataclass(frozen=True, kw_only=True)
class LinkCut:
    """A peer link that is cut while both switches live."""

    hold: float = key(
        "How long the peer link must be cut before the clagd primary asks for the service.",
        read.seconds(0, 600),
        3.0,
    )


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When the peer's data is refused, and an operator asked, because too little is left of it."""

    min_share: float = key(
        "The share of our database's cells that the peer's must have to be copied over ours.",
        read.share,
        0.5,
    )
    min_cells: int = key(
        "The number of cells, rows times columns, below which our database is not compared.",
        read.whole(0, 1_000_000_000),
        1000,
    )


@dataclass(frozen=True, kw_only=True)
class Damping:
    """How often the service may move without an operator's order before restores are held."""

    moves: int = key("After so many moves within the window, the service is not given back.", read.whole(1, 1000), 6)
    window: float = key("The window in which moves are counted.", read.seconds(1, 604800), 3600.0)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A pause, in which the agent of this switch watches and reports and changes nothing."""

    limit: float = key(
        "How long a pause may last; it ends by itself then, with an alarm.", read.seconds(1, 604800), 3600.0
    )
