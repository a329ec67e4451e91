"""The simulated Modbus device keeps to the specification."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from collectors.simulate.modbus import Device, serve
from collectors.simulate.modbus_frames import Request, answer, crc, take
from collectors.simulate.press_line import UNITS
from tests.simulators.modbus_peer import PATIENCE_S, against, asked, connected, tcp_answer, tcp_request


def answer_to(pdu: bytes) -> bytes:
    """The PDU that answers `pdu` over TCP."""

    async def main() -> bytes:
        async with serve() as device, asked(device, tcp_request(pdu, transaction=7)) as reader:
            transaction, reply = await tcp_answer(reader)
            assert transaction == 7
            return reply

    return asyncio.run(main())


def test_every_area_is_read_by_an_independent_client() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        holding = await client.read_holding_registers(0, count=2, device_id=1)
        tool = client.convert_from_registers(holding.registers, client.DATATYPE.FLOAT32, word_order="little")
        assert isinstance(tool, float)
        assert 175 < tool < 185
        inputs = await client.read_input_registers(10, count=4, device_id=1)
        assert all(1690 < zone < 1960 for zone in inputs.registers)
        coils = await client.read_coils(1, count=1, device_id=1)
        assert coils.bits[0] is True
        discrete = await client.read_discrete_inputs(0, count=9, device_id=1)
        assert not any(discrete.bits[2:])

    against(check)


def test_units_behind_one_port_have_their_own_registers() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        plain = await client.read_input_registers(20, count=4, device_id=1)
        cooled = await client.read_input_registers(20, count=4, device_id=2)
        assert plain.registers == [0, 0, 0, 0]
        assert 165 < cooled.registers[0] < 195

    against(check)


@pytest.mark.parametrize("function", [1, 2, 3, 4])
@pytest.mark.parametrize(("start", "count"), [(2000, 1), (1999, 2), (65535, 1), (65535, 2)])
def test_an_address_outside_of_the_table_is_exception_02(function: int, start: int, count: int) -> None:
    assert answer_to(struct.pack(">BHH", function, start, count)) == bytes([function | 0x80, 2])


@pytest.mark.parametrize("function", [1, 2, 3, 4])
def test_the_last_address_of_the_table_is_served(function: int) -> None:
    data = b"\x02\x00\x00" if function > 2 else b"\x01\x00"
    assert answer_to(struct.pack(">BHH", function, 1999, 1)) == bytes([function]) + data


@pytest.mark.parametrize(("function", "most"), [(1, 2000), (2, 2000), (3, 125), (4, 125)])
def test_the_most_that_a_request_may_ask_for_is_answered(function: int, most: int) -> None:
    reply = answer_to(struct.pack(">BHH", function, 0, most))
    assert (reply[0], reply[1], len(reply)) == (function, 250, 252)


@pytest.mark.parametrize(
    ("function", "beyond"), [(1, 2001), (2, 2001), (3, 126), (4, 126), (3, 65535), (1, 0), (4, 0)]
)
def test_a_quantity_out_of_limits_is_exception_03_whatever_the_address(function: int, beyond: int) -> None:
    for start in (0, 5000):
        assert answer_to(struct.pack(">BHH", function, start, beyond)) == bytes([function | 0x80, 3])


@pytest.mark.parametrize("pdu", ["0600010005", "1000000001020005", "2b0e0100", "00", "ff"])
def test_writing_and_unknown_functions_are_exception_01(pdu: str) -> None:
    request = bytes.fromhex(pdu)
    assert answer_to(request) == bytes([request[0] | 0x80, 1])


@pytest.mark.parametrize("pdu", ["0300", "030000000100"])
def test_a_read_of_the_wrong_length_is_exception_03(pdu: str) -> None:
    assert answer_to(bytes.fromhex(pdu)) == b"\x83\x03"


def test_what_is_no_modbus_frame_closes_the_connection() -> None:
    async def main() -> None:
        async with serve() as device:
            reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.read() == b""
            writer.transport.abort()

    asyncio.run(main())


def test_rtu_frames_over_tcp_are_understood_by_an_independent_client() -> None:
    async def main() -> None:
        async with (
            serve(framing="rtu-over-tcp") as device,
            connected(device.port, framer=FramerType.RTU) as client,
        ):
            reply = await client.read_holding_registers(0, count=18, device_id=2)
            assert len(reply.registers) == 18
            assert (await client.read_coils(1999, count=2, device_id=2)).exception_code == 2
            assert (await client.write_register(0, 1, device_id=2)).exception_code == 1
            assert (await client.write_registers(0, [1, 2], device_id=2)).exception_code == 1

    asyncio.run(main())


def test_the_rtu_checksum_is_the_known_one() -> None:
    assert crc(bytes.fromhex("01 03 00 00 00 0a")) == bytes.fromhex("c5 cd")


def test_an_rtu_frame_with_a_wrong_checksum_is_passed_over() -> None:
    buffer = bytearray.fromhex("01 03 00 00 00 0a c5 ce")
    assert take("rtu-over-tcp", buffer) is None
    assert not buffer


REQUESTS = st.builds(
    Request, st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.binary(min_size=1, max_size=253)
)


@given(st.lists(REQUESTS, max_size=5), st.integers(1, 300))
def test_requests_are_the_same_however_the_stream_is_cut(requests: list[Request], size: int) -> None:
    stream = b"".join(tcp_request(r.pdu, transaction=r.transaction, unit=r.unit) for r in requests)
    buffer, taken = bytearray(), []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        while request := take("tcp", buffer):
            taken.append(request)
    assert taken == requests
    assert not buffer


@given(st.binary(min_size=1, max_size=253), st.floats(0, 1e9))
def test_whatever_is_asked_the_answer_is_data_of_the_right_size_or_a_refusal(pdu: bytes, t: float) -> None:
    reply = answer(UNITS[1], pdu, t)
    assert reply[0] & 0x7F == pdu[0] & 0x7F
    assert len(reply) == (2 if reply[0] & 0x80 else 2 + reply[1]) <= 253
