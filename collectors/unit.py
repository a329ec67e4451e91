"""One device on its link: what it answers, since when it is silent, and the figures that its report shows."""

from __future__ import annotations

import logging
from collections.abc import Callable

from collectors.contract import DeviceReport, Quarantined
from collectors.fieldstate import Request
from collectors.model import Device, DeviceError, LinkLostError, NoAnswerError, RefusedError
from collectors.readings import Readings

log = logging.getLogger("collectors.unit")


class Unit:
    """One device on its link: its readings, and the figures that the report shows."""

    def __init__(self, device: Device, readings: Readings, changed: Callable[[], None]) -> None:
        self.device = device
        self.readings = readings
        self.changed = changed
        self.silent = 0
        self.probe_at = 0.0
        self.last_index: int | None = None
        self.connected = False
        self.last_read_at: float | None = None
        self.reads = self.errors = self.late_cycles = self.lost_values = 0
        self.cycle_ms = 0.0
        self.reason = "NoReading"
        self.quarantined: tuple[Quarantined, ...] = ()
        self._troubles: dict[object, str] = {}

    def trouble(self, about: object, error: DeviceError) -> None:
        """Something failed; said once in the log until it is over."""
        self.errors += 1
        if isinstance(error, NoAnswerError | LinkLostError):
            self.connected = False
        self.reason = error.reason
        if self._troubles.get(about) != str(error):
            self._troubles[about] = str(error)
            log.warning("%s", error)
            self.changed()

    def refused(self, request: Request, error: RefusedError, at_ns: int, now: float) -> tuple[Request, ...]:
        """The device will not give a block: the halves to ask for instead; the log says a new quarantine."""
        self.errors += 1
        before = len(self.readings.quarantined())
        halves = self.readings.refused(request, error, at_ns, now)
        if len(self.readings.quarantined()) > before:
            tags = ", ".join(piece.tag.name for piece in request.block.pieces)
            log.warning("%s; in quarantine: %s", error, tags)
            self.changed()
        return halves

    def well(self, about: object) -> None:
        """What had failed works."""
        if self._troubles.pop(about, None):
            log.info("%s: %s", self.device.name, "answers again" if about is None else f"reads {about} again")
            self.changed()

    def heard(self) -> None:
        """The unit answered."""
        self.silent = 0
        self.well(None)
        if not self.connected:
            self.connected = True
            self.changed()

    def report(self) -> DeviceReport:
        """The device as of now."""
        return DeviceReport(
            name=self.device.name,
            endpoint=self.device.endpoint,
            connected=self.connected,
            last_read_at=self.last_read_at,
            reads=self.reads,
            errors=self.errors,
            late_cycles=self.late_cycles,
            lost_values=self.lost_values,
            cycle_ms=round(self.cycle_ms, 3),
            last_error=next(iter(self._troubles.values()), None),
            quarantined=(*self.quarantined, *self.readings.quarantined()),
        )
