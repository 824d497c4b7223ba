"""What docs/sizing.rst shows can be measured again."""

from __future__ import annotations

import sizing


def test_a_small_database_is_measured(needs_lab: None) -> None:
    one = sizing.servers(500)
    assert 0 < one.backup_silent <= one.copy < sizing.PATIENT
    assert one.growth > one.file / 2, "a copy writes all rows anew"
    pair = sizing.agents(500)
    assert pair.active > 1
    assert sizing.line(500, [one], pair)[0] == "500"
