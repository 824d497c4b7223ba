"""One switch asks the other one over the peer link; strangers there get nothing and disturb nobody."""

from __future__ import annotations

import json
import sys

import settings
from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_word, begin, counter, log, status, undisturbed
from switch import Switch
from topology import INTERFACE, PEER_LINK_ADDRESS, PREFIX_LENGTH, SW1, SW2

PORT = 5345

STRANGER = """
import contextlib, random, socket, sys
chance, held = random.Random(3), []
for number in range(150):
    with contextlib.suppress(OSError):
        sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.3)
        held.append(sock)
        if number % 3:
            sock.sendall(chance.randbytes(chance.randrange(1, 3000)))
"""
"""Some connections say noise, some say nothing and stay."""


def answers(switch: Switch) -> bool:
    """Say whether the peer of `switch` answers it."""
    return switch.ovsha("forensics", "list", "--peer", "--json").returncode == 0


def problems(switch: Switch) -> str:
    """Return what its agent says is wrong."""
    return json.dumps(status(switch)["problems"])


def closed(pair: Lab) -> int:
    """Return how many connections sw1 has closed on strangers."""
    return sum(counter(pair.sw1, f"exchange_{why}") for why in ("malformed", "forged", "crowded", "slow"))


def test_strangers_on_the_peer_link_get_nothing_and_disturb_neither_the_service_nor_the_peer(lab: MakeLab) -> None:
    pair = begin(lab)
    assert answers(pair.sw2)
    with undisturbed(pair):
        pair.sw2.run(sys.executable, "-c", STRANGER, PEER_LINK_ADDRESS[SW1], str(PORT), limit=LIMIT * 3)
        pair.wait_until(lambda: closed(pair) >= 50, LIMIT, "they are closed and counted")
        assert answers(pair.sw2)
    await_pair(pair, pair.sw1)


def test_who_has_another_key_is_not_answered(lab: MakeLab) -> None:
    pair = begin(lab)
    key_file = pair.sw2.directory / "other.key"
    key_file.touch(0o600)
    key_file.write_text("x" * 40)
    # The running agent has read its own already.
    settings.write(pair.sw2.config_file, settings.merged(pair.sw2.config, {"pair": {"key_file": str(key_file)}}))
    done = pair.sw2.ovsha("forensics", "list", "--peer")
    assert (done.returncode, done.stdout, "it has another key" in done.stderr) == (1, "", True)
    assert counter(pair.sw1, "exchange_forged") == 1


def test_an_agent_listens_as_soon_as_its_address_is_there(lab: MakeLab) -> None:
    pair = begin(lab)
    address = f"{PEER_LINK_ADDRESS[SW2]}/{PREFIX_LENGTH['peer link']}"
    pair.sw2.agent.stop()
    pair.sw2.run("ip", "address", "del", address, "dev", INTERFACE["peer link"])
    said = len(log(pair.sw2))
    pair.sw2.agent.start()
    await_word(pair, pair.sw2, f"the peer cannot ask us at {PEER_LINK_ADDRESS[SW2]} port {PORT}", since=said)
    assert "the peer cannot ask us" in problems(pair.sw2)
    pair.sw2.run("ip", "address", "add", address, "dev", INTERFACE["peer link"])
    pair.wait_until(lambda: answers(pair.sw1), LIMIT, "sw2 answers again")
    assert "the peer cannot ask us" not in problems(pair.sw2)
    await_pair(pair, pair.sw1)
