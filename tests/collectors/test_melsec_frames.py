"""MELSEC requests and answers, byte by byte."""

from __future__ import annotations

from typing import Any

import pymcprotocol
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.model import Block, WrongAnswerError
from collectors.protocols.melsec import DEFAULTS, Access, parse_address, parse_device, place
from collectors.protocols.melsec_answers import Answer, take
from collectors.protocols.melsec_codes import error
from collectors.protocols.melsec_devices import KINDS
from collectors.protocols.melsec_frames import Request, pack, request, width


def access(frame: str = "1E", code: str = "binary", series: str = "FX3U", **over: Any) -> Access:
    options = {**DEFAULTS, "host": "h", "frame": frame, "code": code, "series": series, "timeout": "2750ms"}
    found = parse_device("plc", {**options, **over}).access
    assert isinstance(found, Access)
    return found


def asked(address: str, count: int, access: Access) -> Request:
    where = parse_address({"address": address, "type": "int32"}, access._asdict())
    return request(access, where.area, where.unit, where.offset, count)


@pytest.mark.parametrize(
    ("address", "count", "how", "wire"),
    [
        # FX3U-ENET manual p. 9-9 and 9-10: 8 bits from M100
        ("M100", 8, ("1E", "binary", "FX3U"), "00 FF 0A 00 64 00 00 00 20 4D 08 00"),
        ("M100", 8, ("1E", "ascii", "FX3U"), b"00FF000A4D20000000640800"),
        ("D100", 64, ("1E", "binary", "FX3U"), "01 FF 0A 00 64 00 00 00 20 44 40 00"),
        ("D0", 256, ("1E", "binary", "QnU"), "01 FF 0A 00 00 00 00 00 20 44 00 00"),
        ("X017", 2, ("1E", "binary", "FX3U"), "00 FF 0A 00 0F 00 00 00 20 58 02 00"),
        ("Y45", 1, ("1E", "ascii", "FX3G"), b"00FF000A5920000000240200"),
        ("Y45", 1, ("1E", "ascii", "Q"), b"00FF000A5920000000440200"),
        ("M10", 40, ("1E", "binary", "FX3U"), "01 FF 0A 00 00 00 00 00 20 4D 04 00"),
        ("CN201", 2, ("1E", "binary", "FX3U"), "01 FF 0A 00 C9 00 00 00 4E 43 02 00"),
        ("TN5", 1, ("1E", "ascii", "FX3U"), b"01FF000A544E000000050100"),
        ("D100", 3, ("3E", "binary", "Q"), "50 00 00 FF FF 03 00 0C 00 0A 00 01 04 00 00 64 00 00 A8 03 00"),
        ("D100", 3, ("3E", "ascii", "Q"), b"500000FF03FF000018000A04010000D*0001000003"),
        ("X1F", 2, ("3E", "ascii", "Q"), b"500000FF03FF000018000A04010001X*00001F0002"),
        ("XFFF", 1, ("3E", "binary", "L"), "50 00 00 FF FF 03 00 0C 00 0A 00 01 04 01 00 FF 0F 00 9C 01 00"),
        ("x10", 2, ("3E", "ascii", "FX5U"), b"500000FF03FF000018000A04010001X*0000100002"),
        ("ZR100", 1, ("3E", "binary", "Q"), "50 00 00 FF FF 03 00 0C 00 0A 00 01 04 00 00 64 00 00 B0 01 00"),
        ("D100", 1, ("3E", "binary", "iQ-R"),
         "50 00 00 FF FF 03 00 0E 00 0A 00 01 04 02 00 64 00 00 00 A8 00 01 00"),
        ("W1F", 1, ("3E", "ascii", "R08CPU"), b"500000FF03FF00001C000A04010002W***0000001F0001"),
        ("D100", 1, ("4E", "binary", "Q"),
         "54 00 34 12 00 00 00 FF FF 03 00 0C 00 0A 00 01 04 00 00 64 00 00 A8 01 00"),
        ("D100", 1, ("4E", "ascii", "Q"), b"54001234000000FF03FF000018000A04010000D*0001000001"),
    ],
)  # fmt: skip
def test_a_request_is_the_bytes_of_the_manual(
    address: str, count: int, how: tuple[str, str, str], wire: str | bytes
) -> None:
    expected = bytes.fromhex(wire) if isinstance(wire, str) else wire
    assert asked(address, count, access(*how)).encode(0x1234) == expected


