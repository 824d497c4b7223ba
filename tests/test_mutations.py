"""Break the core on purpose, one law at a time, and see that the tests of the laws notice.

Each mutation is made in a copy of the tree and the named tests are run there.  That takes
minutes, so it is done only with OVSHA_MUTATIONS=1; what is checked always is that each
mutation still applies to the code as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Mutation:
    """In `module` of the core, `text` becomes `broken`; then `tests` must fail."""

    law: str
    module: str
    text: str
    broken: str
    tests: str = "test_pair.py"


MUTATIONS = (
    Mutation(
        "1: a split is settled by what both sides see alike", "verdict",
        "(r.active_for or 0.0) >= SETTLED", "r.active_for or 0.0", "test_verdict.py",
    ),
    Mutation(
        "1: a side that hears an active peer never begins to serve", "case",
        "return self.alive and self.peer.serving", "return False",
    ),
    Mutation(
        "1: two idle sides do not both give way, and not both insist", "case",
        "peer.preferred == settings.peer", "self.configured == settings.peer",
    ),
    Mutation(
        "2: a snapshot precedes every erase", "transition",
        "        Row(Step.SNAPSHOT, lambda c: c.following or c.view.server.saved),\n", "",
    ),
    Mutation(
        "2: a side that has not read its database does not give way", "handover",
        "if not c.view.server.loaded:", "if False:",
    ),
    Mutation(
        "2: an old copy does not serve while the newer data is known to exist", "case",
        "if memory.term > (memory.claim or 0):", "if False:",
    ),
    Mutation(
        "2: older data is never copied over newer data", "lineage",
        "if source.stamp.term < own.stamp.term:", "if False:", "test_lineage.py",
    ),
    Mutation(
        "2, 3: what is known to be old or half-copied is not promoted", "lineage",
        "if known <= term_of(own.stamp):", "if True:",
    ),
    Mutation(
        "4: a planned move waits for the barrier", "case",
        "return grant.barrier is None or (server.token or (0, 0)) >= grant.barrier", "return True",
    ),
    Mutation(
        "4: the barrier is not a token that is under way already", "handover",
        "barrier=following(following(server.token, term), term)", "barrier=following(server.token, term)",
        "test_handover.py",
    ),
    Mutation(
        "4: there is no barrier before writers are shut out", "handover",
        "if grant.drained or c.open:", "if grant.drained:",
    ),
    Mutation(
        "5: a silent agent is no dead side", "liveness",
        "if _server_or_host_answers(view) or _link_lost_after_the_agent(view, memory):", "if False:",
    ),
    Mutation(
        "5: a busy server is no dead server", "election",
        "c.peer.life in (Life.DOWN, Life.HUNG) and not c.peer.serving", "c.peer.life is not Life.UP",
        "test_election.py",
    ),
    Mutation(
        "6: an agent that starts takes over what it finds", "transition",
        "        if known is None or known.term < own.term or known.node == node:\n            return own.term\n",
        "        pass\n",
    ),
    Mutation(
        "progress: a promise is not over before it is used", "handover",
        "_newest_term(c) > c.memory.grant_term", "_newest_term(c) > lineage.term_of(c.view.server.stamp)",
        "test_handover.py",
    ),
    Mutation(
        "progress: the clagd primary gets the service of a cut pair", "side",
        "link_lost_at=lost_at)", "link_lost_at=None)",
    ),
    Mutation(
        "1: a side that slept gives way to the one that watched", "side",
        "awake=view.now, lapsed=True, ask=None", "awake=view.now, ask=None", "test_scenarios.py",
    ),
    Mutation(
        "strangers: nothing of what one says is believed", "acquaintance",
        "if self.identity and message.identity != self.identity:", "if False:", "test_strangers.py",
    ),
    Mutation(
        "1: a stranger who serves is not fought", "liveness",
        "if view.estranged is not None and view.estranged.serving:", "if False:", "test_strangers.py",
    ),
    Mutation(
        "1: who is taken for a stranger gives way", "case",
        "if self.peer.estranged:", "if False:", "test_strangers.py",
    ),
    Mutation(
        "progress: a stranger whose database was read has been met", "side",
        "memory.met or (c.view.estranged is not None and c.view.source.loaded)", "memory.met", "test_strangers.py",
    ),
    Mutation(
        "progress: a stranger with the newest data serves where the other must not", "election",
        "return c.alive and knows and not peer.serving", "return False", "test_strangers.py",
    ),
    Mutation(
        "collisions: who has not the key hides nobody who has", "collisions",
        "if _RANK[key[0]] < _RANK[kind]", "if True", "test_collisions.py",
    ),
)  # fmt: skip

each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.law)


@each_mutation
def test_mutation_applies(mutation: Mutation) -> None:
    assert (ROOT / "ovsha" / "core" / f"{mutation.module}.py").read_text().count(mutation.text) == 1


@pytest.mark.skipif(os.environ.get("OVSHA_MUTATIONS") != "1", reason="takes minutes; OVSHA_MUTATIONS=1 runs it")
@each_mutation
def test_broken_law_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    for name in ("ovsha", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "ovsha" / "core" / f"{mutation.module}.py"
    module.write_text(module.read_text().replace(mutation.text, mutation.broken))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{mutation.tests}"]
    hurried = {**os.environ, "OVSHA_SHRINK": "no", "OVSHA_MUTATIONS": ""}
    ran = subprocess.run(
        command, cwd=tmp_path, env=hurried, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 1, f"no test notices that this is broken:\n{ran.stdout[-2000:]}"
    assert "1 failed" in ran.stdout
