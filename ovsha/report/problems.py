"""Find what is wrong with the parts that a pair is made of, and on the wires between the two sides.

Each function yields what it found and what to do, for the rows of ovsha.report.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ovsha.core import belief
from ovsha.core.facts import Life, Mode, Record, Role
from ovsha.core.situation import USABLE
from ovsha.protocol import conflicts
from ovsha.protocol.conflicts import Names
from ovsha.protocol.path import PathState
from ovsha.report.assessment import Assessment, PathReport, StatusInputs
from ovsha.words import ago, span

Finding = tuple[str, str]

_SETTLED = 10.0
"""Seconds for which a side must have been active before somebody is missed who has yet to connect."""


def server_down(m: Assessment) -> Iterator[Finding]:
    """Yield each ovsdb-server that does not run."""
    for side in m.sides:
        if side.life is Life.DOWN:
            do = f"on {side.node}: `systemctl start ovsha-ovsdb-server`"
            if m.case.standalone:
                do += "; if its file is damaged, stop ovsha and put a backup there: `ovsha backup restore --offline`"
            else:
                do += ", blank if its file is damaged; "
                idle = side.mode is not Mode.ACTIVE
                do += "the agent there leaves the rest to you" if idle else "the agent there does the rest"
            stranger = m.case.view.server.stranger if side is m.own else ""
            if stranger:
                do += "; if the other server is the right one, section server of the configuration is wrong"
            yield f"ovsdb-server on {side.node} is not running" + (f": {stranger}" if stranger else ""), do


def server_hung(m: Assessment) -> Iterator[Finding]:
    """Yield each that runs and does nothing."""
    for side in m.sides:
        if side.life is Life.HUNG:
            yield f"ovsdb-server on {side.node} is stopped or hangs", f"see its log on {side.node}, and restart it"


def server_undriven(m: Assessment) -> Iterator[Finding]:
    """Yield each that runs and takes no orders, and how it takes them again."""
    for side in m.sides:
        if not side.undriven:
            continue
        why = m.case.view.server.undriven if side is m.own else ""
        what = f"ovsdb-server on {side.node} takes no orders" + (f": {why}" if why else "")
        restart = f"restart ovsdb-server on {side.node} (`systemctl restart ovsha-ovsdb-server`)"
        if side.serving:
            what += "; it goes on serving, and can neither be moved nor told to give way"
            other = "" if m.case.standalone else ", once the other side is its copy: that one then takes over at once"
            yield what, f"at a convenient time {restart}{other}"
        else:
            yield f"{what}; it cannot take over", restart


def server_unknown(m: Assessment) -> Iterator[Finding]:
    """Yield that ours was never met."""
    if m.own.life is Life.UNKNOWN and not m.own.undriven:
        trouble = m.outside.server_trouble
        what = f"ovsdb-server on {m.own.node} has not answered yet" + (f": {trouble}" if trouble else "")
        yield what, "wait; if this lasts, compare section server of the configuration with how it was started"


def server_file(m: Assessment) -> Iterator[Finding]:
    """Yield that ours writes to a file that its next start does not read."""
    became = m.outside.server_file
    if became:
        node = m.own.node
        do = f"on {node}: {file_anew(m.outside.server_control, became)}"
        if m.own.undriven:
            do = f"once the other side has all of it: `systemctl restart ovsha-ovsdb-server` on {node}"
        yield file_lost(became, node), do


def file_lost(became: str, node: str) -> str:
    """Return what it means that a server goes on without its file, of which `became` something."""
    return f"{became}, and ovsdb-server on {node} goes on with what it had, which is lost when it ends"


def file_anew(control: str, became: str) -> str:
    """Return how such a server, which takes orders at `control`, comes to have its file again."""
    others = "; first move away what lies there now, if it is wanted" if "replaced" in became else ""
    return f"`ovs-appctl -t {control} ovsdb-server/compact` writes the file anew, and nobody notices{others}"


def busy(m: Assessment) -> Iterator[Finding]:
    """Yield each that is at work and does not answer."""
    for side in m.sides:
        if side.life is Life.BUSY:
            yield f"ovsdb-server on {side.node} is too busy to answer", "wait; a resynchronisation takes seconds"


def failing(m: Assessment) -> Iterator[Finding]:
    """Yield each step that the agent cannot carry out."""
    for step, error in m.outside.failing.items():
        yield f"cannot {step}: {error}", "it is tried again every two seconds or sooner; put right what it names"


def undone(m: Assessment) -> Iterator[Finding]:
    """Yield what somebody undoes again and again."""
    for each in m.outside.undone:
        times = f"{each.count} times within {span(each.first_age)}, last {ago(each.last_age)}"
        do = "find out what does it: a script, ifupdown or NetworkManager, or another client of ovsdb-server"
        yield f"on {m.own.node} {each.words} {times}; it is put right ever more seldom", do


def estranged(m: Assessment) -> Iterator[Finding]:
    """Yield that the peer takes this switch for a stranger."""
    if m.case.alive and m.peer.estranged:
        own, peer = m.own.node, m.peer.node
        what = f"{peer} knows {own} by another identity and does not believe it, so nothing can be handed over"
        yield what, f"if {own} was replaced or lost its state directory, run `ovsha peer forget` on {peer}"


def link(m: Assessment) -> Iterator[Finding]:
    """Yield that the peer link has no carrier."""
    if m.own.link_up is False and not m.case.standalone:
        yield "the peer link has no carrier here", "see its ports and cables"


def clag(m: Assessment) -> Iterator[Finding]:
    """Yield what is wrong with the MLAG roles."""
    clag = m.case.view.clag
    if m.case.standalone:
        return
    if clag.role is None:
        yield f"the MLAG role is unknown: {clag.trouble}", "see `ovsha check mlag`"
    elif m.case.alive and clag.role is m.peer.mlag:
        yield f"both switches are MLAG {clag.role.value}", "see `ovsha check mlag` on both"


def _long_active(m: Assessment) -> Record | None:
    active = m.active
    return active if active is not None and (active.active_for or 0.0) >= _SETTLED else None


def no_controller(m: Assessment) -> Iterator[Finding]:
    """Yield that no controller is connected, though there should be one."""
    active = _long_active(m)
    if active is not None and m.outside.managers and not active.controllers:
        targets = ", ".join(manager.target for manager in m.outside.managers)
        yield f"no controller is connected to {active.node}: {targets}", "see the route there, and its certificates"


def no_vtep(m: Assessment) -> Iterator[Finding]:
    """Yield that no VTEP daemon is attached."""
    active = _long_active(m)
    if active is not None and not active.vteps and m.case.view.settings.has_vip:
        target = f"{m.outside.vip}:{m.outside.vip_port}"
        yield f"no VTEP daemon is attached to {active.node}", f"point ovs-vtepd of both switches to {target}"


def troubles(m: Assessment) -> Iterator[Finding]:
    """Yield what the drivers complain of."""
    for what, trouble in m.outside.troubles.items():
        yield f"{what}: {trouble}", "see the log of ovsha"
    for side in m.sides:
        if side.trouble:
            yield f"{side.node}: {side.trouble}", f"see the log of ovsha on {side.node}"
    if m.outside.server_trouble and m.own.life in USABLE:
        yield f"ovsdb-server on {m.own.node}: {m.outside.server_trouble}", "compare section server of the configuration"
    if m.outside.source_trouble and m.case.alive and m.peer.life in USABLE:
        do = f"see that it listens on the replication address of {m.peer.node}, and no filter is between"
        if m.case.view.settings.source.startswith("ssl:"):
            do = f"compare section replication and the certificates of both switches (`ovsha check certs`); {do}"
        yield f"our session to ovsdb-server on {m.peer.node}: {m.outside.source_trouble}", do


def divergence(m: Assessment) -> Iterator[Finding]:
    """Yield what was acknowledged and is only in a ledger."""
    for each in m.outside.divergences:
        do = f"see ovsha ledger show {each.ledger}, then replay it, or dismiss it with a reason"
        look = f"look at ovsha ledger show {each.ledger} and at {each.snapshot}; dismiss it with a reason"
        if each.failed:
            yield f"what exists only in snapshot {each.snapshot} on {m.own.node} is not known: {each.failed}", look
        elif each.exact:
            rows = "1 row that was acknowledged exists" if each.rows == 1 else f"{each.rows} acknowledged rows exist"
            yield f"{rows} only in ledger {each.ledger}", do
        else:
            rows = "1 row is" if each.rows == 1 else f"{each.rows} rows are"
            since = "not on the active side as they were, perhaps deleted or changed there since"
            yield f"{rows} in doubt in ledger {each.ledger}: {since}", look


def overwritten(m: Assessment) -> Iterator[Finding]:
    """Yield that a client wrote over the agents' keys in our database, and when they are written again."""
    server, node, left = m.case.view.server, m.own.node, m.case.memory.heal_after - m.case.view.now
    if server.written is None or server.role is not Role.ACTIVE:
        return
    do = f"find the client that does it; {node} writes its own again" + (f" in {span(left)}" if left > 0 else "")
    if m.case.idle:
        why = "is paused" if m.case.view.mode is Mode.PAUSED else "only advises"
        do = f"find the client that did it; {node} {why} and writes nothing over it until it acts again"
    yield f"a client wrote over the agents' keys in Global.other_config: {belief.overwriting(server)}", do


