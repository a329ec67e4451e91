"""A simulated Modbus device on TCP: several units behind one port, and faults that may change meanwhile."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from collectors.simulate.modbus_faults import Faults
from collectors.simulate.modbus_frames import (
    TARGET_SILENT,
    FrameError,
    Framing,
    Request,
    answer,
    frame,
    refusal,
    take,
)
from collectors.simulate.modbus_memory import Memory
from collectors.simulate.press_line import COMMISSIONED_AT, UNITS

SEGMENT_GAP_S = 0.001
"""Between the bytes of a split answer, so that the peer's kernel does not put them together again."""


class Device:
    """A listening device; set `faults` at any time, it holds from the next request on.

    `requests` counts what arrived, `connections` what is open.
    """

    def __init__(
        self, units: Mapping[int, Memory], framing: Framing, faults: Faults, clock: Callable[[], float]
    ) -> None:
        self.units = units
        self.framing = framing
        self.faults = faults
        self.clock = clock
        self.port = 0
        self.requests = 0
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to converse with a peer that has connected."""
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests in their order until the peer closes the connection or sends what is no frame."""
        writer.transport.set_write_buffer_limits(0)  # drain() then means: given to the kernel
        buffer = bytearray()
        try:
            while received := await reader.read(4096):
                buffer += received
                while request := take(self.framing, buffer):
                    await self._reply(request, writer)
        except (FrameError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def _reply(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        faults, nth = self.faults, self.requests
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        pdu = self._answer(request, faults)
        if pdu is None or _is_nth(nth, faults.drop_every):
            return
        data = frame(self.framing, request, pdu)
        if _is_nth(nth, faults.truncate_every):
            data = data[: len(data) // 2]
        for part in [data[i : i + 1] for i in range(len(data))] if faults.split else [data]:
            writer.write(part)
            await writer.drain()
            if faults.split:
                await asyncio.sleep(SEGMENT_GAP_S)

    def _answer(self, request: Request, faults: Faults) -> bytes | None:
        memory = self.units.get(request.unit)
        if memory is None or request.unit in faults.silent_units:
            return refusal(request.pdu, TARGET_SILENT) if faults.gateway else None
        return answer(memory, request.pdu, self.clock() - COMMISSIONED_AT, faults.illegal)


def _is_nth(n: int, every: int) -> bool:
    return every > 0 and n % every == 0


@asynccontextmanager
async def serve(
    units: Mapping[int, Memory] = UNITS,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    framing: Framing = "tcp",
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Device]:
    """A device that listens on `host` (port 0: a free one, see ``Device.port``) while the context lasts.

    With `faults.refuse` the port is taken but nobody listens, so that connections are refused.
    Raises OSError where the port is not to be had.
    """
    device = Device(units, framing, faults, clock)
    with _bound(host, port) as listener:
        device.port = listener.getsockname()[1]
        if faults.refuse:
            yield device
            return
        server = await asyncio.start_server(device.accept, sock=listener)
        try:
            yield device
        finally:
            server.close()
            for connection in device.connections:
                connection.cancel()
            await asyncio.gather(*device.connections, return_exceptions=True)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


async def run(host: str, port: int, framing: Framing, faults: Faults) -> None:
    """Serve the press line until SIGTERM or SIGINT; says where on stdout once it listens. Raises OSError."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(host=host, port=port, framing=framing, faults=faults) as device:
        sys.stdout.write(f"modbus simulator on {host}:{device.port}\n")
        sys.stdout.flush()
        await stopped.wait()
