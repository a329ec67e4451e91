"""Children that ring are heard, however many ring at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from collectors.bell import ring
from collectors.contract import StateDir
from reconciler.loop.doorbell import Doorbell

AT_ONCE = 3
"""The kernel keeps ten datagrams, where nobody has set net.unix.max_dgram_qlen."""
DEADLINE_S = 10.0


def test_all_that_ring_are_heard_in_few_calls(tmp_path: Path) -> None:
    names = {f"c{n}" for n in range(100)}
    calls: list[Collection[str]] = []

    async def listen() -> None:
        all_heard = asyncio.Event()

        def rung(who: Collection[str]) -> None:
            calls.append(who)
            if set().union(*calls) == names:
                all_heard.set()

        bell = Doorbell(StateDir(tmp_path), rung)
        try:
            for n, name in enumerate(sorted(names)):
                ring(StateDir(tmp_path), name)
                if n % AT_ONCE == 0:
                    await asyncio.sleep(0)
            async with asyncio.timeout(DEADLINE_S):
                await all_heard.wait()
        finally:
            bell.close()

    asyncio.run(listen())
    assert len(calls) <= 10


def test_nobody_listens_and_nothing_fails(tmp_path: Path) -> None:
    ring(StateDir(tmp_path), "c")
    ring(StateDir(tmp_path / "gone"), "c")