def paths(own: str, peer: str, reports: Mapping[str, PathReport]) -> Iterator[Finding]:
    """Yield each path of the heartbeats that is not up, and which way it is cut."""
    for name, report in reports.items():
        state, age = report.path.state, report.path.heard_age
        if state is PathState.UP:
            continue
        since = f" for {span(age)}" if state is PathState.DOWN and age is not None else ""
        trouble = f": {report.trouble}" if report.trouble else ""
        why, do = _direction(own, peer, state)
        yield f"the heartbeat path {name} is {state.value}{since}{why}{trouble}", do


def _direction(own: str, peer: str, state: PathState) -> Finding:
    if state is PathState.ONE_WAY_IN:
        return f": {own} hears {peer} there and is not heard", f"see what stops packets from {own} to {peer} there"
    if state is PathState.ONE_WAY_OUT:
        return f": {peer} hears {own} there and is not heard", f"see what stops packets from {peer} to {own} there"
    return "", "see its interface and addresses on both switches"


def collisions(names: Names, outside: StatusInputs) -> Iterator[Finding]:
    """Yield each collision that is not over, and whether there were more than are kept."""
    for collision in outside.collisions:
        if not collision.over:
            seen = f"seen {collision.count} times" if collision.count > 1 else "seen once"
            what = f"{conflicts.conflict_text(collision, names)} ({seen}, last {ago(collision.last_age)})"
            yield what, conflicts.conflict_cure(collision, names)
    if outside.collisions_missed:
        what = f"{outside.collisions_missed} more sightings of collisions found no room in the list"
        yield what, "settle those that are listed, or set collisions.keep higher"
