"""The faults of the simulated Modbus device are the ones asked for, and no others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from pymodbus.client import AsyncModbusTcpClient

from collectors.simulate.faults import parse_delay
from collectors.simulate.modbus import Device, serve
from collectors.simulate.modbus_faults import Faults, parse_address
from tests.simulators.modbus_peer import (
    PATIENCE_S,
    READ_ONE,
    against,
    asked,
    tcp_answer,
    tcp_request,
)


@pytest.mark.parametrize("unit", [9, 2])
def test_a_unit_that_is_not_there_or_silent_does_not_answer_and_others_do(unit: int) -> None:
    requests = tcp_request(READ_ONE, transaction=1, unit=unit), tcp_request(READ_ONE, transaction=2)

    async def main() -> None:
        faults = Faults(silent_units=frozenset({2}))
        async with serve(faults=faults) as device, asked(device, *requests) as reader:
            assert (await tcp_answer(reader))[0] == 2

    asyncio.run(main())


@pytest.mark.parametrize("unit", [9, 2])
def test_a_gateway_answers_0b_for_a_unit_that_is_not_there_or_silent(unit: int) -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        reply = await client.read_coils(0, count=1, device_id=unit)
        assert reply.exception_code == 0x0B

    against(check, Faults(silent_units=frozenset({2}), gateway=True))


def test_a_refusing_device_refuses_connections_on_its_own_port() -> None:
    async def main() -> None:
        async with serve(faults=Faults(refuse=True)) as device:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", device.port)

    asyncio.run(main())


def test_every_third_request_is_left_unanswered() -> None:
    requests = [tcp_request(READ_ONE, transaction=n) for n in range(1, 8)]

    async def main() -> None:
        async with serve(faults=Faults(drop_every=3)) as device, asked(device, *requests) as reader:
            assert [(await tcp_answer(reader))[0] for _ in range(5)] == [1, 2, 4, 5, 7]

    asyncio.run(main())


def test_every_second_answer_is_cut_in_half() -> None:
    requests = [tcp_request(READ_ONE, transaction=n) for n in range(1, 4)]

    async def main() -> None:
        async with serve(faults=Faults(truncate_every=2)) as device, asked(device, *requests) as reader:
            async with asyncio.timeout(PATIENCE_S):
                received = await reader.read()
            assert received[:2] == b"\x00\x01"
            assert received[11:16] == b"\x00\x02\x00\x00\x00"
            assert received[16:18] == b"\x00\x03"
            assert len(received) == 11 + 5 + 11

    asyncio.run(main())


def test_a_split_answer_arrives_in_pieces_and_is_still_the_answer() -> None:
    async def main() -> None:
        async with (
            serve(faults=Faults(split=True)) as device,
            asked(device, tcp_request(READ_ONE, transaction=1)) as reader,
        ):
            pieces = []
            async with asyncio.timeout(PATIENCE_S):
                while piece := await reader.read(4096):
                    pieces.append(piece)
            assert len(pieces) > 3
            assert b"".join(pieces).startswith(b"\x00\x01\x00\x00\x00\x05\x01\x03\x02")

    asyncio.run(main())


def test_only_reads_that_touch_an_illegal_address_are_refused() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        assert (await client.read_holding_registers(890, count=20, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(900, count=1, device_id=1)).exception_code == 2
        assert not (await client.read_holding_registers(890, count=10, device_id=1)).isError()
        assert not (await client.read_holding_registers(901, count=10, device_id=1)).isError()
        assert not (await client.read_input_registers(890, count=20, device_id=1)).isError()

    against(check, Faults(illegal=frozenset({("holding", 900)})))


def test_faults_can_be_changed_while_it_runs() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        assert not (await client.read_coils(0, count=1, device_id=1)).isError()
        device.faults = replace(device.faults, illegal=frozenset({("coil", 0)}))
        assert (await client.read_coils(0, count=1, device_id=1)).exception_code == 2
        device.faults = Faults(delay_s=0.05)
        begin = time.monotonic()
        assert not (await client.read_coils(0, count=1, device_id=1)).isError()
        assert time.monotonic() - begin >= 0.05

    against(check)


def test_addresses_and_delays_are_read_as_written() -> None:
    assert parse_address("holding:900") == ("holding", 900)
    assert parse_address("input:0x10") == ("input", 16)
    assert parse_delay("50ms") == pytest.approx(0.05)
    assert parse_delay("1.5s") == 1.5


@pytest.mark.parametrize(
    "text", ["900", "holding", "holding:", "holding:x", "holding:65536", "coil:-1", "a:1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like holding:900"):
        parse_address(text)


@pytest.mark.parametrize("text", ["50", "ms", "-1s", "1m", "1.2.3s", ""])
def test_what_is_no_delay_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 50ms"):
        parse_delay(text)
