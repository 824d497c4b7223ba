"""Say whether the peer is alive, from the witnesses that are independent of each other.

A missing answer is its own fact and not a death: an agent that is silent while its server
or at least its host answers may well be an active side whose agent is being restarted.
"""

from __future__ import annotations

from ovsha.core import echo
from ovsha.core.facts import Presence
from ovsha.core.view import Memory, View


def presence(view: View, memory: Memory) -> Presence:
    """Return what the heartbeats, the session to the peer's server and clagd together say of the peer."""
    dead_interval = view.settings.dead_interval
    if view.heard_age is not None and view.heard_age < dead_interval:
        return Presence.ALIVE
    if view.estranged is not None and view.estranged.serving:
        return Presence.SILENT  # a stranger's word is not believed, but a second active side is worse than none
    if _server_or_host_answers(view):
        return Presence.SILENT
    if left_to_clagd(view, memory) and not echo.dead_by_echo(view):
        return Presence.SILENT
    return Presence.DEAD if memory.met else Presence.NEVER


def _server_or_host_answers(view: View) -> bool:
    """Tell whether the peer's host acknowledges what we send and its server is not stuck for too long.

    It is probed only when heartbeats are late, so half of the dead interval must do.
    """
    source, settings = view.source, view.settings
    if source.life_age is None or source.life_age >= settings.dead_interval / 2:
        return False
    return source.answer_age is None or source.answer_age < settings.stall_interval


def only_the_agent_is_silent(view: View) -> bool:
    """Tell whether the peer's server has lived on for so long after its agent that this is no coincidence.

    Of one that said goodbye it is none, as long as its server does not end too.
    """
    if said_goodbye(view) and not view.kernel.ended:
        return True
    late = view.heard_age is None or view.heard_age >= 2 * view.settings.dead_interval
    return late and _server_or_host_answers(view)


def said_goodbye(view: View) -> bool:
    """Tell whether the last word of the peer's agent was that it ends and its server stays.

    The first heartbeat of its successor is a later word.
    """
    return view.record is not None and view.record.goodbye


def left_to_clagd(view: View, memory: Memory) -> bool:
    """Tell whether only clagd can say if the peer lives, and does not say that it is gone on both its paths.

    So it is when its server fell silent with the peer link while its agent, the only voice on the backup path, had been
    silent before, until it is heard again, which takes a while after the link is back; and, in whatever order they fell
    silent, while the kernel answers of a switch whose agent and server we do not hear: both may live out of our reach.
    """
    clag = view.clag
    if clag.peer_alive is False and clag.backup_active is False:
        return False
    alone = memory.founding and not memory.met  # what has not joined yet has a kernel too
    return link_lost(view, memory) or (not alone and _kernel_answers(view))


def link_lost(view: View, memory: Memory) -> bool:
    """Tell whether the peer link was lost while only the peer's agent was silent, and its server not heard since."""
    if memory.silent_since is None or _server_or_host_answers(view):
        return False
    return view.vip.link_up is False or (memory.link_lost and not view.kernel.ended)


def _kernel_answers(view: View) -> bool:
    """Tell whether the peer's kernel answers, and nothing says that its server has ended or hangs."""
    answer_age = view.source.answer_age
    stuck = answer_age is not None and answer_age >= view.settings.stall_interval
    return echo.answers(view) and not view.kernel.ended and not stuck and not echo.mute(view)
