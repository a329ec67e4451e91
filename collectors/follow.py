"""One session's loop: open, follow or poll, and begin anew with a fresh session whenever it is lost.

Each device has its own task and session. After every gap all tags are read again; tags that the device
refuses are asked for at each new session and every ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable

from collectors.contract import Quarantined
from collectors.model import LinkLostError
from collectors.schedule import Slots, clock_step_ns
from collectors.session import Sample, Source
from collectors.unit import Unit

RECONNECT_S = 0.5
RECONNECT_MAX_S = 5.0
"""Other links wait up to 30 s; a session takes seconds to make and values are promised within ten of its return."""
CHECK_EVERY_S = 600.0
"""Tags that are refused are tried again, and the others read once, for a server may forget one in silence."""

log = logging.getLogger("collectors.follow")


class SessionLoop:
    """A device that is spoken to in sessions."""

    def __init__(
        self, source: Source, unit: Unit, slots: Slots, check_every_s: float = CHECK_EVERY_S
    ) -> None:
        self._source = source
        self._unit = unit
        self._slots = slots
        self._retry_s = RECONNECT_S
        self._check_every_s = check_every_s
        self._check_at = 0.0
        self.cycled = False

    async def run(self, stop: asyncio.Event) -> None:
        """Hold sessions until `stop` is set; the last one is closed."""
        sessions = asyncio.create_task(self._sessions())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([sessions, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            sessions.cancel()
            await asyncio.gather(stopped, sessions, return_exceptions=True)
        if not sessions.cancelled():
            sessions.result()

    async def once(self) -> None:
        """One session: everything is read, and it is closed."""
        try:
            self._took(await self._source.open())
        except LinkLostError as error:
            self._unit.trouble(None, error)
        finally:
            await self._source.close()

    async def _sessions(self) -> None:
        while True:
            try:
                await self._session()
            except LinkLostError as error:
                self._unit.trouble(None, error)
            finally:
                self._tried()
                await self._source.close()
            await asyncio.sleep(self._retry_s * random.uniform(0.8, 1.2))
            self._retry_s = min(self._retry_s * 2, RECONNECT_MAX_S)

    async def _session(self) -> None:
        """One session until it is lost. Raises LinkLostError."""
        source, began = self._source, time.monotonic()
        samples = await source.open()
        self._check_at = time.monotonic() + self._check_every_s
        self._took(samples, time.monotonic() - began)
        self._retry_s = RECONNECT_S
        self._tried()
        await (self._follow() if source.sends else self._poll())

    async def _follow(self) -> None:
        while True:
            samples = await self._source.receive()
            self._took(samples)
            self._unit.readings.confirmed(time.time_ns(), time.monotonic())
            await self._check()

    async def _poll(self) -> None:
        index = self._slots.index(time.time_ns())
        while True:
            index = await self._next_slot(index)
            wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
            samples = await self._source.read()
            self._took(samples, (time.monotonic_ns() - monotonic_ns) / 1e9)
            await self._check()
            now_ns = time.time_ns()
            current = self._slots.index(now_ns)
            if not clock_step_ns(now_ns - wall_ns, time.monotonic_ns() - monotonic_ns):
                self._unit.late_cycles += max(0, current - index)
            index = current

    async def _next_slot(self, last: int) -> int:
        """Wait for the slot after `last`."""
        wanted = last + 1
        while True:
            wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
            wait_ns = self._slots.wait_ns(wanted, wall_ns)
            if not wait_ns:
                return wanted
            await asyncio.sleep(wait_ns / 1e9)
            if step := clock_step_ns(time.time_ns() - wall_ns, time.monotonic_ns() - monotonic_ns):
                log.warning("the clock was set by %+.1f s; slots are counted anew", step / 1e9)
                wanted = self._slots.index(time.time_ns()) + 1

    async def _check(self) -> None:
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + self._check_every_s
            self._took([*await self._source.retry(), *await self._source.read()])

    def _took(self, samples: Iterable[Sample], took_s: float | None = None) -> None:
        """Samples came, perhaps none: the device answers."""
        unit = self._unit
        unit.heard()
        unit.reads += 1
        unit.last_read_at = time.time()
        if took_s is not None:
            unit.cycle_ms = took_s * 1e3
        unit.readings.took(samples, time.monotonic())
        self._tell_lost()
        self._tell_refused()

    def _tell_lost(self) -> None:
        lost = self._source.lost
        if lost and not self._unit.lost_values:
            log.warning("%s drops values before they are fetched; write a longer queue",
                        self._unit.device.name)  # fmt: skip
        self._unit.lost_values = lost

    def _tell_refused(self) -> None:
        tags, refused = self._unit.device.tags, self._source.refused
        if not refused and not self._unit.quarantined:
            return
        quarantined = tuple(
            Quarantined(tags[i].name, tags[i].text, refusal.reason, refusal.since)
            for i, refusal in sorted(refused.items())
        )
        if quarantined != self._unit.quarantined:
            for one in set(quarantined) - set(self._unit.quarantined):
                log.warning("cannot read %s (%s) of %s: %s",
                            one.tag, one.address, self._unit.device.name, one.reason)  # fmt: skip
            self._unit.quarantined = quarantined
            self._unit.changed()

    def _tried(self) -> None:
        if not self.cycled:
            self.cycled = True
            self._unit.changed()
