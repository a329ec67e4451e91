"""CPU and memory of runs, for people and for `resources.memory`: sampled every few seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from reconciler.model import ProcessId
from reconciler.processes import proctable
from reconciler.processes.runs import Run, Usage

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """Remembers the CPU seconds of each process between samples."""

    def __init__(self) -> None:
        self._known: dict[ProcessId, float] = {}
        self._at = time.monotonic()

    def sample(self, runs: Iterable[Run]) -> None:
        """Set `usage` of every run: all its members together."""
        now = time.monotonic()
        elapsed_s = max(now - self._at, 1e-3)
        known = {}
        for run in runs:
            used_s = 0.0
            memory = 0
            for member in run.members:
                try:
                    stat = proctable.stat(member.pid)
                except OSError:  # told of when the table is read
                    continue
                if stat is None or stat.start_ticks != member.start_ticks:
                    continue
                known[member] = stat.cpu_s
                used_s += stat.cpu_s - self._known.get(member, stat.cpu_s)
                memory += stat.resident_pages * PAGE_BYTES
            run.usage = Usage(round(100 * used_s / elapsed_s, 1), memory)
        self._known, self._at = known, now
