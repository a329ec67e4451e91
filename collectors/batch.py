"""Lines on their way into the outbox: gathered, and committed once per poll or every quarter of a second.

While the outbox cannot be written (the disk is full, a damaged file is being rebuilt) they wait in memory, the oldest
dropped and counted beyond :data:`HOLD_BYTES`; the next commit tries again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from collectors.contract import Points, Trouble
from collectors.outbox import Outbox

COMMIT_WITHIN_S = 0.25
HOLD_BYTES = 16 << 20
"""What is kept in memory while the outbox cannot be written."""

log = logging.getLogger("collectors.batch")


class Part(NamedTuple):
    """Newline-separated lines of `points` fields in all, for `sinks`."""

    lines: bytes
    points: int
    sinks: tuple[str, ...]


class Batch:
    """Lines that are not committed yet; they stay with the sinks they were read for.

    While one cycle is :meth:`together` others may join the same transaction. `trouble` says why nothing can be
    committed at present; `total` counts the points added.
    """

    def __init__(self, outbox: Outbox, sinks: tuple[str, ...]) -> None:
        self.total = 0
        self.trouble: Trouble | None = None
        self._outbox = outbox
        self._sinks = sinks
        self._lines: list[str] = []
        self._points = 0
        self._held: deque[Part] = deque()
        self._held_bytes = 0
        self._lost: Counter[str] = Counter()
        self._cycles = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: str, points: int) -> None:
        """One line of that many fields."""
        self._lines.append(line)
        self._points += points
        self.total += points
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COMMIT_WITHIN_S, self.commit)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What a cycle of reads adds is committed at its end; the last one of several cycles commits."""
        self._cycles += 1
        try:
            yield
        finally:
            self._cycles -= 1
            if not self._cycles:
                self.commit()

    def route(self, sinks: tuple[str, ...]) -> None:
        """Lines added from now on are for these sinks."""
        if sinks != self._sinks:
            self.commit()
            self._sinks = sinks

    def commit(self) -> None:
        """Put what there is into the outbox; where that fails, it is kept and tried again with the next."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            self._hold(Part("\n".join(self._lines).encode(), self._points, self._sinks))
            self._lines, self._points = [], 0
        try:
            while self._held:
                self._outbox.append(*self._held[0])
                self._held_bytes -= len(self._held.popleft().lines)
            if self._lost:
                self._outbox.lose(self._lost)
                self._lost = Counter()
        except (sqlite3.Error, OSError) as error:
            self._refused(error)
            return
        if self.trouble:
            log.info("the outbox can be written again")
            self.trouble = None

    def counts(self) -> dict[str, Points]:
        """Points by sink, those in memory and those dropped from there included."""
        counts = self._outbox.counts()
        for part in self._held:
            for sink in part.sinks:
                counts[sink] = counts.get(sink, Points()) + Points(part.points, queued=part.points)
        for sink, points in self._lost.items():
            counts[sink] = counts.get(sink, Points()) + Points(points, dropped=points)
        return counts

    def close(self) -> None:
        """Commit for the last time; what cannot be is lost with this process, and said."""
        self.commit()
        if self._held:
            points = sum(part.points for part in self._held)
            log.error("cannot keep %d points that were in memory: the outbox cannot be written", points)

    def _hold(self, part: Part) -> None:
        self._held.append(part)
        self._held_bytes += len(part.lines)
        while self._held_bytes > HOLD_BYTES:
            oldest = self._held.popleft()
            self._held_bytes -= len(oldest.lines)
            self._lost.update(dict.fromkeys(oldest.sinks, oldest.points))

    def _refused(self, error: Exception) -> None:
        message = f"cannot write the outbox: {error}; up to {HOLD_BYTES >> 20} MiB are kept in memory"
        if self.trouble is None or self.trouble.message != message:
            log.error("%s", message)
            self.trouble = Trouble("OutboxUnwritable", message, time.time())
