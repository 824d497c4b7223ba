"""What happens in the small model beside ovsdb-server's own doings: the agents' turns, faults and their ends, time."""

from __future__ import annotations

from dataclasses import replace

from ovsha.core.transition import Step
from ovsha.core.view import Memory
from tests.model.laws import check_beginning, check_counting, check_settled, hears
from tests.model.server import (
    behind,
    kill_server,
    put,
    seen,
)
from tests.model.state import (
    DATA,
    DEAD,
    DISKS,
    FOLLOWS,
    HANDOVER,
    LOST,
    MEMORIES,
    NO_AGENT,
    NOW,
    ORDERS,
    RECORDS,
    RESTORE,
    RETRIES,
    SILENCE,
    STUCK,
    Disk,
    Order,
    Side,
    State,
    aged_memory,
    plain_memory,
)
from tests.model.turn import decide

_AT_ONCE: dict[Step | None, dict[str, object]] = {
    Step.ADD_VIP: {"vip": True, "stale": True}, Step.DROP_VIP: {"vip": False, "stale": False},
    Step.CUT_STALE: {"stale": False}, Step.FENCE_SERVER: {},
}  # fmt: skip


def turn(state: State, n: int) -> State:
    """Let the agent look, decide, do what is done at once, and order the rest."""
    for _ in range(12):
        s, outcome = state.sides[n], decide(state, n)
        check_beginning(state, n, outcome)
        check_counting(state, n, outcome)
        changed: dict[str, object] = {}
        if outcome.memory != s.memory:
            changed["memory"] = outcome.memory
        if outcome.record != s.out:
            changed |= {"out": outcome.record, "due": state.cut < 2}
        step = outcome.step
        if step in _AT_ONCE:
            changed |= _AT_ONCE[step]
        elif step is not None and step is not Step.RESERVE_TERM and not s.order and s.running:
            stamp = outcome.opening if step is Step.STAMP else None
            barrier = outcome.barrier if step is Step.COMMIT_TOKEN else None
            reason = (outcome.rule, outcome.kind) if step is Step.PROMOTE else ("", "")
            changed["order"] = ORDERS.number(Order(step, stamp, barrier, *reason))
        if changed:
            state = put(state, n, **changed)
        if step not in _AT_ONCE or step is Step.FENCE_SERVER:
            break
    s = state.sides[n]
    if s.token_due and outcome.token_base is not None and _token_tells(state, n):
        state = put(state, n, token=outcome.token_base, token_due=False)
    return state


def _token_tells(state: State, n: int) -> bool:
    """Tell whether one more token says anything: of a write, or that the other copy is behind by three."""
    data, peer = DATA.values[state.sides[n].data], state.sides[1 - n]
    if data.rows != data.marked:
        return True
    other = DATA.values[peer.data]
    if peer.copying == FOLLOWS or other.stamp != data.stamp or other.token is None or data.token is None:
        return False
    return data.token[0] == other.token[0] and data.token[1] - other.token[1] < 3


def wanted_disk(side: Side) -> int:
    """Return what the agent wants to be on disk."""
    disk, memory = DISKS.values[side.disk], MEMORIES.values[side.memory]
    reserved = max(disk.reserved, memory.term + 1)
    return DISKS.number(Disk(memory.term, reserved, memory.peer_stamp, memory.met or disk.met))


def deliver(state: State, n: int) -> State:
    """Bring the newest heartbeat of side `n` to the other side."""
    changed: dict[str, object] = {"record": state.sides[n].out, "heard": 0}
    if state.cut == 0:
        changed["link"] = 0
    return put(put(state, n, due=False), 1 - n, **changed)


# What breaks, and what ends that.


def kill_agent(state: State, n: int) -> State:
    return put(state, n, **NO_AGENT)


def start_agent(state: State, n: int) -> State:
    disk = DISKS.values[state.sides[n].disk]
    memory = Memory("x", disk.term, met=disk.met, peer_stamp=disk.peer_stamp, awake=NOW)
    return put(state, n, memory=MEMORIES.number(plain_memory(memory)), token_due=True)


