"""A collector's buffer as a whole, batch and outbox: kept within its limits, mended, and told of in the report."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from dataclasses import replace

from collectors.batch import Batch
from collectors.contract import BufferReport, Report, Trouble
from collectors.live import Live
from collectors.outbox import Outbox
from collectors.report import Rate

FILLS_OVER_S = 60.0
"""How fast it fills is measured over this time."""
DROPPING_S = 60.0
"""So long after the last drop it is said that data is dropped."""

log = logging.getLogger("collectors.buffer")


class Buffer:
    """What lies between a collector's devices and its sinks."""

    def __init__(self, outbox: Outbox, batch: Batch, live: Live) -> None:
        self._outbox = outbox
        self._batch = batch
        self._live = live
        self._fills = Rate(FILLS_OVER_S)
        self._fills.of(outbox.stored_bytes)  # the rate counts from here, not from the first report
        self._dropping: Trouble | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._said: str | None = None

    def maintain(self) -> None:
        """Once a second: take over changed limits and sinks, drop what is beyond them, mend what is damaged."""
        self._batch.route(self._live.sinks)
        if self._batch.trouble:
            self._batch.commit()
        try:
            self._outbox.maintain(self._live.max_bytes, self._live.max_age_s)
            self._said = None
        except (sqlite3.Error, OSError) as error:
            self._say(f"cannot maintain the outbox: {error}")
        if self._outbox.damage and (self._rebuilding is None or self._rebuilding.done()):
            self._rebuilding = asyncio.create_task(self._rebuild())

    def figures(self, report: Report) -> Report:
        """The report with what is known here."""
        troubles = {}
        if trouble := self._batch.trouble or self._now_dropping():
            troubles["DataHeld"] = trouble
        if aside := self._outbox.set_aside:
            troubles["Healthy"] = Trouble(
                "OutboxDamaged",
                f"the outbox was damaged; what could be read was taken over, and what is known to be lost counted as"
                f" dropped. The damaged file is outbox/{aside[0]}; remove it once you have looked at it",
                aside[1],
            )
        return replace(report, points=self._batch.counts(), buffer=self._report(), troubles=troubles)

    async def _rebuild(self) -> None:
        """Beside everything else, which goes on in memory."""
        try:
            await asyncio.to_thread(self._outbox.rebuild)
        except (sqlite3.Error, OSError) as error:
            self._say(f"cannot rebuild the damaged outbox: {error}")

    def _report(self) -> BufferReport | None:
        fills = self._fills.of(self._outbox.stored_bytes)
        try:
            used, oldest_s = self._outbox.size(), self._outbox.oldest_s()
        except (sqlite3.Error, OSError):
            return None
        left = [self._live.max_age_s - oldest_s]
        if fills > 0:
            left.append((self._live.max_bytes - used) / fills)
        return BufferReport(used, self._live.max_bytes, round(max(0.0, min(left)), 1))

    def _now_dropping(self) -> Trouble | None:
        at = self._outbox.dropped_at
        if at is None or time.monotonic() - at > DROPPING_S:
            self._dropping = None
        elif self._dropping is None:
            limits = f"{self._live.max_bytes >> 20} MiB, {self._live.max_age_s / 3600:g} h"
            self._dropping = Trouble(
                "DataDropped", f"the buffer is full ({limits}): the oldest readings are dropped", time.time()
            )
        return self._dropping

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.error("%s", what)
