"""A simulated Modbus device on TCP: several units behind one port, and faults that may change meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TypeAlias

from collectors.simulate import server
from collectors.simulate.faults import is_nth
from collectors.simulate.modbus_faults import Faults
from collectors.simulate.modbus_frames import (
    TARGET_SILENT,
    Framing,
    Memory,
    Request,
    answer,
    frame,
    refusal,
    take,
)
from collectors.simulate.press_line import COMMISSIONED_AT, UNITS

Device: TypeAlias = server.Device[Request, Faults]


class Speech:
    """Modbus, as a device with these units speaks it."""

    def __init__(self, units: Mapping[int, Memory], framing: Framing, clock: Callable[[], float]) -> None:
        self._units = units
        self._framing = framing
        self._clock = clock
        self._answers = 0
        self._last: Request | None = None

    def take(self, buffer: bytearray) -> Request | None:
        """Remove the first whole request from `buffer`. Raises FrameError."""
        return take(self._framing, buffer)

    def answer(self, request: Request, faults: Faults) -> bytes | None:
        """The answer as it goes over the wire; None for silence."""
        self._answers += 1
        stale, self._last = self._last or request, request
        if is_nth(self._answers, faults.stale_every):
            request = replace(request, transaction=stale.transaction)
        memory = self._units.get(request.unit)
        if memory is None or request.unit in faults.silent_units:
            return self._frame(request, refusal(request.pdu, TARGET_SILENT)) if faults.gateway else None
        t = self._clock() - COMMISSIONED_AT
        return self._frame(request, answer(memory, request.pdu, t, faults.refused))

    def _frame(self, request: Request, pdu: bytes) -> bytes:
        return frame(self._framing, request, pdu)


def serve(
    units: Mapping[int, Memory] = UNITS,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    framing: Framing = "tcp",
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    clock: Callable[[], float] = time.time,
) -> AbstractAsyncContextManager[Device]:
    """A device that listens on `host` (port 0: a free one) while the context lasts. Raises OSError."""
    return server.listen(server.Device(Speech(units, framing, clock), faults), host, port)


async def run(host: str, port: int, framing: Framing, faults: Faults) -> None:
    """Serve the press line until SIGTERM or SIGINT. Raises OSError."""
    await server.run("modbus", host, serve(host=host, port=port, framing=framing, faults=faults))
