"""Lines on their way into the outbox: gathered, and committed once per poll or every quarter of a second."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from collectors.outbox import Outbox

COMMIT_WITHIN_S = 0.25
HOLD_BYTES = 16 << 20
"""What is kept in memory while the outbox cannot be written."""

log = logging.getLogger("collectors.batch")


class Batch:
    """Lines that are not committed yet; they stay with the sinks they were read for.

    While one cycle is :meth:`together` others may join the same transaction.
    """

    def __init__(self, outbox: Outbox, sinks: tuple[str, ...]) -> None:
        self._outbox = outbox
        self._sinks = sinks
        self._lines: list[str] = []
        self._points = 0
        self._bytes = 0
        self._cycles = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self.total = 0

    def add(self, line: str, points: int) -> None:
        """One line of that many fields."""
        self._lines.append(line)
        self._points += points
        self._bytes += len(line)
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
        if not self._lines:
            return
        try:
            self._outbox.append("\n".join(self._lines).encode(), self._points, self._sinks)
        except sqlite3.Error as error:
            self._hold(error)
            return
        self._failing = False
        self._lines, self._points, self._bytes = [], 0, 0

    def _hold(self, error: sqlite3.Error) -> None:
        if not self._failing:
            log.error("cannot write the outbox: %s; readings are kept in memory", error)
        self._failing = True
        if self._bytes > HOLD_BYTES:
            log.error("cannot keep more in memory: %d points are lost", self._points)
            self._lines, self._points, self._bytes = [], 0, 0
