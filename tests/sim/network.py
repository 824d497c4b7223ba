"""What lies between the two simulated switches: two paths of datagrams, and TCP over the peer link.

A datagram can be late, lost, doubled, overtaken or sent again seconds later; a path can be
cut in one direction.  TCP loses nothing: it works or, cut, is silent, and its sessions end
only when somebody ends them.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.clock import Clock

LINK, BACKUP = "peer-link", "backup-path"
NODES = ("sw1", "sw2")

_SOON, _OVERTAKEN, _STALE = 0.005, 0.15, 5.0


class Network:
    """The paths; `changed_at` is when one was last cut or healed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.changed_at = 0.0
        self.loss, self.doubled, self.overtaken, self.repeated = 0.0, 0.02, 0.05, 0.0
        self.cuts: set[tuple[str, str]] = set()  # (path, sender)
        self.tcp_cut = False
        self.filtered: set[str] = set()  # whose server's copying a firewall lets pass nothing of
        self.carrier = True
        self.no_uplink: set[str] = set()  # who does not reach the controller
        self.misled: set[str] = set()  # whose replication address of the peer leads back to itself

    def cut(self, path: str, sender: str | None = None, *, tcp: bool = True, carrier: bool = False) -> None:
        """Cut a path, or one direction of it, with or without TCP and the carrier."""
        self.changed_at = self._clock.now
        self.cuts |= {(path, node) for node in NODES if sender in (None, node)}
        if path == LINK:
            self.tcp_cut = self.tcp_cut or tcp
            self.carrier = self.carrier and not carrier

    def heal(self, path: str) -> None:
        """Mend a path."""
        self.changed_at = self._clock.now
        self.cuts = {cut for cut in self.cuts if cut[0] != path}
        if path == LINK:
            self.tcp_cut, self.carrier = False, True

    def heal_all(self) -> None:
        """Mend everything."""
        for path in (LINK, BACKUP):
            self.heal(path)
        self.loss, self.doubled, self.overtaken, self.repeated = 0.0, 0.02, 0.05, 0.0
        self.no_uplink.clear()
        self.misled.clear()
        self.filtered.clear()

    def carries(self, path: str, sender: str) -> bool:
        """Tell whether what `sender` sends over this path arrives, if it is not lost by chance."""
        return (path, sender) not in self.cuts

    def send(self, path: str, sender: str, arrive: Callable[[], None]) -> None:
        """Carry a datagram: late, twice or not at all."""
        clock = self._clock
        if not self.carries(path, sender) or clock.chance(self.loss):
            return
        for _ in range(2 if clock.chance(self.doubled) else 1):
            clock.after(clock.between(0.0002, _OVERTAKEN if clock.chance(self.overtaken) else _SOON), arrive)
        if self.repeated and clock.chance(self.repeated):
            clock.after(clock.between(0.0, _STALE), arrive)
