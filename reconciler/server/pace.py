"""So many answers a second over all clients: who asks faster waits, and so a flood of questions slows no pass."""

from __future__ import annotations

import asyncio

PER_S = 100.0
AT_ONCE = 100
"""Answers given without a wait after a quiet time."""


class Pace:
    """Turns, one after the other."""

    def __init__(self) -> None:
        self._next = float("-inf")

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next + 1 / PER_S, now - AT_ONCE / PER_S)
        if self._next > now:
            await asyncio.sleep(self._next - now)
