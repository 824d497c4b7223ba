"""Say whether the peer is alive, from the witnesses that are independent of each other.

A missing answer is its own fact and not a death: an agent that is silent while its server
or at least its host answers may well be an active side whose agent is being restarted.
"""

from __future__ import annotations

from ovsha.core.facts import Presence
from ovsha.core.memory import Memory
from ovsha.core.view import View


def presence(view: View, memory: Memory) -> Presence:
    """Return what the heartbeats, the session to the peer's server and clagd together say of the peer."""
    dead_interval = view.settings.dead_interval
    if view.heard_age is not None and view.heard_age < dead_interval:
        return Presence.ALIVE
    if view.estranged is not None and view.estranged.serving:
        return Presence.SILENT  # a stranger's word is not believed, but a second active side is worse than none
    if _server_or_host_answers(view) or _link_lost_after_the_agent(view, memory):
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
    """Tell whether the peer's server has lived on for so long after its agent that this is no coincidence."""
    late = view.heard_age is None or view.heard_age >= 2 * view.settings.dead_interval
    return late and _server_or_host_answers(view)


def _link_lost_after_the_agent(view: View, memory: Memory) -> bool:
    """Tell whether the server fell silent with the peer link, when only the agent had been silent before.

    The peer's agent was the only voice on the backup path, so nobody but clagd can tell
    now whether the switch still lives.
    """
    if memory.silent_since is None or view.vip.link_up is not False:
        return False
    return not (view.clag.peer_alive is False and view.clag.backup_active is False)
