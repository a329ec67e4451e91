"""A built-in collector as a process: one task per link, and once a second the housekeeping."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from collectors import protocols
from collectors.batch import Batch
from collectors.buffer import Buffer
from collectors.clock import Clock
from collectors.contract import EXIT_CONFIG, EXIT_STOPPED, Report, SpecFile, StateDir
from collectors.follow import SessionLoop
from collectors.live import Live
from collectors.model import Link
from collectors.newest import NewestFile
from collectors.outbox import Outbox
from collectors.poll import LinkLoop
from collectors.readings import Readings, count_stale
from collectors.report import Rate, Reporter
from collectors.schedule import Slots
from collectors.session import Home, SessionFile
from collectors.spec import CollectorSpec, SpecError, parse
from collectors.unit import Unit

HOUSEKEEPING_S = 1.0
FINISH_WITHIN_S = 5.0
"""For a request under way when asked to stop."""

log = logging.getLogger("collectors")


async def run(spec: SpecFile, state: StateDir, stop: asyncio.Event) -> int:
    """Collect until `stop` is set; returns the exit code."""
    try:
        parsed = parse(spec.name, spec.spec)
    except (SpecError, LookupError, ValueError) as error:
        log.error("%s", error)
        return EXIT_CONFIG
    with Outbox(state, spec.name) as outbox:
        await Collector(spec, parsed, state, outbox).run(stop)
    return EXIT_STOPPED


def loops(
    spec: CollectorSpec,
    units: Sequence[Unit],
    home: Home,
    together: Callable[[], AbstractContextManager[object]],
) -> Sequence[LinkLoop | SessionLoop]:
    """One for each session, or for each link that units share."""
    protocol, slots = protocols.load(spec.type), Slots.of(spec.name, spec.interval_ms)
    if isinstance(protocol, SessionFile):
        return [SessionLoop(protocol.source(u.device, home), u, slots) for u in units]
    by_link: dict[Link, list[Unit]] = {}
    for unit in units:
        by_link.setdefault(unit.device.link, []).append(unit)
    return [LinkLoop(protocol, link, shared, slots, together) for link, shared in by_link.items()]


class Collector:
    """The links of one collector, its outbox and its report."""

    def __init__(self, file: SpecFile, spec: CollectorSpec, state: StateDir, outbox: Outbox) -> None:
        self._live = Live(state, file.name)
        self._batch = Batch(outbox, self._live.sinks)
        self._buffer = Buffer(outbox, self._batch, self._live)
        self._reporter = Reporter(file, state, self._figures)
        self._rate = Rate()
        before = self._reporter.before()
        self._clock = Clock(before.newest_at if before else 0.0)
        self._changed = asyncio.Event()
        began = time.monotonic()
        self._units = [
            Unit(
                device,
                Readings(spec, device, self._batch.add, began),
                self._changed.set,
            )
            for device in spec.devices
        ]
        self._newest = NewestFile(state, file.name, self._units, lambda: self._live.texts)
        home = Home(state, Path(file.directory), file.node)
        self._links = loops(spec, self._units, home, self._batch.together)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set. An error that nobody foresaw ends all tasks and is raised."""
        links = [asyncio.create_task(link.run(stop)) for link in self._links]
        keeper = asyncio.create_task(self._keep_house(stop))
        try:
            done, _ = await asyncio.wait([*links, keeper], return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            self._changed.set()
            done, late = await asyncio.wait([*links, keeper], timeout=FINISH_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for task in done:
                task.result()
        finally:
            self._batch.close()
        self._reporter.write()

    async def _keep_house(self, stop: asyncio.Event) -> None:
        """Once a second, and at once after a change: staleness, live file, report, limits of the outbox."""
        while not stop.is_set():
            self._live.look()
            self._newest.look()
            now_ns, now = time.time_ns(), time.monotonic()
            self._clock.look(now_ns / 1e9)
            for unit in self._units:
                unit.readings.grow_stale(unit.reason, now_ns, now)
            self._buffer.maintain()
            try:
                self._reporter.write_if_due()
            except OSError as error:
                log.error("cannot write the report: %s", error)
            try:
                async with asyncio.timeout(HOUSEKEEPING_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
            self._changed.clear()

    def _figures(self, report: Report) -> Report:
        report = self._buffer.figures(report)
        behind = self._clock.behind
        return replace(
            report,
            cycled=all(link.cycled for link in self._links),
            devices=tuple(unit.report() for unit in self._units),
            points_per_second=self._rate.of(self._batch.total),
            stale_tags=count_stale(unit.readings for unit in self._units),
            troubles={**report.troubles, **({"ClockBehind": behind} if behind else {})},
            newest_at=self._clock.newest_at,
        )