@pytest.mark.parametrize(
    ("address", "count", "how", "answer", "values"),
    [
        ("M100", 8, ("1E", "binary", "FX3U"), "80 00 10 10 01 10", [1, 0, 1, 0, 0, 1, 1, 0]),
        ("M100", 8, ("1E", "ascii", "FX3U"), b"800010100110", [1, 0, 1, 0, 0, 1, 1, 0]),
        ("M101", 2, ("1E", "ascii", "FX3U"), b"80000110", [1, 1]),
        ("D100", 2, ("1E", "binary", "FX3U"), "81 00 34 12 00 80", [0x1234, 0x8000]),
        ("D100", 2, ("1E", "ascii", "FX3U"), b"810012348000", [0x1234, 0x8000]),
        ("M14", 20, ("1E", "binary", "FX3U"), "81 00 00 40 01 80 02 00", [1, 0, 1, *[0] * 14, 1, 0, 1]),
        ("D100", 2, ("3E", "binary", "Q"),
         "D0 00 00 FF FF 03 00 06 00 00 00 34 12 00 80", [0x1234, 0x8000]),
        ("D100", 2, ("3E", "ascii", "Q"), b"D00000FF03FF00000C000012348000", [0x1234, 0x8000]),
        ("X10", 2, ("3E", "ascii", "Q"), b"D00000FF03FF000006000001", [0, 1]),
        ("D100", 1, ("4E", "binary", "Q"),
         "D4 00 34 12 00 00 00 FF FF 03 00 04 00 00 00 07 00", [7]),
        ("D100", 1, ("4E", "ascii", "Q"), b"D4001234000000FF03FF00000800000007", [7]),
    ],
)  # fmt: skip
def test_an_answer_of_the_manual_is_its_values(
    address: str, count: int, how: tuple[str, str, str], answer: str | bytes, values: list[int]
) -> None:
    data = bytes.fromhex(answer) if isinstance(answer, str) else answer
    found = take(asked(address, count, access(*how)), 0x1234, data)
    assert found
    assert (list(found.values), found.length, found.end_code) == (values, len(data), 0)


@pytest.mark.parametrize(
    ("how", "answer", "said"),
    [
        (("1E", "binary", "FX3U"), "81 56", "0x56 device not available: D9000"),
        (("1E", "ascii", "FX3U"), b"8158", "0x58 head number out of range: D9000"),
        (("1E", "binary", "FX3U"), "81 5B 10", "0x5B 0x10 no PLC with this pc number: D9000"),
        (("1E", "binary", "FX3U"), "81 77", "0x77 no known end code: D9000"),
        (("3E", "binary", "Q"), "D0 00 00 FF FF 03 00 0B 00 31 40 00 FF FF 03 00 01 04 00 00",
         "0x4031 device number out of range: D9000"),
        (("3E", "ascii", "Q"), b"D00000FF03FF000004C056", "0xC056 beyond the last device number: D9000"),
    ],
)  # fmt: skip
def test_an_end_code_is_told_in_words(how: tuple[str, str, str], answer: str | bytes, said: str) -> None:
    data = bytes.fromhex(answer) if isinstance(answer, str) else answer
    spoken = access(*how)
    found = take(asked("D9000", 1, spoken), 0, data)
    assert found
    assert found.length == len(data)
    where = place(spoken.series, Block("D", "word", 9000, 1, ()))
    assert str(error(spoken.frame, found, where, "plc")) == f"cannot read plc: {said}"


HOWS = st.tuples(
    st.sampled_from(["1E", "3E", "4E"]),
    st.sampled_from(["binary", "ascii"]),
    st.sampled_from(["FX3U", "Q", "iQ-R", "iQ-F", "A"]),
)
AREAS = st.sampled_from(["D", "W", "R", "TN", "X", "Y", "M", "B"])
SERIAL = 0x0102


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Request, list[int], bytes]:
    """A request, what the device holds, and the bytes of its answer."""
    spoken = access(*draw(HOWS))
    area = draw(AREAS)
    unit = KINDS[area].unit
    count = draw(st.integers(1, 64 if unit == "word" else 300))
    asked = request(spoken, area, unit, draw(st.integers(0, 500)), count)
    top = 0xFFFF if asked.by_words else 1
    held = draw(st.lists(st.integers(0, top), min_size=asked.points, max_size=asked.points))
    code = spoken.code
    if asked.by_words:
        data = pack(code, *((word, 2) for word in held))
    else:
        text = "".join(map(str, held))
        data = bytes.fromhex(text + "0" * (len(text) % 2)) if code == "binary" else text.encode()
    if spoken.frame == "1E":
        return asked, held, asked.head + pack(code, (0, 1)) + data
    at = 2 * width(code)
    serial = pack(code, (SERIAL, 2)) if spoken.frame == "4E" else b""
    body = pack(code, (0, 2)) + data
    return asked, held, asked.head[:at] + serial + asked.head[at:] + pack(code, (len(body), 2)) + body


