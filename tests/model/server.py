"""The ovsdb-server of the small model, with the traps that cost data.

* To connect it as a backup erases it, and the copy comes in a second transaction, so that its
  death in between leaves it empty.
* A backup that lost its source connects again by itself, after a tick.
* Replication is asynchronous: commits wait on their way, and die with the source.
* It starts parked; remotes do not survive a restart, and an open one survives a change of role.
"""

from __future__ import annotations

from ovsha.core.transition import Step
from tests.model.laws import by_order, check_erasing, check_promotion
from tests.model.state import (
    DATA,
    FOLLOWS,
    HALF,
    LOST,
    NONE,
    ORDERED,
    ORDERS,
    PARKED,
    STUCK,
    Data,
    Session,
    Side,
    State,
)

LONGEST_PIPE = 3
OVER = 0  # in a pipe: the session has ended behind what was received
_REMOTES: dict[Step, dict[str, bool]] = {
    Step.OPEN_MANAGERS: {"managers": True}, Step.CLOSE_MANAGERS: {"managers": False},
    Step.OPEN_LISTENER: {"listener": True}, Step.CLOSE_LISTENER: {"listener": False},
}  # fmt: skip


def put(state: State, n: int, **changed: object) -> State:
    """Return the state with side `n` changed, and with what the agents' sessions show of that."""
    sides = list(state.sides)
    sides[n] = sides[n]._replace(**changed)
    return seen(state._replace(sides=(sides[0], sides[1])))


def seen(state: State) -> State:
    """Bring the agents' sessions up to date: what can be seen is seen at once."""
    sides = state.sides
    for n in (0, 1):
        s, peer = sides[n], sides[1 - n]
        source = s.source
        if source is not None and s.memory and peer.power and state.cut == 0:
            if not peer.running or source.dead:
                source = None
            elif source.age >= 0:
                source = Session(0, peer.active, peer.data)
        sync = _sync(s, source)
        if source != s.source or sync != s.sync:
            s = s._replace(source=source, sync=sync)
            sides = (s, peer) if n == 0 else (peer, s)
    return state if sides is state.sides else state._replace(sides=sides)


def _sync(s: Side, source: Session | None) -> int:
    """Return for how many ticks the copy is in sync, as ovsha.core.lineage finds it."""
    if s.active or not s.running or not s.read or s.copying == PARKED or source is None or source.age < 0:
        return -1
    own, other = DATA.values[s.data], DATA.values[source.data]
    if own.stamp is None or own.stamp != other.stamp:
        return -1
    if s.sync < 0 and not behind(own, other):
        return 0
    return s.sync


def behind(own: Data, other: Data) -> bool:
    return (own.token or (0, 0)) < (other.token or (0, 0))


def hold(state: State, n: int, data: Data) -> State:
    """Change what the database of side `n` holds; who copies it is sent the change."""
    number = DATA.number(data)
    if number == state.sides[n].data:
        return state
    state = put(state, n, data=number, shot=False)
    peer = state.sides[1 - n]
    if peer.copying == FOLLOWS or (peer.copying == HALF and peer.pipe[-1] != OVER):
        state = put(state, 1 - n, pipe=(*peer.pipe[:1], *(*peer.pipe[1:], number)[-LONGEST_PIPE:]))
    return state


def leave(state: State, n: int) -> State:
    """End the session of the server that copies side `n`; what is on its way is lost."""
    peer = state.sides[1 - n]
    if peer.copying == HALF:
        return put(state, 1 - n, pipe=(*peer.pipe, OVER))
    if peer.copying != FOLLOWS:
        return state
    return put(state, 1 - n, copying=LOST if _connected(state) else STUCK, pipe=())


def _connected(state: State) -> bool:
    return state.cut == 0 and state.sides[0].power and state.sides[1].power


def connect_session(state: State, n: int) -> State:
    """Let the agent open its session to the peer's server."""
    peer = state.sides[1 - n]
    return put(state, n, source=Session(0, peer.active, peer.data))


def carry_out(state: State, n: int) -> State:
    """Let ovsdb-server do what it was ordered."""
    s = state.sides[n]
    order, data = ORDERS.values[s.order], DATA.values[s.data]
    step = order.step
    if step is Step.PROMOTE:
        check_promotion(state, n)
        return put(state, n, order=0, active=True, copying=NONE, pipe=(), saved=False, came=by_order(order))
    state = put(state, n, order=0)
    if step in (Step.PARK_SERVER, Step.CONNECT):
        state = leave(state, n) if s.active else state
        copying = PARKED if step is Step.PARK_SERVER else ORDERED
        return put(state, n, active=False, copying=copying, pipe=(), saved=s.saved and copying == s.copying)
    if step is Step.SNAPSHOT:
        return put(state, n, shot=True, saved=not s.active and s.copying == PARKED)
    if step in _REMOTES:
        return put(state, n, **_REMOTES[step])
    if not s.active:
        return state  # not allowed when database server is in read only mode
    if step is Step.STAMP and order.stamp is not None:
        return hold(state, n, data._replace(stamp=order.stamp, token=(order.stamp.term, 0), marked=data.rows))
    return hold(state, n, data._replace(token=order.barrier, marked=data.rows))


def commit_token(state: State, n: int) -> State:
    """Commit the token that the agent sent."""
    s = state.sides[n]
    state = put(state, n, token=None)
    if not s.active:
        return state
    data = DATA.values[s.data]
    return hold(state, n, data._replace(token=s.token, marked=data.rows))


def erase(state: State, n: int) -> State:
    """Connect to the source, receive what it holds, and delete everything of our own."""
    check_erasing(state, n)
    state = put(state, n, copying=HALF, half=True, pipe=(state.sides[1 - n].data,))
    return hold(state, n, Data(empty=True))


def fill(state: State, n: int) -> State:
    """Insert what was received."""
    pipe = state.sides[n].pipe
    copying, left = (LOST, ()) if pipe[-1] == OVER else (FOLLOWS, pipe[1:])
    return hold(put(state, n, copying=copying, half=False, pipe=left), n, DATA.values[pipe[0]])


def apply(state: State, n: int) -> State:
    """Receive the next commit of the source."""
    s = state.sides[n]
    return hold(put(state, n, pipe=s.pipe[1:]), n, DATA.values[s.pipe[0]])


def write(state: State, n: int) -> State:
    """Take a controller's write, and acknowledge it."""
    data, bit = DATA.values[state.sides[n].data], state.written + 1
    state = state._replace(written=state.written | bit)
    return hold(state, n, data._replace(rows=data.rows | bit, empty=False))


def kill_server(state: State, n: int) -> State:
    down: dict[str, object] = {
        "running": False, "active": False, "copying": NONE, "managers": False, "listener": False, "pipe": (),
        "order": 0, "token": None, "read": False, "saved": False,
    }  # fmt: skip
    source = state.sides[1 - n].source
    if source is not None and source.age >= 0:
        state = put(state, 1 - n, source=source._replace(dead=True))
    return put(leave(state, n), n, **down)


def start_server(state: State, n: int) -> State:
    return put(state, n, running=True, copying=PARKED)
