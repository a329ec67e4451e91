"""A collector that is killed at any moment loses the readings of the running quarter of a second at most."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from itertools import count
from pathlib import Path

import pytest

from collectors.batch import COMMIT_WITHIN_S
from collectors.simulate.memory import Table, number
from collectors.simulate.modbus import serve
from tests.collectors.running import collector, until

pytestmark = pytest.mark.e2e

KILLS = 8
SLACK_S = 0.25
"""Between a commit that is due and done, on a busy machine."""


def test_what_was_answered_is_stored_but_for_the_last_quarter_of_a_second(tmp_path: Path) -> None:
    answered: dict[int, float] = {}
    reads = count(1)

    def answer(_: float) -> float:
        answered[number_ := next(reads)] = time.monotonic()
        return float(number_)

    async def main() -> None:
        table = Table(10, [number(0, "I", answer)])
        async with serve({1: {"holding": table}}) as device:
            spec = {
                "type": "modbus",
                "interval": "50ms",
                "devices": [{"host": "127.0.0.1", "port": device.port}],
                "tags": [{"name": "n", "address": "holding:0", "type": "uint32"}],
            }
            for _ in range(KILLS):
                began = len(answered)
                async with collector(tmp_path, spec) as running:
                    await until(lambda began=began: len(answered) > began + 5, "readings")  # type: ignore[misc]
                    await asyncio.sleep(random.uniform(0.4, 0.9))  # the moment is the point
                    killed = time.monotonic()
                    await running.stop(signal.SIGKILL)
                stored = {fields["n"] for _, _, fields, _ in running.rows()}
                due = {
                    n for n, at in answered.items() if began < n and at < killed - COMMIT_WITHIN_S - SLACK_S
                }
                assert due
                assert due <= stored
                assert len(stored) == len(running.rows())

    asyncio.run(main())
