"""What is dead delays nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.lateness import INTERVAL_MS, behind_a_gateway, beside_a_black_hole

pytestmark = pytest.mark.e2e


def test_beside_one_black_holed_link_of_ten_the_others_are_late_by_less_than_a_twentieth(
    tmp_path: Path,
) -> None:
    found = []
    for attempt in range(3):  # what else runs on the machine delays one of them, a dead link would delay all
        directory = tmp_path / str(attempt)
        directory.mkdir()
        found.append(asyncio.run(beside_a_black_hole(directory, dead=True, cycles=12)))
        if found[-1].p99_s < 0.05 * INTERVAL_MS / 1000 and not found[-1].missed:
            return
    pytest.fail(f"late each time: {found}")


def test_beside_three_silent_units_of_twenty_the_others_are_read_in_every_slot(tmp_path: Path) -> None:
    found = asyncio.run(behind_a_gateway(tmp_path, patience="300ms", cycles=14))
    assert found.missed == 0
    assert found.worst_s < 0.3, "a probe comes after all units that answer"
