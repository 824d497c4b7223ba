"""When the silence of the peer's kernel proves a death, and what its answers hold up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given

from ovsha.core import turn
from ovsha.core.echo import BURST, PROVEN, RECENT, EchoWatch, dead_by_echo
from ovsha.core.facts import Clag, EchoPath, Kernel, Presence, Record, Source, Vip
from ovsha.core.liveness import presence
from ovsha.core.view import Memory, View
from tests.support.views import NOW, SETTINGS, backup_case, memories, views

DEAD, STALL = SETTINGS.dead_interval, SETTINGS.stall_interval
WAITED = DEAD / 2
SINCE = 0.3
HEARD = backup_case()
LINK = EchoPath("peer-link", carrier=False, answered_age=0.4, before=0.1)
BACKUP = EchoPath("backup-path", carrier=True, answered_age=0.4, before=0.1, asked=BURST, asked_age=WAITED)
DEAD_KERNEL = Kernel(PROVEN, SINCE, (LINK, BACKUP), packet_age=0.4)

ALIVE_SAYS_CLAGD = Clag(peer_alive=True, backup_active=True)
GONE_SAYS_CLAGD = Clag(peer_alive=False, backup_active=False)
ANSWERS = Kernel(PROVEN, None, (replace(LINK, answered_age=0.1), replace(BACKUP, answered_age=0.1)))
ON_BACKUP = Kernel(PROVEN, None, (LINK, replace(BACKUP, answered_age=0.1)))


def moment(kernel: Kernel = DEAD_KERNEL, **changes: object) -> View:
    """Return a moment at which the peer's agent has long been silent, and the peer link has just lost its carrier."""
    usual: dict[str, object] = {
        "heard_age": 5.0, "source": Source(life_age=WAITED, answer_age=WAITED), "vip": Vip(link_up=False),
        "clag": ALIVE_SAYS_CLAGD, "kernel": kernel,
    }  # fmt: skip
    return replace(HEARD.view, **{**usual, **changes})  # type: ignore[arg-type]


def see(view: View, **memory: object) -> Presence:
    return presence(view, replace(HEARD.memory, **{"silent_since": NOW - 4, **memory}))  # type: ignore[arg-type]


def test_a_kernel_that_falls_silent_with_the_link_is_dead_whatever_clagd_says() -> None:
    assert dead_by_echo(moment())
    assert see(moment()) is Presence.DEAD


def test_both_paths_may_have_their_carrier_and_stay_silent() -> None:
    link = replace(BACKUP, path="peer-link")
    assert see(moment(replace(DEAD_KERNEL, paths=(link, BACKUP)))) is Presence.DEAD


def lacking(**values: object) -> Kernel:
    return replace(DEAD_KERNEL, **values)  # type: ignore[arg-type]


def backup(**values: object) -> Kernel:
    return lacking(paths=(LINK, replace(BACKUP, **values)))  # type: ignore[arg-type]


def link(**values: object) -> Kernel:
    return lacking(paths=(replace(LINK, **values), BACKUP))  # type: ignore[arg-type]


INCOMPLETE: dict[str, Kernel] = {
    "nothing was asked": lacking(suspected_for=None),
    "there is one path": lacking(paths=(BACKUP,)),
    "too few were ever answered": lacking(answered=PROVEN - 1),
    "a path had not answered for long": link(before=RECENT + 0.1),
    "a path had never answered": link(before=None, answered_age=None),
    "the other path had not answered for long": backup(before=RECENT + 0.1),
    "too few have left": backup(asked=BURST - 1),
    "they have only just left": backup(asked_age=WAITED - 0.01),
    "none has left": backup(asked=0, asked_age=None),
    "no path has its carrier": backup(carrier=False),
    "the carrier is not known": backup(carrier=None),
    "the other path was not asked": link(carrier=True),
    "the carrier of the other path is not known": link(carrier=None),
    "one was answered": backup(answered_age=SINCE - 0.01),
    "one was answered on the path without a carrier": link(answered_age=SINCE),
    "the host has acknowledged something": lacking(packet_age=SINCE),
}


@pytest.mark.parametrize("kernel", INCOMPLETE.values(), ids=INCOMPLETE)
def test_where_anything_is_missing_clagd_decides_as_ever(kernel: Kernel) -> None:
    assert not dead_by_echo(moment(kernel))
    assert see(moment(kernel)) is Presence.SILENT
    assert see(moment(kernel, clag=GONE_SAYS_CLAGD)) is Presence.DEAD


def test_a_link_that_is_back_does_not_make_a_server_dead_that_has_not_been_reached_yet() -> None:
    back = moment(Kernel(), vip=Vip(link_up=True), source=Source(closed=True))
    assert see(back, link_lost=True) is Presence.SILENT
    assert see(replace(back, kernel=Kernel(ended=True)), link_lost=True) is Presence.DEAD
    lost = turn.turn(moment(Kernel()), replace(HEARD.memory, silent_since=NOW - 4)).memory
    assert lost.link_lost
    answers = replace(back, source=Source(life_age=0.0, answer_age=0.0))
    assert not turn.turn(answers, lost).memory.link_lost


