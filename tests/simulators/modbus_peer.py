"""Two ways to talk to a Modbus device: pymodbus's client, or raw frames where that is too polite."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from collectors.simulate.modbus import Device, serve
from collectors.simulate.modbus_faults import Faults

PATIENCE_S = 10.0
READ_ONE = b"\x03\x00\x00\x00\x01"
"""Read the first holding register."""


@asynccontextmanager
async def connected(port: int, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[AsyncModbusTcpClient]:
    """An independent client."""
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=port, framer=framer, timeout=PATIENCE_S, retries=0, reconnect_delay=0
    )
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


def against(
    check: Callable[[Device, AsyncModbusTcpClient], Coroutine[None, None, None]],
    faults: Faults = Faults(),  # noqa: B008  (immutable)
) -> None:
    """Run `check` with a device and a client connected to it."""

    async def main() -> None:
        async with serve(faults=faults) as device, connected(device.port) as client:
            await check(device, client)

    asyncio.run(main())


def tcp_request(pdu: bytes, *, transaction: int = 7, unit: int = 1) -> bytes:
    """A request as it goes over the wire."""
    return struct.pack(">HHHB", transaction, 0, 1 + len(pdu), unit) + pdu


async def tcp_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Transaction and PDU of the next answer."""
    async with asyncio.timeout(PATIENCE_S):
        transaction, protocol, length, _unit = struct.unpack(">HHHB", await reader.readexactly(7))
        assert protocol == 0
        return transaction, await reader.readexactly(length - 1)


@asynccontextmanager
async def asked(device: Device, *requests: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """What a connection receives after `requests` were sent on it at once and nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
    try:
        writer.write(b"".join(requests))
        writer.write_eof()
        yield reader
    finally:
        writer.transport.abort()
