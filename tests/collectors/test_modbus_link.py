"""Our Modbus client against a simulated device, over real connections: who failed, and whether the link goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collectors.model import (
    Block,
    BusyError,
    Connection,
    Device,
    DeviceError,
    LinkLostError,
    NoAnswerError,
    RefusedError,
    UnsupportedError,
)
from collectors.protocols import modbus
from collectors.simulate.modbus import serve
from collectors.simulate.modbus_faults import Faults, parse_exception
from collectors.simulate.modbus_frames import Framing
from tests.collectors.test_collecting import WORDS

GOOD = Block("holding", "word", 5, 2, ())
FRAMINGS: tuple[Framing, ...] = ("tcp", "rtu-over-tcp")


def against(
    check: Callable[[Any, Connection, Device], Coroutine[None, None, None]],
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    transport: Framing = "tcp",
    timeout: str = "5s",
) -> None:
    """Run `check` with a simulated device, a connection to it, and the device as a manifest has it."""

    async def main() -> None:
        async with serve({1: WORDS, 2: WORDS}, framing=transport, faults=faults) as simulated:
            options = {
                "host": "127.0.0.1",
                "port": simulated.port,
                "transport": transport,
                "timeout": timeout,
            }
            device = modbus.parse_device("d", {**modbus.DEFAULTS, **options})
            connection = await modbus.connect(device.link, 5.0)
            try:
                await check(simulated, connection, device)
            finally:
                connection.close()

    asyncio.run(main())


@asynccontextmanager
async def peer(answer: bytes | None) -> AsyncIterator[tuple[Connection, Device]]:
    """A connection to something that answers so, behind the transaction id, whatever it is asked; None: hangs up."""
    transports: list[asyncio.Transport] = []

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            if answer is None:
                transports[-1].close()
            else:
                transports[-1].write(data[:2] + answer)

    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        options = {**modbus.DEFAULTS, "host": "127.0.0.1", "port": port, "timeout": "60s"}
        device = modbus.parse_device("d", options)
        connection = await modbus.connect(device.link, 5.0)
        try:
            yield connection, device
        finally:
            connection.close()
            for transport in transports:
                transport.abort()


@pytest.mark.parametrize("transport", FRAMINGS)
@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (0x01, "IllegalFunction", UnsupportedError),
        (0x02, "IllegalDataAddress", RefusedError),
        (0x03, "IllegalDataValue", RefusedError),
        (0x04, "DeviceFailure", BusyError),
        (0x05, "Acknowledge", BusyError),
        (0x06, "DeviceBusy", BusyError),
        (0x08, "MemoryParityError", BusyError),
        (0x0A, "GatewayPathUnavailable", NoAnswerError),
        (0x0B, "GatewayTargetSilent", NoAnswerError),
        (0x7F, "ModbusException127", BusyError),
    ],
)
def test_each_exception_has_its_reaction_and_the_link_goes_on(
    transport: Framing, code: int, reason: str, kind: type[DeviceError]
) -> None:
    async def check(_: Any, connection: Connection, device: Device) -> None:
        with pytest.raises(kind) as failure:
            await connection.read(device, Block("holding", "word", 10, 9, ()))
        assert failure.value.reason == reason
        assert str(failure.value) == f"cannot read holding:10-18 of d: exception {code:02X} {reason}"
        assert isinstance(failure.value, RefusedError) == issubclass(kind, RefusedError)
        if isinstance(failure.value, NoAnswerError):
            assert failure.value.heard, "a gateway answered, so the link is sound"
        assert connection.is_open
        assert list(await connection.read(device, GOOD)) == [105, 106]

    against(check, Faults(exceptions=frozenset({("holding", 12, code)})), transport)


def test_an_answer_with_a_foreign_transaction_id_is_dropped_and_never_a_value() -> None:
    async def check(_: Any, connection: Connection, device: Device) -> None:
        assert list(await connection.read(device, GOOD)) == [105, 106]
        with pytest.raises(NoAnswerError, match=r"no answer within 0.1 s"):
            await connection.read(device, Block("holding", "word", 50, 2, ()))
        assert connection.is_open
        assert list(await connection.read(device, GOOD)) == [105, 106]

    against(check, Faults(stale_every=2), timeout="100ms")


@pytest.mark.parametrize("transport", FRAMINGS)
def test_a_late_answer_is_never_taken_for_the_next_one(transport: Framing) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        simulated.faults = Faults(delay_s=0.15)
        with pytest.raises(NoAnswerError):
            await connection.read(device, Block("holding", "word", 50, 2, ()))
        simulated.faults = Faults()
        if transport == "rtu-over-tcp":
            assert not connection.is_open, "RTU has no id: the link is closed at every time-out"
        else:
            values: list[int] = []
            for _ in range(20):
                try:
                    values = list(await connection.read(device, GOOD))
                    break
                except NoAnswerError:
                    continue
            assert values == [105, 106]

    against(check, transport=transport, timeout="100ms")


@pytest.mark.parametrize(
    "answer",
    [
        "0000 0007 01 04 04 0001 0002",
        "0000 0005 01 03 02 0001",
        "0000 0009 01 03 06 0001 0002 0003",
        "0001 0007 01 03 04 0001 0002",
    ],
    ids=["function", "short", "long", "protocol"],
)
def test_an_answer_of_another_function_or_length_closes_the_link(answer: str) -> None:
    async def main() -> None:
        async with peer(bytes.fromhex(answer)) as (connection, device):
            with pytest.raises(LinkLostError, match="cannot read holding:5-6 of d") as failure:
                await connection.read(device, GOOD)
            assert failure.value.reason == "WrongAnswer"
            assert not connection.is_open

    asyncio.run(main())


def test_a_link_that_breaks_while_an_answer_is_awaited_is_lost_at_once() -> None:
    async def main() -> None:
        async with peer(None) as (connection, device), asyncio.timeout(5):
            with pytest.raises(LinkLostError, match="the connection was closed by the other side"):
                await connection.read(device, GOOD)

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["holding:900", "holding:900=", "holding:900=G1", "holding:900=FF", "x:1=04"]
)
def test_what_is_no_exception_to_simulate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        parse_exception(text)
