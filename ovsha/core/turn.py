"""Take one turn of one side: from what is known to what is to be done.

The agent calls `turn` with facts from its drivers, the simulation with facts of a world
it invents, `explain` with facts that were recorded.  The same view and memory always give
the same decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ovsha.core import behind, belief, damping, election, handover, lineage, transition
from ovsha.core.election import Goal, Rule
from ovsha.core.facts import Kind, Presence, Record, Role, Stamp, State, Token
from ovsha.core.liveness import link_lost, only_the_agent_is_silent, presence
from ovsha.core.situation import Situation
from ovsha.core.transition import Step
from ovsha.core.view import Memory, View, remember


@dataclass(frozen=True, slots=True)
class Decision:
    """What one turn came to: what to remember, the rule that decided, the next step, what to tell the peer.

    `view`: what it was taken on, with what is believed of the databases.  `opening`: the stamp for `Step.STAMP`.
    `barrier`: the token for `Step.COMMIT_TOKEN`, None when there is none to commit; `above`: the one for `Step.HEAL`.
    `would`: the steps that are left and that this side does not take because its mode is not active, and `would_ask`:
    why it would ask for the service.
    """

    memory: Memory
    rule: Rule
    why: str
    step: Step | None
    state: State
    presence: Presence
    record: Record
    opening: Stamp
    barrier: Token | None
    view: View = field(compare=False)
    above: Token | None = None
    would: tuple[Step, ...] = ()
    would_ask: Kind | None = None


def turn(view: View, memory: Memory) -> Decision:
    """Return the decision for what is known now."""
    case = settled(view, memory)
    rule = election.decide(case)
    case = replace(case, memory=_resolve(case, rule))
    step = None if case.idle else transition.next_step(rule.goal, case)
    if step is Step.HEAL:
        case = replace(case, memory=belief.healing(case.memory, view.now))
    why, state = rule.sentence(case), _state(case, rule)
    return Decision(
        memory=case.memory,
        rule=rule,
        why=why,
        step=step,
        state=state,
        presence=case.presence,
        record=_record(case, state, why),
        opening=Stamp(transition.opening_term(case), view.settings.node, _chosen_by_operator(case)),
        barrier=case.memory.grant.barrier if case.memory.grant else None,
        view=case.view,
        above=belief.above(case),
        would=transition.steps_left(rule.goal, case) if case.idle else (),
        would_ask=handover.reason_to_ask(case) if case.idle else None,
    )


def settled(view: View, memory: Memory) -> Situation:
    """Return the moment as the rules are asked about it, with what is believed of the databases."""
    memory = remember(memory, proof=belief.kept(view, memory))
    view = belief.believed(view, memory)
    case = Situation(view, memory, Presence.NEVER)
    case = replace(case, memory=_notice(case))
    case = replace(case, presence=presence(view, case.memory))
    case = replace(case, memory=_meet(case))
    case = replace(case, memory=damping.order_noticed(case))
    case = replace(case, memory=behind.watch(view, case.memory, case.presence))
    case = replace(case, memory=damping.count_move(case))
    case = replace(case, memory=_watch_copy(case))
    case = replace(case, memory=remember(belief.calmed(case), proof=belief.proven(case)))
    return replace(case, memory=handover.advance(case))


def _notice(c: Situation) -> Memory:
    """Remember the highest term, the peer's newest lineage, that its server was lost, and that we slept."""
    memory, view = c.memory, c.view
    stamp = c.known_stamp
    term = max(memory.term, lineage.term_of(view.server.stamp), lineage.term_of(stamp), c.peer.term)
    memory = remember(memory, term=term, peer_stamp=stamp)
    memory = remember(memory, severed=c.following and (memory.severed or view.source.closed))
    if c.preferred != view.settings.node:
        memory = remember(memory, unpreferred_at=view.now)
    if view.woke:
        memory = remember(memory, awake=view.now, lapsed=True, ask=None)
    return memory


def _meet(c: Situation) -> Memory:
    """Remember that the peer was met, since when its agent or the link is silent, and that the two have agreed."""
    memory = c.memory
    if c.alive:
        long_awake = c.view.now - memory.awake >= 2 * c.view.settings.dead_interval
        lapsed = memory.lapsed and (c.serving is c.peer_serving or not long_awake)
        link = c.view.link_silent_for
        link_works = link is not None and link < c.view.settings.dead_interval
        lost_at = None if link_works else c.view.now if memory.link_lost_at is None else memory.link_lost_at
        memory = remember(memory, silent_since=None, link_lost=False)
        return remember(memory, met=True, founding=False, lapsed=lapsed, link_lost_at=lost_at)
    # A stranger in the peer's place counts as met once its database, which may be newer than ours, has been read.
    met = memory.met or (c.view.estranged is not None and c.view.source.loaded)
    memory = remember(memory, link_lost_at=None, met=met, founding=memory.founding and not met)
    memory = remember(memory, link_lost=link_lost(c.view, memory))
    if memory.silent_since is None and only_the_agent_is_silent(c.view):
        return remember(memory, silent_since=c.view.now)
    return memory


