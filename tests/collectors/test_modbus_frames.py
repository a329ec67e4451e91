"""Modbus requests and answers, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.framer import FRAMER_NAME_TO_CLASS
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from collectors.model import WrongAnswerError
from collectors.protocols.modbus_frames import (
    FUNCTIONS,
    Answer,
    Request,
    crc,
    encode_rtu,
    encode_tcp,
    request,
    take_rtu,
    take_tcp,
)

TRANSACTION = 0x1234
MBAP = 6
Take = Callable[[Request, int, bytes], Answer | None]


@pytest.mark.parametrize(
    ("area", "span", "pdu", "answer", "values"),
    [
        # MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.4
        ("coil", (19, 19), "01 00 13 00 13", "01 03 CD 6B 05",
         [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1]),
        ("discrete", (196, 22), "02 00 C4 00 16", "02 03 AC DB 35",
         [0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1]),
        ("holding", (107, 3), "03 00 6B 00 03", "03 06 02 2B 00 00 00 64", [555, 0, 100]),
        ("input", (8, 1), "04 00 08 00 01", "04 02 00 0A", [10]),
    ],
)  # fmt: skip
def test_requests_and_answers_are_the_bytes_of_the_specification(
    area: str, span: tuple[int, int], pdu: str, answer: str, values: list[int]
) -> None:
    asked = request(0x11, area, *span)
    assert encode_tcp(asked, TRANSACTION) == bytes.fromhex("12 34 00 00 00 06 11" + pdu)
    body = bytes.fromhex("11" + answer)
    found = take_tcp(asked, TRANSACTION, struct.pack(">HHH", TRANSACTION, 0, len(body)) + body)
    assert found == Answer(MBAP + len(body), found.values if found else ())
    assert found
    assert list(found.values) == values


def test_the_checksum_is_that_of_the_serial_line_specification() -> None:
    assert encode_rtu(request(0x11, "holding", 0x6B, 3), 0) == bytes.fromhex("11 03 00 6B 00 03 76 87")
    assert crc(b"123456789") == (0x4B37).to_bytes(2, "little")  # the check value of CRC-16/MODBUS


_REQUESTS: dict[str, Any] = {
    "coil": ReadCoilsRequest, "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest, "input": ReadInputRegistersRequest,
}  # fmt: skip


@given(
    unit=st.integers(0, 247),
    area=st.sampled_from(list(FUNCTIONS)),
    start=st.integers(0, 65000),
    count=st.integers(1, 125),
    transaction=st.integers(1, 0xFFFF),
)
def test_requests_are_those_of_pymodbus(
    unit: int, area: str, start: int, count: int, transaction: int
) -> None:
    pdu = _REQUESTS[area](address=start, count=count, dev_id=unit, transaction_id=transaction)
    asked = request(unit, area, start, count)
    for framer, encode in ((FramerType.SOCKET, encode_tcp), (FramerType.RTU, encode_rtu)):
        theirs = FRAMER_NAME_TO_CLASS[framer](DecodePDU(False))
        assert encode(asked, transaction) == theirs.buildFrame(pdu)


def framed(take: Take, body: bytes, transaction: int = TRANSACTION) -> bytes:
    return struct.pack(">HHH", transaction, 0, len(body)) + body if take is take_tcp else body + crc(body)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Take, Request, Sequence[int], bytes]:
    """How it is framed, a request, what the device holds, and its answer."""
    take, area = draw(st.sampled_from([take_tcp, take_rtu])), draw(st.sampled_from(list(FUNCTIONS)))
    bits = area in ("coil", "discrete")
    count = draw(st.integers(1, 200 if bits else 125))
    asked = request(draw(st.integers(1, 247)), area, draw(st.integers(0, 60000)), count)
    held = draw(st.lists(st.integers(0, 1 if bits else 0xFFFF), min_size=count, max_size=count))
    if bits:
        data = sum(bit << n for n, bit in enumerate(held)).to_bytes(asked.size, "little")
    else:
        data = struct.pack(f">{count}H", *held)
    return take, asked, held, framed(take, asked.body[:2] + bytes([asked.size]) + data)


Exchange = tuple[Take, Request, Sequence[int], bytes]


@given(exchanges())
def test_what_a_device_holds_is_what_is_read(exchange: Exchange) -> None:
    take, asked, held, whole = exchange
    answer = take(asked, TRANSACTION, whole + b"rest")
    assert answer
    assert (list(answer.values), answer.length, answer.exception) == (list(held), len(whole), 0)


@given(exchanges(), st.data())
def test_half_an_answer_is_no_answer(exchange: Exchange, data: st.DataObject) -> None:
    take, asked, _, whole = exchange
    assert take(asked, TRANSACTION, whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


def tried(take: Take, asked: Request, data: bytes) -> Sequence[int]:
    try:
        answer = take(asked, TRANSACTION, data)
    except WrongAnswerError:
        return ()
    return answer.values if answer else ()


@given(exchanges(), st.data())
def test_a_flipped_bit_never_gives_a_value(exchange: Exchange, data: st.DataObject) -> None:
    """Over TCP the data themselves bear no checksum: there it is the header that must not be wrong."""
    take, asked, _, whole = exchange
    checked = MBAP + 3 if take is take_tcp else len(whole)
    bit = data.draw(st.integers(0, 8 * checked - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not tried(take, asked, bytes(flipped))


@given(exchanges(), exchanges())
def test_the_answer_to_another_request_never_gives_a_value(exchange: Exchange, other: Exchange) -> None:
    take, asked, _, _ = exchange
    _, another, _, answer = other
    alike = asked.head == another.head
    assert alike or take is not other[0] or not tried(take, asked, answer)


@given(exchanges(), st.integers(0, 0xFFFF))
def test_an_answer_with_another_transaction_id_is_passed_over(exchange: Exchange, transaction: int) -> None:
    take, asked, _, whole = exchange
    if take is take_tcp and transaction != TRANSACTION:
        assert take(asked, transaction, whole) == Answer(len(whole), stale=True)


@given(exchanges(), st.binary(max_size=60))
def test_noise_never_gives_a_value(exchange: Exchange, noise: bytes) -> None:
    take, asked, _, whole = exchange
    if not noise.startswith(whole):
        assert not tried(take, asked, noise)


@pytest.mark.parametrize("take", [take_tcp, take_rtu])
def test_an_exception_is_told_by_its_code(take: Take) -> None:
    asked = request(7, "holding", 0, 10)
    whole = framed(take, bytes([7, 0x83, 2]))
    assert take(asked, TRANSACTION, whole) == Answer(len(whole), exception=2)


@pytest.mark.parametrize("take", [take_tcp, take_rtu])
@pytest.mark.parametrize(
    "body", ["08 03 02 00 01", "07 04 02 00 01", "07 03 04 00 01 00 02", "07 84 02"], ids=str
)
def test_an_answer_of_another_unit_function_or_length_is_wrong(take: Take, body: str) -> None:
    whole = framed(take, bytes.fromhex(body))
    with pytest.raises(WrongAnswerError):
        take(request(7, "holding", 0, 1), TRANSACTION, whole)