def power_off(state: State, n: int) -> State:
    state = put(state, n, power=False)
    disk = DISKS.number(DISKS.values[state.sides[n].disk]._replace(met=False))
    return put(kill_agent(kill_server(state, n), n), n, vip=False, disk=disk)


def power_on(state: State, n: int) -> State:
    return put(state, n, power=True)


def cut(state: State, paths: int) -> State:
    state = state._replace(cut=paths)
    return state if paths < 2 else put(put(state, 0, due=False), 1, due=False)


def lose(state: State, n: int) -> State:
    """Lose every heartbeat of side `n` until the next tick."""
    state = put(state, n, due=False)
    return state._replace(blind=state.blind or (state.cut > 0 and state.sides[n].running))


def switchover(state: State, n: int, told: int) -> State:
    """Have the operator order the service to side `n`, on side `told`."""
    memory = MEMORIES.values[state.sides[told].memory]
    wanted, offer = ("order", None) if n == told else (None, "order")
    changed = replace(memory, wanted=wanted, offer=offer, wanted_until=NOW + HANDOVER)
    return put(state, told, memory=MEMORIES.number(plain_memory(changed)))


def may_switch(told: Side, ours: bool) -> bool:
    """Tell whether the agent of `told` takes the operator's order, as Agent.order_switchover does."""
    if not hears(told) or not told.record or not told.out:
        return False
    target, giver = (told.out, told.record) if ours else (told.record, told.out)
    return RECORDS.values[giver].serving and RECORDS.values[target].in_sync_for is not None


# All of it.


_AGED: dict[int, int] = {}


def tick(state: State) -> State:
    """Let a second pass."""
    check_settled(state)
    one, two = (_later(state, n) for n in (0, 1))
    mute = any(_mute(state, n) for n in (0, 1))
    begun = one.active + two.active
    agreed = all(side.memory and 0 <= side.heard <= 1 for side in (one, two)) and begun <= 1 and state.cut == 0
    return seen(state._replace(sides=(one, two), blind=mute or (state.blind and not agreed)))


def _mute(state: State, n: int) -> bool:
    """Tell whether no witness of the other side can hear of server `n`, which runs."""
    s = state.sides[n]
    return s.running and state.cut > 0 and (state.cut == 2 or not s.memory)


def _later(state: State, n: int) -> Side:
    s, peer = state.sides[n], state.sides[1 - n]
    changed: dict[str, object] = {}
    if s.copying == STUCK and state.cut == 0 and peer.power:
        changed["copying"] = LOST
    if s.copying == LOST:
        changed["copying"] = RETRIES
    if s.memory:
        heard, link = (min(age + 1, limit) if age >= 0 else age for age, limit in ((s.heard, 2 * DEAD), (s.link, DEAD)))
        memory = _AGED.get(s.memory)
        if memory is None:
            memory = _AGED[s.memory] = MEMORIES.number(aged_memory(MEMORIES.values[s.memory]))
        changed |= {"memory": memory, "heard": heard, "link": link, "token_due": True}
        changed["due"] = bool(s.out) and peer.memory != 0 and state.cut < 2
        if s.source is not None and s.source.age >= 0:
            unseen = state.cut > 0 or not peer.power
            late = unseen or behind(DATA.values[s.data], DATA.values[s.source.data])
            changed["sync"] = -1 if late or s.sync < 0 else min(s.sync + 1, RESTORE)
            age = s.source.age + unseen
            changed["source"] = s.source._replace(age=age) if age < SILENCE else None
    return s._replace(**changed)  # type: ignore[arg-type]


def order_switchover(state: State, n: int) -> State:
    """Have the operator order the service to side `n`, there."""
    return switchover(state, n, n)


def offer_switchover(state: State, n: int) -> State:
    """Have the operator order the service to side `n`, on the other side."""
    return switchover(state, n, 1 - n)


def read(state: State, n: int) -> State:
    """Let the agent have read role and rows of its server."""
    return put(state, n, read=True)


def save(state: State, n: int) -> State:
    """Let what the agent wants to keep reach the disk."""
    return put(state, n, disk=wanted_disk(state.sides[n]))