def _watch_copy(c: Situation) -> Memory:
    """Remember what our database held, and whether ovsdb-server gives its copies up by making itself active."""
    memory, server = c.memory, c.view.server
    token, held = server.token, memory.held
    newer = held is None or (token is not None and token > held)
    if belief.coherent(server.stamp, token) and (newer or c.in_sync or (c.serving and not c.rolled_back)):
        memory = remember(memory, held=token)
    if c.following:
        failed = 0 if c.in_sync else memory.failed_copies
        return remember(memory, copying=not c.in_sync, failed_copies=failed)
    gave_up = memory.copying and server.role is Role.ACTIVE and memory.ordered is Role.BACKUP
    return remember(memory, copying=False, failed_copies=memory.failed_copies + gave_up)


def _resolve(c: Situation, rule: Rule) -> Memory:
    """Remember the role that was ordered, the term that is being opened, since when we serve or are stuck."""
    memory, now, goal = c.memory, c.view.now, rule.goal
    if c.serving and memory.active_since is None and memory.ordered is not Role.ACTIVE:
        # Found, and not begun by us: somebody started a server that serves by itself.
        memory = remember(memory, lapsed=True, by_order=None)
    since = (memory.active_since or now) if c.serving else None
    stuck = None if rule.asks is None else now if memory.stuck_since is None else memory.stuck_since
    memory = remember(memory, active_since=since, stuck_since=stuck)
    if c.idle:
        return remember(memory, ordered=None, claim=None)  # it has begun nothing that it would have to finish
    if goal is Goal.SERVE:
        if not c.serving and (memory.ordered is not Role.ACTIVE or rule.name in damping.RULES):
            memory = damping.order_begun(replace(c, memory=memory), rule.name)
        claim = None if transition.stamped(c) else transition.opening_term(c)
        # Only a service that was held through a gap has lapsed; one that begins now begins on what is known now.
        return remember(memory, ordered=Role.ACTIVE, claim=claim, lapsed=memory.lapsed and c.serving)
    if goal in (Goal.FOLLOW, Goal.PARK):
        return remember(memory, ordered=Role.BACKUP, claim=None)
    if goal is Goal.KEEP:
        return memory
    return remember(memory, ordered=None, claim=None)


def _state(c: Situation, rule: Rule) -> State:
    since = c.memory.stuck_since
    if rule.goal is Goal.FENCE:
        return State.FAULT
    if rule.asks is not None and since is not None and c.view.now - since >= rule.asks:
        return State.NEEDS_DECISION
    if c.serving and (c.open_to_all or c.undriven):
        return State.ACTIVE
    return State.BACKUP if c.following else State.INIT


def _chosen_by_operator(c: Situation) -> bool:
    """Tell whether the service comes to this side because an operator wants it here."""
    return c.memory.chosen and c.configured != c.view.settings.node


def _record(c: Situation, state: State, why: str) -> Record:
    server, view, memory, lacks = c.view.server, c.view, c.memory, c.behind
    return replace(
        c.record(),
        state=state,
        term=memory.term,
        life=server.life,
        role=server.role,
        source=server.source,
        replicating=server.replicating,
        serving=c.serving,
        vip=view.vip.present,
        listener=server.listener_open,
        managers=server.managers_open,
        stamp=server.stamp,
        token=server.token,
        empty=server.empty,
        in_sync_for=view.copy.in_sync_for if c.in_sync else None,
        lag=view.copy.lag,
        mlag=view.clag.role,
        link_up=view.vip.link_up,
        keep=memory.keep,
        decision=why[:200] if state is State.NEEDS_DECISION else "",
        ask=memory.ask,
        grant=memory.grant,
        offer=memory.offer,
        reason=memory.reason,
        refusal=memory.refusal,
        why=why,
        estranged=view.estranged is not None and not c.alive,
        mode=view.mode,
        mode_left=view.mode_left,
        restore=memory.restore,
        by_order=memory.by_order if c.serving else None,
        overwritten=server.written is not None and server.role is Role.ACTIVE and memory.grant is None,
        behind=None if lacks is None or lacks.passing or c.in_sync else lacks.age,
    )
