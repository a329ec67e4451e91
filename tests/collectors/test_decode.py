from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.blocks import group
from collectors.decode import decoder, fields
from collectors.model import Bad, Limits, Tag
from collectors.protocols import modbus
from collectors.scale import Decoded
from collectors.tags import ORDERS, WORDS, Context, parse_tag

LIMITS = Limits(125, 2000, 8)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bcd16": st.integers(0, 9999),
    "bcd32": st.integers(0, 99_999_999),
}
CODES = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip


def tag(**written: Any) -> Tag:
    return parse_tag({"name": "x", "address": "holding:0", **written}, Context(modbus, {}, LIMITS, 1000))


def decode(declared: Tag, words: list[int]) -> list[Decoded]:
    (block,) = group([declared], LIMITS)
    values = list(decoder(block)(words))
    assert len(values) == len(fields(block))
    return values


def encode(kind: str, order: str, value: Any) -> list[int]:
    """Words as a device that uses this byte order holds them; A is the most significant byte."""
    if kind.startswith("bcd"):
        data = bytes.fromhex(f"{value:0{WORDS[kind] * 4}d}")
    else:
        data = struct.pack(">" + CODES[kind], value)
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return [int.from_bytes(pair, "big") for pair in pairs]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
def test_what_a_device_encodes_is_decoded_to_the_same_value(kind: str, order: str, data: Any) -> None:
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=4))
    words = [word for value in values for word in encode(kind, order, value)]
    declared = (
        tag(type=kind, order=order, count=len(values)) if len(values) > 1 else tag(type=kind, order=order)
    )
    decoded = decode(declared, words)
    assert decoded == values
    assert [type(v) for v in decoded] == [type(v) for v in values]


def test_the_orders_are_those_of_their_letters() -> None:
    words = {
        "ABCD": [0x4142, 0x4344],
        "CDAB": [0x4344, 0x4142],
        "BADC": [0x4241, 0x4443],
        "DCBA": [0x4443, 0x4241],
    }
    for order, sent in words.items():
        assert decode(tag(type="uint32", order=order), sent) == [0x41424344]


@given(raw=st.integers(-(2**31), 2**31 - 1), scale=st.decimals(places=4, min_value="0.0001", max_value=1000),
       offset=st.decimals(places=3, min_value=-1000, max_value=1000))  # fmt: skip
def test_scaled_integers_are_rounded_once_from_the_decimal_text(raw: int, scale: Any, offset: Any) -> None:
    declared = tag(type="int32", scale=float(scale), offset=float(offset))
    (value,) = decode(declared, encode("int32", "ABCD", raw))
    assert value == float(raw * Fraction(str(float(scale))) + Fraction(str(float(offset))))
    assert type(value) is float


@given(raw=VALUES["float32"], scale=st.sampled_from([0.1, 0.001, 7.0, -2.5]))
def test_scaled_floats_are_rounded_once(raw: float, scale: float) -> None:
    (value,) = decode(tag(type="float32", scale=scale), encode("float32", "ABCD", raw))
    assert value == float(Fraction(raw) * Fraction(str(scale)))


def test_a_tenth_of_234_is_23_4() -> None:
    assert decode(tag(type="uint16", scale=0.1), [234]) == [23.4]


def test_a_scale_of_one_makes_a_float_and_none_leaves_an_integer() -> None:
    assert repr(decode(tag(type="uint16", scale=1), [7])) == "[7.0]"
    assert repr(decode(tag(type="uint16"), [7])) == "[7]"


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        ("float32", encode("float32", "ABCD", math.nan), "NotANumber"),
        ("float64", encode("float64", "ABCD", -math.inf), "Infinite"),
        ("uint64", encode("uint64", "ABCD", 2**63), "OutOfRange"),
        ("bcd16", [0x12A4], "NotBcd"),
        ("bcd32", [0x1234, 0x567F], "NotBcd"),
    ],
)
def test_what_is_no_value_is_a_bad_reading(kind: str, words: list[int], reason: str) -> None:
    assert decode(tag(type=kind), words) == [Bad(reason)]
    assert decode(tag(type=kind, scale=0.5), words) == [Bad(reason)]


def test_a_scaled_value_beyond_a_float_is_a_bad_reading() -> None:
    words = encode("float64", "ABCD", 1.7e308)
    assert decode(tag(type="float64", scale=1000), words) == [Bad("OutOfRange")]


def test_one_bad_value_of_an_array_leaves_the_others_good() -> None:
    words = (
        encode("float32", "CDAB", 1.5) + encode("float32", "CDAB", math.nan) + encode("float32", "CDAB", 2.5)
    )
    assert decode(tag(type="float32", order="CDAB", count=3), words) == [1.5, Bad("NotANumber"), 2.5]


@given(word=st.integers(0, 2**16 - 1), bit=st.integers(0, 15))
def test_a_bit_of_a_word_counts_from_the_least_significant(word: int, bit: int) -> None:
    assert decode(tag(address=f"holding:0.{bit}"), [word]) == [bool(word & 2**bit)]


@given(value=st.integers(0, 2**32 - 1), order=st.sampled_from(ORDERS))
def test_named_bits_are_one_bool_field_each(value: int, order: str) -> None:
    declared = tag(type="uint32", order=order, bits={"31": "top", "0": "low", "17": "mid"})
    assert declared.fields == ("top", "low", "mid")
    assert decode(declared, encode("uint32", order, value)) == [
        bool(value & 2**31), bool(value & 1), bool(value & 2**17)
    ]  # fmt: skip


def test_bits_of_an_area_of_bits_are_bools() -> None:
    assert decode(tag(address="coil:0", count=4), [1, 0, 1, 1]) == [True, False, True, True]


@pytest.mark.parametrize(
    ("order", "words"), [("ABCD", [0x4142, 0x43C3, 0xA900]), ("BADC", [0x4241, 0xC343, 0x00A9])]
)
def test_a_string_ends_at_its_first_nul(order: str, words: list[int]) -> None:
    assert decode(tag(type="string", length=6, order=order), words) == ["ABCé"]


def test_a_string_of_odd_length_leaves_the_last_byte_alone() -> None:
    assert decode(tag(type="string", length=3), [0x4142, 0x43FF]) == ["ABC"]


def test_bytes_that_are_no_text_are_a_bad_reading() -> None:
    assert decode(tag(type="string", length=2), [0xFFFE]) == [Bad("NotText")]
