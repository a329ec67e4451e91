"""One link's loop: connect, read what is due at each slot, and keep a silent unit or a broken link cheap.

Every link has its own task, so that none waits for another. On a link there is one request at a time. A unit
that does not answer ends its turn; after two in a row it is only probed, every ten seconds, after the units that
answer. However many are silent, probes take a tenth of the link's time, or one time-out in ten seconds. Time-outs
with no answer between them close the link.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from collectors.model import (
    BusyError,
    Connection,
    Link,
    LinkLostError,
    NoAnswerError,
    ProtocolFile,
    RefusedError,
)
from collectors.quarantine import EXTRA_REQUESTS
from collectors.schedule import Slots, clock_step_ns
from collectors.unit import Unit

PROBE_AFTER = 2
PROBE_EVERY_S = 10.0
PROBE_REST = 9
"""After a probe in vain so many times its duration without another, at most PROBE_EVERY_S."""
RECONNECT_S = 0.5
RECONNECT_MAX_S = 30.0

log = logging.getLogger("collectors.poll")


class LinkLoop:
    """The units that share one connection; what a cycle reads is stored `together`."""

    def __init__(
        self,
        protocol: ProtocolFile,
        link: Link,
        units: Sequence[Unit],
        slots: Slots,
        together: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._protocol = protocol
        self._link = link
        self._units = units
        self._slots = slots
        self._together = together
        self._connection: Connection | None = None
        self._unanswered = 0
        self._probe_at = 0.0
        self._retry_at = 0.0
        self._retry_s = RECONNECT_S
        self.cycled = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read at every slot until `stop` is set; a request under way is finished."""
        index = self._slots.index(time.time_ns())
        try:
            while (reached := await self._reach(index, stop)) is not None:
                wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
                await self._cycle(reached, stop)
                now_ns = time.time_ns()
                current = self._slots.index(now_ns)
                if step := clock_step_ns(now_ns - wall_ns, time.monotonic_ns() - monotonic_ns):
                    log.warning("the clock was set by %+.1f s; slots are counted anew", step / 1e9)
                    index = current + 1
                    continue
                self._count_missed(current - reached)
                index = max(current, reached) + 1
        finally:
            self._close()

    async def once(self) -> None:
        """Connect, read everything once, and close."""
        try:
            if await self._connect():
                await self._cycle(self._slots.index(time.time_ns()), asyncio.Event())
        finally:
            self._close()

    async def _reach(self, index: int, stop: asyncio.Event) -> int | None:
        """Wait for a slot, connecting meanwhile; the slot that has come, or None to stop."""
        while not stop.is_set():
            if self._connection is None and time.monotonic() >= self._retry_at:
                connected = await self._connect()
                if connected and self._unread(current := self._slots.index(time.time_ns())):
                    return current
            before_ns, before = time.time_ns(), time.monotonic_ns()
            wait_ns = self._slots.wait_ns(index, before_ns)
            if not wait_ns:
                current = self._slots.index(before_ns)
                self._count_missed(current - index)
                return max(index, current)
            wait_s = wait_ns / 1e9
            if self._connection is None:
                wait_s = min(wait_s, max(0.0, self._retry_at - time.monotonic()))
            await wait(stop, wait_s)
            now_ns = time.time_ns()
            if step := clock_step_ns(now_ns - before_ns, time.monotonic_ns() - before):
                log.warning("the clock was set by %+.1f s; slots are counted anew", step / 1e9)
                index = self._slots.index(now_ns) + 1
        return None

    def _count_missed(self, slots: int) -> None:
        """Slots that passed while the link was up; they are not made up for."""
        if self._connection and slots > 0:
            for unit in self._units:
                unit.late_cycles += slots

    def _unread(self, index: int) -> bool:
        """Whether a unit has not been read in this slot."""
        return any(unit.last_index is None or unit.last_index < index for unit in self._units)

    async def _cycle(self, index: int, stop: asyncio.Event) -> None:
        if self._connection and not self._connection.is_open:
            # Many devices close a link that was idle for a while: that alone is no trouble.
            self._close()
            await self._connect()
        with self._together():
            for unit in sorted(self._units, key=lambda u: u.silent):
                if self._connection is None or stop.is_set():
                    break
                if unit.silent < PROBE_AFTER:
                    await self._read(self._connection, unit, index, stop)
                elif (began := time.monotonic()) >= max(self._probe_at, unit.probe_at):
                    await self._read(self._connection, unit, index, stop)
                    took = time.monotonic() - began
                    self._probe_at = began + took + min(PROBE_REST * took, PROBE_EVERY_S)
        if not self.cycled:
            self.cycled = True
            self._units[0].changed()

    async def _read(self, connection: Connection, unit: Unit, index: int, stop: asyncio.Event) -> None:
        """A unit's requests of one slot."""
        started = time.monotonic()
        requests = deque(unit.readings.due(index, unit.last_index, started))
        extra, complete = 0, True
        while requests:
            if stop.is_set():
                return
            request = requests.popleft()
            began_ns = time.time_ns()
            try:
                raw = await connection.read(unit.device, request.block)
            except RefusedError as error:
                self._answered(unit)
                halves = unit.refused(request, error, _middle(began_ns), time.monotonic())
                extra += len(halves)
                if extra > EXTRA_REQUESTS:
                    complete = False
                else:
                    requests.extendleft(reversed(halves))
            except BusyError as error:
                self._answered(unit)
                unit.trouble(request.place, error)
            except NoAnswerError as error:
                self._silent(connection, unit, error)
                return
            except LinkLostError as error:
                self._lost(error)
                return
            else:
                self._answered(unit)
                unit.well(request.place)
                unit.reads += 1
                at_ns = _middle(began_ns)
                unit.last_read_at = at_ns / 1e9
                unit.readings.answered(request, raw, at_ns, time.monotonic())
            if unit.device.pause_s:
                await asyncio.sleep(unit.device.pause_s)
        if complete:
            unit.readings.settle()
        unit.last_index = index
        unit.cycle_ms = (time.monotonic() - started) * 1e3

    def _answered(self, unit: Unit) -> None:
        self._unanswered = 0
        self._retry_s = RECONNECT_S
        unit.heard()

    def _silent(self, connection: Connection, unit: Unit, error: NoAnswerError) -> None:
        unit.silent += 1
        unit.probe_at = time.monotonic() + PROBE_EVERY_S
        unit.trouble(None, error)
        self._unanswered = 0 if error.heard else self._unanswered + 1
        if self._unanswered >= connection.patience:
            self._disconnect()

    async def _connect(self) -> bool:
        """Try to; whether there is a connection now."""
        try:
            timeout_s = max(unit.device.timeout_s for unit in self._units)
            self._connection = await self._protocol.connect(self._link, timeout_s)
        except LinkLostError as error:
            self._lost(error)
            return False
        self._unanswered = 0
        self._probe_at = 0.0
        for unit in self._units:
            unit.probe_at = 0.0
        return True

    def _lost(self, error: LinkLostError) -> None:
        for unit in self._units:
            unit.trouble(None, error)
        self._disconnect()

    def _disconnect(self) -> None:
        self._close()
        self._retry_at = time.monotonic() + self._retry_s * random.uniform(0.8, 1.2)
        self._retry_s = min(self._retry_s * 2, RECONNECT_MAX_S)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, or return early when `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def _middle(began_ns: int) -> int:
    return (began_ns + time.time_ns()) // 2
