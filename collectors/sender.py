"""The process of a Sink: drains every outbox that holds points for it, oldest first, collectors in turn.

Take a batch (publish it as in flight), deliver it, acknowledge it, take the next. Nothing is kept in
memory beyond one batch: while the sink is out, data stays in the outboxes.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import ExitStack, closing
from dataclasses import replace

from collectors.contract import EXIT_CONFIG, EXIT_STOPPED, REPORT_EVERY_S, Report, SpecFile, StateDir, Trouble
from collectors.cursors import Cursors
from collectors.delivery import Delivery
from collectors.feed import Chunk, Feed, refresh
from collectors.outbox import turn
from collectors.quantities import parse_duration
from collectors.report import Rate, Reporter
from collectors.sinks import Sink, open_sink


async def run(spec: SpecFile, state: StateDir, stop: asyncio.Event) -> int:
    """Send until asked to stop; the exit code. A request under way is finished first.

    Raises sqlite3.Error or OSError (in a group, once it runs) where the state directory is unusable.
    """
    log = logging.getLogger(spec.name)
    try:
        sink = open_sink(spec, state)
        sender = Sender(spec, state, stop, sink)
    except ValueError as wrong:
        log.error("cannot send: %s", wrong)
        return EXIT_CONFIG
    _allow_many_files()
    with closing(sink), closing(sender):
        await sender.run()
    return EXIT_STOPPED


class Sender:
    """One sink, its cursors, and the outboxes it drains."""

    def __init__(self, spec: SpecFile, state: StateDir, stop: asyncio.Event, sink: Sink) -> None:
        """Raises ValueError for a wrong spec, sqlite3.Error or OSError where cursors cannot be opened."""
        batch = spec.spec.get("batch", {})
        self._lines = int(batch.get("lines", 5000))
        self._max_age_s = parse_duration(batch.get("maxAge", "1s"))
        self._state = state
        self._stop = stop
        self._feeds: dict[str, Feed] = {}
        self._order: list[str] = []
        self._cursors = Cursors(state, spec.name)
        self._delivery = Delivery(
            sink, state.dead_letters(spec.name), stop, logging.getLogger(spec.name), self._tell
        )
        self._reporter = Reporter(spec, state, self._figures)
        self._rate = Rate()
        self._held: Trouble | None = None
        self._cycled = False
        self._news = asyncio.Event()
        self._name = spec.name

    async def run(self) -> None:
        """Drain, wait `maxAge`, again; report all the while, also through an outage."""
        async with asyncio.TaskGroup() as together:
            reporting = together.create_task(self._report())
            while not self._stop.is_set():
                await self._drain()
                self._tell(self._held)
                await _pause(self._stop, self._max_age_s)
            reporting.cancel()
        self._reporter.write_if_due()

    def close(self) -> None:
        """Release the databases."""
        for feed in self._feeds.values():
            feed.close()
        self._cursors.close()

    async def _drain(self) -> None:
        """Send full batches until what is left is less than one, and that too."""
        self._feeds = refresh(self._feeds, self._state, self._name)
        self._order = [c for c in self._order if c in self._feeds]
        self._order += [c for c in self._feeds if c not in self._order]
        while not self._stop.is_set() and (batch := self._take()):
            rejected = await self._delivery.deliver(batch)
            if rejected is None:
                return
            points: dict[str, int] = {}
            for chunk in batch:
                points[chunk.uuid] = points.get(chunk.uuid, 0) + chunk.points
            self._cursors.acknowledge({u: (n - rejected[u], rejected[u]) for u, n in points.items()})
            if sum(chunk.body.count(b"\n") + 1 for chunk in batch) < self._lines:
                return

    def _take(self) -> list[Chunk]:
        """The next batch, its rows committed as in flight; who gave the last line comes last next time."""
        batch: list[Chunk] = []
        flight: dict[str, tuple[str, int, int]] = {}
        room = self._lines
        with ExitStack() as turns:
            for collector in list(self._order):
                feed = self._feeds[collector]
                if not turns.enter_context(turn(feed.path)):
                    continue
                first, last, chunks = feed.take(self._cursors.get(feed.uuid).position, room)
                if not chunks:
                    continue
                flight[feed.uuid] = (collector, first, last)
                batch += chunks
                room -= sum(chunk.body.count(b"\n") + 1 for chunk in chunks)
                self._order.remove(collector)
                self._order.append(collector)
                if room <= 0:
                    break
            if flight:
                self._cursors.take_off(flight)
        return batch

    def _tell(self, held: Trouble | None) -> None:
        """The sink was tried, or there was nothing to send; a change goes to the report at once."""
        if (self._held, self._cycled) != (held, True):
            self._held, self._cycled = held, True
            self._news.set()

    def _figures(self, report: Report) -> Report:
        points = {name: feed.counts(self._cursors.get(feed.uuid)) for name, feed in self._feeds.items()}
        return replace(
            report,
            cycled=self._cycled,
            points=points,
            points_per_second=self._rate.of(sum(p.delivered for p in points.values())),
            held=self._held,
        )

    async def _report(self) -> None:
        while True:
            self._reporter.write_if_due()
            await _pause(self._news, REPORT_EVERY_S)
            self._news.clear()


async def _pause(until: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(until.wait(), seconds)
    except TimeoutError:
        return


def _allow_many_files() -> None:
    """Each outbox takes three descriptors, and a fourth while its rows are chosen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
