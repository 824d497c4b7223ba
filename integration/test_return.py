"""What is said while a switch comes back from a loss of power is true of it as it is now."""

from __future__ import annotations

import pytest

from story import LIMIT, MakeLab, await_pair, await_service, begin, in_sync, is_copy, problems


@pytest.mark.parametrize("plain", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_switch_that_comes_back_from_a_loss_of_power_is_not_said_to_serve_as_it_did_before(
    lab: MakeLab, plain: bool
) -> None:
    """Its server answers before its agent does; with `plain` it is active at once, but holds no VIP."""
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is well")
    pair.sw1.server_plain = plain
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    said: set[str] = set()

    def told(condition: bool) -> bool:
        said.update(problems(pair.sw2).splitlines())
        return condition

    pair.sw1.power_on()
    pair.sw1.agent.freeze()
    pair.wait_until(lambda: told("is silent" in problems(pair.sw2)), LIMIT, "its server answers, and no agent")
    pair.wait_until(lambda: told(pair.sw1.role() is not None), LIMIT, "it is up")
    for _ in range(20):
        told(True)
    pair.sw1.agent.thaw()
    pair.wait_until(lambda: told(is_copy(pair, pair.sw1)), LIMIT, "it is a copy")
    await_pair(pair, pair.sw2)
    assert [line for line in said if "hold the VIP" in line and "may hold" not in line] == []
    assert plain or not any("both sides" in line for line in said)


def test_a_server_that_runs_is_not_said_to_be_started_though_its_pidfile_is_lost(lab: MakeLab) -> None:
    pair = begin(lab)
    (pair.sw1.run_directory / "ovsdb-server.pid").unlink()
    said = pair.sw1.ovsha("check", "server").stdout
    assert said.startswith("OK"), said
    assert f"(pid {pair.sw1.server.pid}) answers, role active" in said
