"""The two clocks of a pass: the one that decisions compare, and the wall clock, which may be set at any time."""

from __future__ import annotations

import time

from collectors.contract import monotonic

SET_S = 2.0
"""A wall clock that moved this much more or less than the other one was set; less is only being kept right."""


class Clock:
    """Reads both, and knows how far the wall clock was set since the last time."""

    def __init__(self) -> None:
        self._ahead = time.time() - monotonic()

    def read(self) -> tuple[float, float, float]:
        """Monotonic seconds, epoch seconds, and by how many seconds the latter were set in between (0 for not)."""
        now, wall = monotonic(), time.time()
        step_s, self._ahead = wall - now - self._ahead, wall - now
        return now, wall, step_s if abs(step_s) >= SET_S else 0.0
