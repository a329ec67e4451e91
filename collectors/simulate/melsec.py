"""A simulated MELSEC PLC on TCP: one frame and code a port, and faults that may change meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from collectors.simulate import server
from collectors.simulate.faults import is_nth
from collectors.simulate.melsec_faults import Faults
from collectors.simulate.melsec_frames import Code, Frame, Request, answer_1e, answer_3e, take
from collectors.simulate.melsec_memory import BITS, LONG_COUNTERS, Plc
from collectors.simulate.packing_line import COMMISSIONED_AT, packing_line

Device: TypeAlias = server.Device[Request, Faults]

RANGE_1E, POINTS_1E, NO_DEVICE_1E, ABNORMAL_1E, NO_PC, WRITE_IN_RUN = 0x58, 0x57, 0x56, 0x5B, 0x10, 0x55
RANGE_3E, WORDS_3E, BITS_3E, NO_DEVICE_3E, UNIT_3E, COMMAND_3E, STATION_3E = (
    0x4031, 0xC051, 0xC052, 0xC05B, 0xC05C, 0xC059, 0xC05F
)  # fmt: skip


class RefusedError(Exception):
    """The end code that a request earns."""

    def __init__(self, end: int, abnormal: int = 0) -> None:
        super().__init__(hex(end))
        self.end = end
        self.abnormal = abnormal


class Speech:
    """The MC protocol, as a PLC with these devices speaks it."""

    def __init__(self, plc: Plc, frame: Frame, code: Code, clock: Callable[[], float]) -> None:
        self._plc = plc
        self._frame = frame
        self._code = code
        self._clock = clock
        self._answers = 0
        self._last: Request | None = None

    def take(self, buffer: bytearray) -> Request | None:
        """Remove the first whole request from `buffer`. Raises FrameError."""
        return take(self._frame, self._code, buffer, self._plc.series)

    def answer(self, request: Request, faults: Faults) -> bytes:
        """The answer as it goes over the wire."""
        self._answers += 1
        values, end, abnormal = None, 0, 0
        try:
            values = self._read(request, faults)
        except RefusedError as refused:
            end, abnormal = refused.end, refused.abnormal
        if self._frame == "1E":
            return answer_1e(self._code, request, end, values, abnormal=abnormal)
        stale, self._last = self._last or request, request
        echoed = stale if is_nth(self._answers, faults.stale_every) else request
        return answer_3e(self._frame, self._code, echoed, end, values)

    def _read(self, request: Request, faults: Faults) -> list[int]:
        """Checks in this order: who is asked, for what, how much, from where."""
        bits = request.command == 0 if self._frame == "1E" else request.subcommand & 1 == 1
        if self._frame == "1E":
            self._check_1e(request, bits)
        else:
            self._check_3e(request, bits)
        device, head = request.device, request.head
        points = request.points * (16 if device in BITS and not bits else 1)
        if any(device == d and head <= n < head + points for d, n in faults.illegal):
            raise RefusedError(RANGE_1E if self._frame == "1E" else RANGE_3E)
        if device == "CN" and self._plc.series == "FX3" and head in LONG_COUNTERS:
            device, head = "CN200", 2 * (head - LONG_COUNTERS.start)
        cells = self._plc.read(device, head, points, self._clock() - COMMISSIONED_AT)
        if bits or device not in BITS:
            return cells
        return [sum(bit << n for n, bit in enumerate(cells[at : at + 16])) for at in range(0, points, 16)]

    def _check_1e(self, request: Request, bits: bool) -> None:
        if request.command > 1:
            raise RefusedError(WRITE_IN_RUN)
        if request.target != (0xFF,):
            raise RefusedError(ABNORMAL_1E, NO_PC)
        device, head, points = request.device, request.head, request.points
        ranges = self._plc.ranges("1E").get(device)
        long = self._plc.series == "FX3" and device == "CN" and head in LONG_COUNTERS
        if ranges is None or (bits and device not in BITS):
            raise RefusedError(NO_DEVICE_1E)
        most = (32, 64) if self._plc.series in ("FX3", "iQ-F") else (128, 256)
        if not bits and points > most[device not in BITS]:
            raise RefusedError(POINTS_1E)
        if long:
            if points % 2 or head + points // 2 > LONG_COUNTERS.stop:
                raise RefusedError(POINTS_1E)
            return
        by_words = device in BITS and not bits
        if by_words and head % 16:
            raise RefusedError(RANGE_1E)
        here = next((r for r in ranges if head in r), None)
        if here is None:
            raise RefusedError(RANGE_1E)
        if head + points * (16 if by_words else 1) > here.stop:
            raise RefusedError(POINTS_1E)

    def _check_3e(self, request: Request, bits: bool) -> None:
        if request.target != (0, 0xFF, 0x3FF, 0):
            raise RefusedError(STATION_3E)
        wide = request.subcommand & 2 != 0
        if request.command != 0x0401 or request.subcommand > 3 or (wide and self._plc.series != "iQ-R"):
            raise RefusedError(COMMAND_3E)
        ranges = self._plc.ranges(self._frame).get(request.device)
        if ranges is None:
            raise RefusedError(NO_DEVICE_3E)
        if bits and request.device not in BITS:
            raise RefusedError(UNIT_3E)
        most = 960 if not bits else 7168 if self._code == "binary" else 3584
        if not 1 <= request.points <= most:
            raise RefusedError(BITS_3E if bits else WORDS_3E)
        points = request.points * (16 if request.device in BITS and not bits else 1)
        if not any(request.head in r and request.head + points <= r.stop for r in ranges):
            raise RefusedError(RANGE_3E)


def serve(
    plc: Plc | None = None,
    *,
    frame: Frame = "1E",
    code: Code = "binary",
    host: str = "127.0.0.1",
    port: int = 0,
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    clock: Callable[[], float] = time.time,
) -> AbstractAsyncContextManager[Device]:
    """A PLC that listens on `host` (port 0: a free one) while the context lasts. Raises OSError.

    Without `plc` it is the packing line, on the series that goes with the frame.
    """
    plc = plc or packing_line("FX3" if frame == "1E" else "Q")
    return server.listen(server.Device(Speech(plc, frame, code, clock), faults), host, port)


async def run(plc: Plc, frame: Frame, code: Code, faults: Faults, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError."""
    serving = serve(plc, frame=frame, code=code, host=host, port=port, faults=faults)
    await server.run("melsec", host, serving)
