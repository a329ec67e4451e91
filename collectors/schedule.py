"""When a collector reads: slots on a grid of the wall clock, the same after every restart. Pure.

Slot n of an interval stands at n × interval since the epoch; intervals below one minute are shifted by a
phase that the collector's name fixes, so that many collectors do not read at the same moment.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

MINUTE_NS = 60_000_000_000
STEP_NS = 500_000_000
"""The wall clock was set when it moved this much more, or less, than the clock that never steps."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The grid; times in ns since the epoch."""

    interval_ns: int
    phase_ns: int

    @classmethod
    def of(cls, name: str, interval_ms: int) -> Slots:
        """The grid of a collector."""
        interval_ns = interval_ms * 1_000_000
        phase_ns = zlib.crc32(name.encode()) % interval_ms * 1_000_000 if interval_ns < MINUTE_NS else 0
        return cls(interval_ns, phase_ns)

    def index(self, at_ns: int) -> int:
        """The slot at or before a time."""
        return (at_ns - self.phase_ns) // self.interval_ns

    def at(self, index: int) -> int:
        """When a slot begins."""
        return index * self.interval_ns + self.phase_ns

    def wait_ns(self, index: int, now_ns: int) -> int:
        """How long to sleep before looking at the clock again, at most one interval; 0: it has begun."""
        return max(0, min(self.at(index) - now_ns, self.interval_ns))


def is_due(every: int, index: int, previous: int | None) -> bool:
    """Whether a tag read every so many slots is due at `index`, last looked at in slot `previous`.

    It is due when one of its own slots has come since; so a missed one is caught at the next slot, once.
    """
    return previous is None or index // every != previous // every


def clock_step_ns(wall_ns: int, monotonic_ns: int) -> int:
    """How far the wall clock was set while both clocks moved by these; 0 for none."""
    step = wall_ns - monotonic_ns
    return step if abs(step) >= STEP_NS else 0
