"""CPU and memory of runs, for people: sampled every few seconds, never part of a decision about life."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from reconciler.model import ProcessId
from reconciler.processes.runs import Run, Usage


class Sampler:
    """Remembers each process, and its CPU seconds, between samples."""

    def __init__(self) -> None:
        self._known: dict[ProcessId, tuple[psutil.Process, float]] = {}
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
                    process, before_s = self._known.get(member) or (psutil.Process(member.pid), None)
                    with process.oneshot():
                        times, resident = process.cpu_times(), process.memory_info().rss
                except psutil.Error:  # it has gone, or is another user's
                    continue
                cpu_s = times.user + times.system
                known[member] = process, cpu_s
                used_s += cpu_s - (cpu_s if before_s is None else before_s)
                memory += resident
            run.usage = Usage(round(100 * used_s / elapsed_s, 1), memory)
        self._known, self._at = known, now
