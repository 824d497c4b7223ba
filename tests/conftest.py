"""Tell hypothesis how long to search: shortly by default, long with OVSHA_EXAMPLES=N (N times as many examples)."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

TIMES = int(os.environ.get("OVSHA_EXAMPLES", "1"))

# Slow machines make no law wrong, so no example has a deadline.
# Who only asks whether a test fails (test_mutations.py) does not want to know the shortest reason.
PHASES = [Phase.generate] if os.environ.get("OVSHA_SHRINK") == "no" else list(Phase)

# A usual run searches the same examples each time; a long one searches new ones.
settings.register_profile(
    "usual", deadline=None, max_examples=100 * TIMES, derandomize=TIMES == 1, phases=PHASES
)
settings.load_profile("usual")
