"""The sessions of this side's clients, as the kernel knows them: VTEP daemons at the VIP, and controllers.

ovsdb-server and its probes take seconds to notice that a client is gone; the kernel tells at once whether what was sent
had to be sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ovsha.core.split_brain import Reach
from ovsha.errors import DriverError
from ovsha.net import sock_diag
from ovsha.ovsdb import endpoints
from ovsha.ovsdb.database import Manager

_COUNT_EVERY = 2.0
_LOOK_EVERY, _SOON = 0.1, 5.0  # a silence may end soon, and clients need a moment to find who takes over


class ClientSessions:
    """Counts these sessions, sees whether any client answers while the peer is silent, and cuts them.

    `vip`, `port`: where VTEP daemons connect to.  `managers`: the rows that say where the controllers listen.
    `server`: the process of ovsdb-server, None where it is not known; `no_controllers`: the addresses of the peer.
    `vteps`: how many VTEP daemons are attached; `trouble`: why they could not be counted, "" when they could.
    """

    def __init__(
        self,
        vip: str,
        port: int,
        managers: Callable[[], Iterable[Manager]],
        server: Callable[[], int | None] = lambda: None,
        no_controllers: Collection[str] = (),
    ) -> None:
        self.vteps = 0
        self.trouble = ""
        self.reach = Reach()
        self._vip, self._port, self._managers = vip, port, managers
        self._server, self._no_controllers = server, frozenset(no_controllers)
        self._looked_at = float("-inf")
        self._silent_since: float | None = None

    def run(self, now: float, active: bool, silent: bool, split: bool) -> None:
        """Look when it is time to, where our server is active; keep what was seen while both sides serve."""
        self._silent_since = (self._silent_since or now) if silent else None
        if not silent and not split:
            self.reach.forget()
        every = _LOOK_EVERY if self._silent_since is not None and now - self._silent_since < _SOON else _COUNT_EVERY
        passed = now - self._looked_at
        if not active or passed < every:
            return
        self._looked_at = now
        try:
            self.vteps = len(sock_diag.established(local_port=self._port))
            if silent:
                self.reach.look(self._answers(), min(passed, every))
            self.trouble = ""
        except DriverError as error:
            self.trouble = str(error)

    def controllers(self, answering: bool = False) -> int:
        """Count our server's sessions with controllers, or those with controllers elsewhere that answer.

        Raises DriverError when the kernel refuses.
        """
        return sum(not answering or (not each.retransmits and each.local != each.remote) for each in self._sessions())

    def cut(self) -> None:
        """Destroy all these sessions.  Raises DriverError when the kernel refuses."""
        sock_diag.destroy_tcp(local=self._vip, port=self._port)
        sock_diag.destroy(self._sessions(beginning=True))

    def cut_own(self) -> None:
        """Destroy this switch's own sockets to the VIP.  Raises DriverError when the kernel refuses."""
        sock_diag.destroy_tcp(remote=self._vip, port=self._port)

    def cut_stale(self) -> None:
        """Destroy our side's sockets to the VIP's former holder.  Raises DriverError when the kernel refuses."""
        # By which of our addresses we reached it is the routes' affair; who is at the VIP itself reaches it from there.
        sock_diag.destroy_tcp(remote=self._vip, port=self._port, abroad=True)

    def _answers(self) -> bool:
        """Whether a client on another host acknowledges what it is sent."""
        at_vip = sock_diag.established(local_port=self._port, answering=True, abroad=True)
        return bool(at_vip) or self.controllers(answering=True) > 0

    def _sessions(self, beginning: bool = False) -> list[sock_diag.Connection]:
        """Return the connections of all controllers that the Manager rows name, whichever way they are spelled."""
        wanted = endpoints.read_all(manager.target for manager in self._managers())
        owned = self._owned() if any(each.name for each in wanted) else None
        found: dict[bytes, sock_diag.Connection] = {}
        for remote_port, local_port in endpoints.ports(wanted):
            for each in sock_diag.between(remote_port, local_port, beginning):
                if any(self._of(target, each, owned) for target in wanted):
                    found[each.sockid] = each
        return list(found.values())

    def _of(self, target: endpoints.Target, each: sock_diag.Connection, owned: frozenset[int] | None) -> bool:
        met = target.met_by(each.local, each.local_port, each.remote, each.remote_port)
        if met is None:
            return (owned is None or each.inode in owned) and str(each.remote) not in self._no_controllers
        return met

    def _owned(self) -> frozenset[int] | None:
        """Return the sockets of our server, None where they cannot be told from others."""
        pid = self._server()
        try:
            return None if pid is None else sock_diag.inodes(pid)
        except OSError:
            return None
