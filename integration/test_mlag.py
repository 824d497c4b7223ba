"""clagd stops, restarts, changes its mind, prints rubbish or hangs: it says who should serve, never who is alive."""

from __future__ import annotations

from typing import Any

from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    await_every_row,
    await_pair,
    await_word,
    begin,
    log,
    named,
    seconds_with_two,
    status,
    undisturbed,
)
from topology import SW1, SW2

FOLLOW_CLAG: dict[str, Any] = {"pair": {"preferred": "clag"}, "clag": {"interval": 1.0}}


def mlag(pair: Lab, node: str) -> tuple[str | None, str]:
    """Return the role that a side's agent has heard from its clagd, and what troubles it."""
    clag = status(named(pair, node))["clag"]
    return clag["role"], clag["trouble"]


def await_mlag(pair: Lab, node: str, role: str | None) -> str:
    """Wait until an agent has heard this role; return what troubles it."""
    pair.wait_until(lambda: mlag(pair, node)[0] == role, LIMIT, f"{node} has heard that it is {role}")
    return mlag(pair, node)[1]


def test_nobody_notices_that_clagd_stops_or_crashes_on_either_side_and_comes_back(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**FOLLOW_CLAG, "restore": {"delay": 30.0}})
    for node in (SW2, SW1):
        clagd = named(pair, node).clagd
        for end in (clagd.stop, clagd.kill):
            with undisturbed(pair):
                end()
                assert "Is it running" in await_mlag(pair, node, None)
            with undisturbed(pair):
                clagd.start()
                await_mlag(pair, SW1, "primary")
                await_mlag(pair, SW2, "secondary")


def test_nobody_notices_what_clagctl_prints_when_it_fails(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**FOLLOW_CLAG, "clag": {"timeout": 0.5}})
    troubles = {}
    for mode in ("error", "rubbish", "hang"):
        with undisturbed(pair):
            for switch in pair.switches:
                switch.clagctl("lab-mode", mode)
            troubles[mode] = {await_mlag(pair, switch.node, None) for switch in pair.switches}
        with undisturbed(pair):
            for switch in pair.switches:
                switch.clagctl("lab-mode", "normal")
            await_mlag(pair, SW1, "primary")
            await_mlag(pair, SW2, "secondary")
    assert len(set.union(*troubles.values())) == 3, f"each has its own words: {troubles}"


def test_the_right_output_with_a_wrong_exit_status_is_still_the_right_output(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        pair.sw1.clagctl("lab-mode", "exit1")
        said = len(log(pair.sw1))
    assert mlag(pair, SW1)[0] == "primary"
    assert "ERROR" not in log(pair.sw1)[said:]


def swap(pair: Lab) -> None:
    """Let sw2 become clagd's primary by its priority."""
    pair.sw2.clagctl("priority", "100")
    await_mlag(pair, SW2, "primary")
    await_mlag(pair, SW1, "secondary")


def test_a_swap_of_the_mlag_roles_moves_nothing_when_a_switch_is_preferred_by_name(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"delay": 0.5}})
    with undisturbed(pair, rows=150):
        swap(pair)


def test_the_service_follows_clagds_primary_after_the_delay_when_clagd_is_to_decide(lab: MakeLab) -> None:
    delay = 1.5
    pair = begin(lab, overrides={**FOLLOW_CLAG, "restore": {"delay": delay}})
    pair.wait_until(lambda: (status(pair.sw2)["sides"][SW2]["in_sync_for"] or 0) > 2 * delay, LIMIT, "long in sync")
    swap(pair)
    await_word(pair, pair.sw2, "restore")
    await_pair(pair, pair.sw2)
    await_every_row(pair, pair.sw2)
    pair.sw2.clagctl("priority", "32768")
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw1)
    assert seconds_with_two(pair) == 0


def test_a_swap_that_is_taken_back_at_once_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides={**FOLLOW_CLAG, "restore": {"delay": 4.0}})
    with undisturbed(pair, rows=250):
        for _ in range(2):
            swap(pair)
            pair.sw2.clagctl("priority", "32768")
            await_mlag(pair, SW1, "primary")
