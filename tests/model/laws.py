"""The laws of the pair, as the small model checks them; their numbers are those of the design.

1. *At most one side serves.*  Two never serve, not for one step, unless before that a server
   was out of the reach of every witness of the other side for a tick: no heartbeat of its
   agent could pass, and no TCP session to it.  That takes both paths cut, or one path cut and
   the agent behind it dead or its heartbeats lost.  (The state is `blind` from then on, until
   the two sides hear each other again and no more than one of them has begun to serve.)  Two
   sides that hear each other have settled who serves before the tick is over; and a side that
   hears that the other serves never begins to, unless it won a split.
2. *Newer data is never overwritten by older data.*  What a server is connected to is of known
   lineage, not of an older term and not empty where ours is not; what is erased is in a
   snapshot.  Only a server whose agent is dead, or has only just been started, may reconnect by
   itself to what nobody looked at.  And nobody is given the service while the other side
   is heard to have newer data.
3. *Nothing half-copied is promoted*, nor serves.
4. *A planned move loses nothing.*  When a side is promoted for a switchover or a restore, it
   has all acknowledged writes that the other side has.

8. *Who ordered a move is known to both sides at its end*: what an operator ordered is not counted
   as a move without an order, and what nobody ordered is.

Law *of progress*: see small_rest.py; and the terms do not run away.
"""

from __future__ import annotations

from ovsha.core.handover import PLANNED
from ovsha.core.lineage import term_of
from ovsha.core.transition import Step
from tests.model.state import DATA, DEAD, NODES, ORDERS, RECORDS, RETRIES, Data, Order, Side, State, serves
from tests.model.turn import Outcome

OPENING = (Step.PROMOTE, Step.OPEN_MANAGERS, Step.ADD_VIP, Step.OPEN_LISTENER)
HIGHEST_TERM = 12
"""No few faults make a pair promote that often."""

_PLANNED = {kind.value for kind in PLANNED}


class LawBroken(AssertionError):
    """A law of the pair does not hold: in state `begin`, or after `action` in it."""

    begin: int = 0
    action: tuple[str, int] | None = None


def hears(side: Side) -> bool:
    """Tell whether this side's agent runs and hears the other."""
    return bool(side.memory) and 0 <= side.heard < DEAD


def check(state: State) -> None:
    """Check what holds in every state."""
    one, two = state.sides
    if not state.blind and serves(one) and serves(two):
        raise LawBroken("1: both sides serve, and neither was out of the other's reach")
    for node, side in zip(NODES, state.sides, strict=True):
        if term_of(DATA.values[side.data].stamp) > HIGHEST_TERM:
            raise LawBroken(f"of progress: {node} opens one term after the other")
        if side.half and serves(side):
            raise LawBroken(f"3: {node} serves although its copy is not complete")


def check_settled(state: State) -> None:
    """Check what holds when all messages have arrived and both agents have done what they can do."""
    if all(serves(side) and hears(side) for side in state.sides):
        raise LawBroken("1: both sides serve although they hear each other and have had their time")


def check_beginning(state: State, n: int, outcome: Outcome) -> None:
    """Check that a side that begins to serve may."""
    record = RECORDS.values[state.sides[n].record]
    if outcome.step not in OPENING or record is None or not outcome.hears:
        return
    if record.serving and outcome.rule != "split-won":
        raise LawBroken(f"1: {NODES[n]} begins to serve although it hears that the peer does")
    if outcome.step is Step.PROMOTE and record.term > term_of(DATA.values[state.sides[n].data].stamp):
        raise LawBroken(f"2: {NODES[n]} begins to serve although it hears of data of term {record.term}")


def check_promotion(state: State, n: int) -> None:
    """Check the order to promote that is carried out now."""
    own, other = state.sides[n], state.sides[1 - n]
    order, ours, theirs = ORDERS.values[own.order], DATA.values[own.data], DATA.values[other.data]
    if own.half:
        raise LawBroken(f"3: {NODES[n]} is promoted although its copy is not complete")
    if order.rule != "granted":
        return
    if order.kind in _PLANNED and theirs.rows & ~ours.rows & state.written:
        raise LawBroken(f"4: a planned move to {NODES[n]} leaves an acknowledged write behind")
    if order.kind == "start" and other.running and _age(theirs) > _age(ours):
        raise LawBroken(f"2: {NODES[n]} is given the service although its data is older")


def by_order(order: Order) -> bool | None:
    """Tell whether an operator wants the promotion, None where the sides settle between them who goes on."""
    if order.rule == "granted":
        return None if order.kind == "start" else order.kind in ("switchover", "resolve")
    return order.rule in ("forced", "resolved")


def check_counting(state: State, n: int, outcome: Outcome) -> None:
    """Check that a move whose end side `n` sees now is counted when nobody ordered it, and only then."""
    if outcome.arrived:
        ordered = state.sides[NODES.index(outcome.arrived)].came
        if ordered is outcome.counted:
            taken = "one without an order" if outcome.counted else "an ordered one"
            raise LawBroken(f"8: {NODES[n]} takes the move to {outcome.arrived} for {taken}")


def check_erasing(state: State, n: int) -> None:
    """Check that what is erased now is kept, and is not newer than what replaces it."""
    own, ours, theirs = state.sides[n], DATA.values[state.sides[n].data], DATA.values[state.sides[1 - n].data]
    watched = own.memory and own.heard >= 0
    if own.copying == RETRIES and not watched:
        return
    if theirs.stamp is None:
        raise LawBroken(f"2: {NODES[n]} copies a database of unknown lineage")
    if term_of(theirs.stamp) < term_of(ours.stamp):
        raise LawBroken(f"2: {NODES[n]} copies term {theirs.stamp.term} over term {term_of(ours.stamp)}")
    if theirs.empty and not ours.empty:
        raise LawBroken(f"2: {NODES[n]} copies an empty database over its own")
    if own.copying != RETRIES and not own.shot and not own.half:
        raise LawBroken(f"2: {NODES[n]} is erased without a snapshot")


def _age(data: Data) -> tuple[int, tuple[int, int]]:
    return term_of(data.stamp), data.token or (0, 0)
