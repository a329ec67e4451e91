"""A child's report: built from its figures, written when something changed or the last one grows old."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from collectors.bell import ring
from collectors.contract import (
    ENV_INSTANCE,
    REPORT_EVERY_S,
    Report,
    SpecFile,
    StateDir,
    boot_id,
    monotonic,
    read_json,
    to_json,
    write_json,
)

RATE_OVER_S = 10.0


class Reporter:
    """Writes the report of one child; `figures` fills in what it knows."""

    def __init__(self, spec: SpecFile, state: StateDir, figures: Callable[[Report], Report]) -> None:
        self._state = state
        self._path = state.report(spec.name)
        self._figures = figures
        self._blank = Report(
            name=spec.name,
            instance=os.environ.get(ENV_INSTANCE, ""),
            digest=spec.digest,
            pid=os.getpid(),
            boot_id=boot_id(),
            monotonic_s=0.0,
            at=0.0,
        )
        self._last: Report | None = None

    def before(self) -> Report | None:
        """The last report of this name, of whatever instance; None where there is none to be read."""
        try:
            return Report.from_json(read_json(self._path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_if_due(self) -> None:
        """Write a report if anything but its counters and times changed, or it is time. Raises OSError."""
        report = self._now()
        last = self._last
        young = last is not None and report.monotonic_s - last.monotonic_s < REPORT_EVERY_S
        if last and young and last.news == report.news:
            return
        self._put(report)

    def write(self) -> None:
        """Write a report. Raises OSError."""
        self._put(self._now())

    def _now(self) -> Report:
        return replace(self._figures(self._blank), monotonic_s=monotonic(), at=time.time())

    def _put(self, report: Report) -> None:
        write_json(self._path, to_json(report))
        if self._last is None or self._last.news != report.news:
            ring(self._state, report.name)
        self._last = report


class Rate:
    """How fast a total grows, per second over the last `over_s` seconds."""

    def __init__(self, over_s: float = RATE_OVER_S) -> None:
        self._over_s = over_s
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, total: int) -> float:
        """The rate, given the total so far."""
        now = monotonic()
        self._seen.append((now, total))
        while self._seen[0][0] < now - self._over_s and len(self._seen) > 2:
            self._seen.popleft()
        first_at, first = self._seen[0]
        return round((total - first) / max(1.0, now - first_at), 1)
