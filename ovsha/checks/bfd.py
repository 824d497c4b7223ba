"""Check the BFD sessions to the service nodes, as ptmd tells them.  They are never a reason to move the service."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from ovsha import programs
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, ok, unknown, warning
from ovsha.errors import DriverError

_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """One BFD session: over which port, to which service node, and its state ("Up" is well)."""

    port: str
    peer: str
    state: str
    diagnosis: str


def check(look: Look) -> Outcome:
    """Return whether every session is up."""
    del look
    if shutil.which("ptmctl") is None:
        return ok("ptmctl is not installed, so no BFD session is looked at")
    try:
        status, text = programs.read(["ptmctl", "-b"], _LIMIT)
        sessions = parse(text)
    except (DriverError, ValueError) as error:
        return unknown(f"the BFD sessions are not known: {error}", "see systemctl status ptmd")
    if status and not sessions:
        first = next(iter(text.strip().splitlines()), "it printed nothing")
        return unknown(f"ptmctl -b failed: {first}", "see systemctl status ptmd")
    facts = {"sessions": len(sessions)}
    down = [each for each in sessions if each.state.lower() != "up"]
    if down:
        names = ", ".join(f"{each.peer} on {each.port} is {each.state}{_why(each)}" for each in down)
        do = "see the way to the service node; after a restart of switchd or networking: restart openvswitch-vtep"
        return warning(f"{len(down)} of {len(sessions)} BFD sessions are not up: {names}", do, **facts)
    return ok(f"{len(sessions)} BFD sessions, all up" if sessions else "there is no BFD session", **facts)


def parse(text: str) -> list[Session]:
    """Return the sessions in what `ptmctl -b` prints: a table with its titles between two rules.

    Raises ValueError, which names what is not as ptmctl prints it.
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("---")]
    start = next((number for number, words in enumerate(lines) if words[:3] == ["port", "peer", "state"]), None)
    if start is None:
        if not lines or "no " in text.lower():
            return []
        raise ValueError(f"ptmctl printed {' '.join(lines[0])[:60]!r}")
    titles = lines[start]
    sessions = []
    for words in lines[start + 1 :]:
        row = dict(zip(titles, words, strict=False))
        if len(words) < 3:
            raise ValueError(f"ptmctl printed a session as {' '.join(words)[:60]!r}")
        sessions.append(Session(row["port"], row["peer"], row["state"], row.get("diag", "N/A")))
    return sessions


def _why(session: Session) -> str:
    return "" if session.diagnosis in ("N/A", "-") else f" ({session.diagnosis})"