def test_a_heartbeat_since_then_is_a_sign_of_life_too() -> None:
    assert not dead_by_echo(moment(heard_age=SINCE))


@given(views, memories)
def test_a_kernel_that_answers_makes_nobody_dead_and_one_that_is_silent_does_not_shorten_the_dead_interval(
    view: View, memory: Memory
) -> None:
    plain = presence(replace(view, kernel=Kernel()), memory)
    answered = presence(replace(view, kernel=ANSWERS), memory)
    assert answered in (plain, Presence.SILENT)
    if answered is not plain:
        assert plain in (Presence.DEAD, Presence.NEVER)
    gone = replace(view, clag=GONE_SAYS_CLAGD)
    assert presence(replace(gone, kernel=ANSWERS), memory) is presence(replace(gone, kernel=Kernel()), memory)
    confirmed = presence(replace(view, kernel=DEAD_KERNEL), memory)
    assert confirmed in (plain, answered, Presence.DEAD, Presence.NEVER)
    if view.heard_age is not None and view.heard_age < DEAD:
        assert answered is confirmed is Presence.ALIVE


# -- a kernel that answers ---------------------------------------------------------------------------------------------

NO_SESSION = Source()


def parted(kernel: Kernel = ANSWERS, **changes: object) -> View:
    """Return a moment at which the peer's agent has said goodbye, and our session to its server is not there."""
    record = replace(HEARD.view.record or Record("sw1"), goodbye=True)
    usual: dict[str, object] = {"record": record, "source": NO_SESSION, "vip": Vip(link_up=True)}
    return moment(kernel, **{**usual, **changes})


UP, DOWN = Vip(link_up=True), Vip(link_up=False)
LONG_AGO = NOW - 4

ORDERS: dict[str, tuple[View, float | None]] = {
    "its agent fell silent, then the peer link": (moment(ON_BACKUP, vip=DOWN), LONG_AGO),
    "the same within the dead interval": (moment(ON_BACKUP, vip=DOWN, heard_age=DEAD), None),
    "the peer link, then its agent": (moment(ON_BACKUP, vip=DOWN, source=Source(closed=True), heard_age=DEAD), None),
    "its agent, then the session to its server alone": (moment(ANSWERS, vip=UP, source=Source(closed=True)), LONG_AGO),
    "the session to its server, then its agent": (moment(ANSWERS, vip=UP, source=Source(closed=True)), None),
    "its agent said goodbye, then the peer link": (parted(ON_BACKUP, vip=DOWN), None),
    "its agent was never heard by this one": (moment(ON_BACKUP, vip=DOWN, heard_age=None, source=Source()), None),
}


@pytest.mark.parametrize(("view", "since"), ORDERS.values(), ids=ORDERS)
def test_while_the_kernel_answers_clagd_decides_in_whatever_order_the_others_fell_silent(
    view: View, since: float | None
) -> None:
    assert see(view, silent_since=since) is Presence.SILENT
    assert see(replace(view, clag=Clag()), silent_since=since) is Presence.SILENT, "it says nothing"
    one = Clag(peer_alive=False, backup_active=True)
    assert see(replace(view, clag=one), silent_since=since) is Presence.SILENT, "it is gone on one path"
    assert see(replace(view, clag=GONE_SAYS_CLAGD), silent_since=since) is Presence.DEAD


def test_a_unit_that_has_not_joined_yet_holds_up_nothing_by_its_kernel() -> None:
    view = moment(ON_BACKUP, vip=DOWN, heard_age=None, source=Source(closed=True))
    assert see(view, met=False, silent_since=None) is Presence.SILENT
    assert see(view, met=False, silent_since=None, founding=True) is Presence.NEVER


def test_a_kernel_that_answers_holds_up_nothing_once_its_server_ended_or_hangs_or_it_is_silent() -> None:
    reached = moment(ANSWERS, vip=UP, source=NO_SESSION)
    for view in (reached, parted()):
        assert see(view, silent_since=None) is Presence.SILENT
        assert see(replace(view, kernel=replace(ANSWERS, ended=True)), silent_since=None) is Presence.DEAD
        stuck = replace(view, source=Source(life_age=0.0, answer_age=STALL))
        assert see(stuck, silent_since=None) is Presence.DEAD
        assert see(replace(view, kernel=DEAD_KERNEL), silent_since=None) is Presence.DEAD
        late = tuple(replace(path, answered_age=DEAD) for path in ANSWERS.paths)
        assert see(replace(view, kernel=replace(ANSWERS, paths=late)), silent_since=None) is Presence.DEAD


