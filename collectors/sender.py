"""The process of a Sink: drains every outbox that holds points for it.

Each second (`batch.maxAge`), and at once after a full one, it takes a batch, publishes its rows as on their
way, and delivers and acknowledges it, while the next one may already be under way: as many requests at a
time as the sink takes. So a batch that is retried line by line holds up no other. Nothing is kept in memory
beyond these batches: while the sink is out, data stays in the outboxes.

Which rows a batch takes, so that neither the newest nor the oldest wait, says taking.py.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from collectors.contract import EXIT_CONFIG, EXIT_STOPPED, REPORT_EVERY_S, Report, SpecFile, StateDir, Trouble
from collectors.cursors import Cursors, Settled
from collectors.delivery import Delivery
from collectors.hours import by_hour, hour_of
from collectors.letters import Letter, Letters
from collectors.quantities import parse_duration
from collectors.replay import replay
from collectors.report import Rate, Reporter
from collectors.sinks import Sink, open_sink
from collectors.taking import Batch, Taking

NOTE_AGAIN_S = 1.0
"""While the disk is full or read-only."""
UNWRITABLE = sqlite3.OperationalError, OSError
"""What says so."""


async def run(spec: SpecFile, state: StateDir, stop: asyncio.Event) -> int:
    """Send until asked to stop; the exit code. A request under way is finished first.

    Raises sqlite3.Error or OSError (in a group) where it cannot note what was sent even at its end.
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
        """Raises ValueError for a wrong spec."""
        batch = spec.spec.get("batch", {})
        self._lines = int(batch.get("lines", 5000))
        self._max_age_s = parse_duration(batch.get("maxAge", "1s"))
        self._at_once = sink.at_once
        self._state = state
        self._stop = stop
        self._cursors = Cursors(state, spec.name)
        self._taking = Taking(state, spec.name, self._cursors, self._lines, self._max_age_s)
        self._log = log = logging.getLogger(spec.name)
        self._letters = Letters(state, spec.name, log)
        self._delivery = Delivery(sink, stop, log, self._tell)
        self._reporter = Reporter(spec, state, self._figures)
        self._rate = Rate()
        self._held: Trouble | None = None
        self._cycled = False
        self._news = asyncio.Event()
        self._name = spec.name

    async def run(self) -> None:
        """Send, and report all the while, also through an outage."""
        async with asyncio.TaskGroup() as together:
            reporting = together.create_task(self._report())
            await self._send(together)
            reporting.cancel()
        self._write_report()

    def close(self) -> None:
        """Release the databases."""
        self._taking.close()
        self._cursors.close()

    async def _send(self, together: asyncio.TaskGroup) -> None:
        """Take and deliver until asked to stop, and then what is under way to its end."""
        flying: set[asyncio.Task[None]] = set()
        replaying: asyncio.Task[None] | None = None
        while not self._stop.is_set():
            await self._delivery.quiet()
            try:
                batch = self._taking.take()
            except UNWRITABLE as error:
                self._cannot_note(error)
                await _pause(self._stop, NOTE_AGAIN_S)
                continue
            if batch.taken:
                flying.add(together.create_task(self._deliver(batch)))
            elif not flying:
                self._tell(self._delivery.trouble)
            if self._letters.asked() and (replaying is None or replaying.done()):
                replaying = together.create_task(self._replay())
            if batch.lines < self._lines:
                await _pause(self._stop, self._max_age_s)
            if len(flying) >= self._at_once:
                await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            flying = {task for task in flying if not task.done()}
        await asyncio.gather(*flying, *([replaying] if replaying else []))

    async def _deliver(self, batch: Batch) -> None:
        """Bring a batch to its end. Undelivered, its rows stay on their way for a successor, or are put back."""
        refused = await self._delivery.deliver(batch.chunks) if batch.chunks else []
        if refused is not None:
            await self._note(partial(self._letters.add, refused))
            if refused:
                self._news.set()
            await self._note(partial(self._cursors.acknowledge, _settled(batch, refused)))
        elif not self._stop.is_set():
            back = {feed.uuid: taken.rows for feed, taken in batch.taken.items()}
            await self._note(partial(self._cursors.put_back, back))
            for feed in batch.taken:
                feed.look_again()

    async def _note(self, commit: Callable[[], None]) -> None:
        """Commit, as soon as the disk takes it. Raises what it raised when asked to stop before."""
        while True:
            try:
                commit()
            except UNWRITABLE as error:
                if self._stop.is_set():
                    raise
                self._cannot_note(error)
                await _pause(self._stop, NOTE_AGAIN_S)
            else:
                return

    def _cannot_note(self, error: Exception) -> None:
        message = f"cannot note what is sent: {error}; nothing is sent until it can"
        if self._held is None or self._held.message != message:
            self._log.error("%s", message)
            self._tell(Trouble("CursorsUnwritable", message, time.time()))

    async def _replay(self) -> None:
        path = self._state.dead_letters(self._name)
        try:
            replayed = await replay(self._letters, path, self._delivery, self._cursors)
            if replayed:
                self._letters.answer(replayed)
                self._news.set()
        except UNWRITABLE as error:  # who asked still waits: it begins again
            self._cannot_note(error)
            await _pause(self._stop, NOTE_AGAIN_S)

    def _tell(self, held: Trouble | None) -> None:
        """The sink was tried, or there was nothing to send; a change goes to the report at once."""
        if (self._held, self._cycled) != (held, True):
            self._held, self._cycled = held, True
            self._news.set()

    def _figures(self, report: Report) -> Report:
        points = {f.collector: f.counts(self._cursors.get(f.uuid)) for f in self._taking.feeds}
        return replace(
            report,
            cycled=self._cycled,
            points=points,
            points_per_second=self._rate.of(sum(p.delivered for p in points.values())),
            held=self._held,
            troubles={"Healthy": rejecting} if (rejecting := self._letters.trouble) else {},
        )

    async def _report(self) -> None:
        while True:
            self._write_report()
            await _pause(self._news, REPORT_EVERY_S)
            self._news.clear()

    def _write_report(self) -> None:
        """A disk that takes no report is no reason to end, nor to end with an error."""
        try:
            self._reporter.write_if_due()
        except UNWRITABLE as error:
            self._log.error("cannot write the report: %s", error)


def _settled(batch: Batch, refused: Sequence[Letter]) -> dict[str, Settled]:
    """What became of a batch, by outbox uuid."""
    lost: dict[str, Counter[int]] = {}
    for letter in refused:
        lost.setdefault(letter.outbox, Counter())[hour_of(letter.line.encode())] += letter.points
    settled = {}
    for feed, taken in batch.taken.items():
        hours: Counter[int] = Counter()
        for chunk in taken.chunks:
            hours.update(by_hour(chunk.body, chunk.points))
        rejected = lost.get(feed.uuid, Counter[int]()) & hours  # a nonsense line may claim more points
        settled[feed.uuid] = Settled(taken.rows, rejected.total(), hours - rejected)
    return settled


async def _pause(until: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        return


def _allow_many_files() -> None:
    """Each outbox takes three descriptors, and a fourth while its rows are chosen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
