"""CPU and memory of runs, for people: sampled every few seconds, never part of a decision about life."""

from __future__ import annotations

import time
from collections.abc import Iterable

from reconciler.model import ProcessId
from reconciler.processes import proctable
from reconciler.processes.runs import Run, Usage


class Sampler:
    """Remembers the CPU time of each process between samples."""

    def __init__(self) -> None:
        self._ticks: dict[ProcessId, int] = {}
        self._at = time.monotonic()

    def sample(self, runs: Iterable[Run]) -> None:
        """Set `usage` of every run: all its members together. Raises OSError."""
        now = time.monotonic()
        elapsed_ticks = max(now - self._at, 1e-3) * proctable.TICKS_PER_S
        ticks: dict[ProcessId, int] = {}
        for run in runs:
            used = memory = 0
            for process in run.members:
                stat = proctable.stat(process.pid)
                if stat is None or stat.start_ticks != process.start_ticks:
                    continue
                ticks[process] = stat.cpu_ticks
                used += stat.cpu_ticks - self._ticks.get(process, stat.cpu_ticks)
                memory += stat.rss_bytes
            run.usage = Usage(round(100 * used / elapsed_ticks, 1), memory)
        self._ticks, self._at = ticks, now