def wanted(asked: Request, held: list[int]) -> list[int]:
    if asked.unit == "bit" and asked.by_words:
        held = [word >> bit & 1 for word in held for bit in range(16)]
    return held[asked.skip : asked.skip + asked.count]


@given(exchanges())
def test_what_a_device_holds_is_what_is_read(exchange: tuple[Request, list[int], bytes]) -> None:
    asked, held, data = exchange
    answer = take(asked, SERIAL, data + b"rest")
    assert answer
    assert list(answer.values) == wanted(asked, held)
    assert answer.length == len(data)


@given(exchanges(), st.data())
def test_half_an_answer_is_no_answer(exchange: tuple[Request, list[int], bytes], data: st.DataObject) -> None:
    asked, _, whole = exchange
    assert take(asked, SERIAL, whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


def tried(asked: Request, data: bytes) -> Answer | None:
    try:
        return take(asked, SERIAL, data)
    except WrongAnswerError:
        return None


@given(exchanges(), st.data())
def test_a_flipped_bit_in_a_header_never_gives_a_value(
    exchange: tuple[Request, list[int], bytes], data: st.DataObject
) -> None:
    asked, _, whole = exchange
    payload = asked.points * (2 if asked.by_words else 1) * width(asked.code)
    if not asked.by_words and asked.code == "binary":
        payload = (asked.points + 1) // 2
    elif not asked.by_words:
        payload = asked.points
    bit = data.draw(st.integers(0, 8 * (len(whole) - payload) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    if bytes(flipped).upper() != whole or asked.code == "binary":  # d000 is D000
        answer = tried(asked, bytes(flipped))
        assert answer is None or not answer.values


@given(exchanges(), st.binary(max_size=80))
def test_noise_never_gives_a_value(exchange: tuple[Request, list[int], bytes], noise: bytes) -> None:
    asked, _, whole = exchange
    if not whole.startswith(noise) and not noise.startswith(whole):
        answer = tried(asked, noise)
        assert answer is None or not answer.values or noise[: len(asked.head)] == asked.head


@given(exchanges(), exchanges())
def test_an_answer_with_another_serial_is_passed_over(
    exchange: tuple[Request, list[int], bytes], other: tuple[Request, list[int], bytes]
) -> None:
    asked, _, whole = exchange
    if asked.frame == "4E":
        answer = take(asked, SERIAL + 1, whole)
        assert answer == Answer(len(whole), stale=True)


class Captured(pymcprotocol.Type3E):  # type: ignore[misc]
    """pymcprotocol without a socket: what it would send."""

    sent = b""

    def _send(self, send_data: bytes) -> None:
        self.sent = send_data
        raise ConnectionError


@given(
    area=st.sampled_from(["D", "R", "TN", "M", "SM", "SD", "L", "F", "S", "X", "W", "B", "DX"]),
    number=st.integers(0, 30000),
    count=st.integers(1, 900),
    code=st.sampled_from(["binary", "ascii"]),
    series=st.sampled_from(["Q", "L", "QnA", "iQ-R"]),
)
def test_requests_are_those_of_pymcprotocol(
    area: str, number: int, count: int, code: str, series: str
) -> None:
    spoken, kind = access("3E", code, series, network=3, pc=7, moduleIo=0x3E1, station=2), KINDS[area]
    if area == "S" or (kind.base == 16 and code == "ascii"):
        return  # it knows no S, and writes hexadecimal numbers in decimal
    ours = request(spoken, area, kind.unit, number, count)
    theirs = Captured(series)
    theirs.setaccessopt(commtype=code, network=3, pc=7, dest_moduleio=0x3E1, dest_modulesta=2)
    theirs.timer = spoken.timer
    head = number - ours.skip
    device = f"{area}0{head:X}" if kind.base == 16 else f"{area}{head}"
    read = theirs.batchread_wordunits if ours.by_words else theirs.batchread_bitunits
    with pytest.raises(ConnectionError):
        read(device, ours.points)
    assert ours.encode(0) == theirs.sent