def test_with_the_link_up_a_server_that_lets_nobody_in_holds_out_as_long_as_one_that_hangs() -> None:
    def silent_for(seconds: float | None, kernel: Kernel = ANSWERS) -> Presence:
        return see(moment(replace(kernel, packet_age=seconds), vip=UP, source=NO_SESSION), silent_since=None)

    assert silent_for(STALL - 0.1) is Presence.SILENT
    assert silent_for(STALL) is Presence.DEAD
    assert silent_for(None) is Presence.SILENT, "it was never heard, so nobody knows for how long"
    cut = replace(ON_BACKUP, paths=(replace(LINK, answered_age=DEAD), ON_BACKUP.paths[1]))
    assert silent_for(STALL, cut) is Presence.SILENT, "only the backup path leads to it: clagd decides"


def test_after_a_goodbye_the_silence_of_the_agent_is_no_sign_that_the_link_took_the_switch_along() -> None:
    view = parted(Kernel(), vip=Vip(link_up=False), heard_age=DEAD)
    decision = turn.turn(view, replace(HEARD.memory, silent_since=None))
    assert decision.memory.silent_since is not None


# -- what makes the peer suspect ---------------------------------------------------------------------------------------


class Watched:
    """A peer that is looked at every 20 ms, and answers everything until it is changed."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = EchoWatch(DEAD)
        self.heard: float | None = 0.0
        self.answered: dict[str, float | None] = {"peer-link": 0.0, "backup-path": 0.0}
        self.carrier: dict[str, bool | None] = {"peer-link": True, "backup-path": True}
        self.packet: float | None = 0.0
        self.closed = self.goodbye = False

    def kernel(self) -> Kernel:
        paths = tuple(EchoPath(name, self.carrier[name], age) for name, age in self.answered.items())
        return Kernel(PROVEN, paths=paths, packet_age=self.packet)

    def look(self, step: float = 0.02) -> bool:
        self.now += step
        self.answered = {name: None if age is None else age + step for name, age in self.answered.items()}
        self.heard = None if self.heard is None else self.heard + step
        self.packet = None if self.packet is None else self.packet + step
        return self.watch.look(self.now, self.heard, self.closed, self.kernel(), self.goodbye)

    def bursts(self, seconds: float, step: float = 0.02) -> int:
        return sum(self.look(step) for _ in range(round(seconds / step)))


@pytest.fixture
def watched() -> Watched:
    """Give one that has been looked at."""
    made = Watched()
    made.look()
    return made


def lose_carrier(w: Watched) -> None:
    w.carrier["peer-link"] = False


def close(w: Watched) -> None:
    w.closed = True


@pytest.mark.parametrize("happens", [lose_carrier, close])
def test_a_lost_carrier_and_a_closed_session_make_suspect_once(
    watched: Watched, happens: Callable[[Watched], None]
) -> None:
    happens(watched)
    assert watched.look()
    assert not watched.look()
    facts = watched.watch.facts(watched.now, watched.kernel())
    assert facts.suspected_for == pytest.approx(0.02)
    assert all(path.before is not None and path.before < RECENT for path in facts.paths)


def test_the_dead_interval_makes_suspect_of_the_agent_and_half_of_it_of_all_that_had_answered(
    watched: Watched,
) -> None:
    watched.heard = DEAD
    watched.answered, watched.packet = dict.fromkeys(watched.answered, 0.05), None
    assert watched.look()
    watched.answered = dict.fromkeys(watched.answered, 0.0)
    assert not watched.look(0.001)
    assert watched.watch.since is None
    assert watched.bursts(0.5) == 1


def test_what_is_suspected_already_is_not_asked_anew_by_the_next_sign_of_it(watched: Watched) -> None:
    lose_carrier(watched)
    assert watched.look()
    close(watched)
    assert watched.bursts(1.0) == 0


def test_an_agent_that_said_goodbye_is_not_suspect_but_its_link_is(watched: Watched) -> None:
    watched.goodbye, watched.heard = True, DEAD
    assert not watched.look()
    lose_carrier(watched)
    assert watched.look()


@pytest.mark.parametrize("sign", ["heard", "packet", "answered"])
def test_any_sign_of_life_refutes_it(watched: Watched, sign: str) -> None:
    lose_carrier(watched)
    watched.look()
    watched.look()
    setattr(watched, sign, {"peer-link": None, "backup-path": 0.0} if sign == "answered" else 0.0)
    watched.look(0.001)
    assert watched.watch.since is None


def test_a_loop_that_woke_late_begins_the_burst_anew(watched: Watched) -> None:
    lose_carrier(watched)
    watched.look()
    assert watched.look(0.2)
    assert watched.watch.since == watched.now


def test_long_after_it_was_asked_nothing_is_begun_anew(watched: Watched) -> None:
    watched.heard = watched.packet = DEAD
    watched.answered = dict.fromkeys(watched.answered, DEAD)
    assert watched.look()
    watched.bursts(1.0)
    assert not watched.look(0.3)
    assert not watched.watch.pending(watched.now)
