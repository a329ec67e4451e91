"""Raw words and bits to values: every type, order, bit, array and scale of the manifest. Pure.

The words of a block become bytes once, in two forms: as sent (each word's high byte first) and with the bytes
of each word swapped. Each order is then one form read big or little endian, for 1, 2 and 4 words alike:

    ABCD  as sent, big        CDAB  swapped, little       (word order)
    DCBA  as sent, little     BADC  swapped, big          (byte order)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import NamedTuple

from collectors.model import Bad, Block, Piece, Tag, Value

Decoded = Value | Bad

NOT_A_NUMBER = Bad("NotANumber")
INFINITE = Bad("Infinite")
OUT_OF_RANGE = Bad("OutOfRange")
NOT_BCD = Bad("NotBcd")
NOT_TEXT = Bad("NotText")

_CODES = {
    "int16": "h", "uint16": "H", "bcd16": "H",
    "int32": "i", "uint32": "I", "bcd32": "I", "float32": "f",
    "int64": "q", "uint64": "Q", "float64": "d",
}  # fmt: skip
_ORDERS = {"ABCD": (0, ">"), "DCBA": (0, "<"), "CDAB": (1, "<"), "BADC": (1, ">")}

_Forms = tuple[bytes, bytes]


class Field(NamedTuple):
    """One value's place in the answer of :func:`decoder`."""

    name: str
    tag: Tag


def fields(block: Block) -> tuple[Field, ...]:
    """The fields of a block, in the order in which its decoder gives their values."""
    return tuple(Field(name, piece.tag) for piece in block.pieces for name in _names(piece))


def decoder(block: Block) -> Callable[[Sequence[int]], list[Decoded]]:
    """A function from the raw words (or bits) of a block to its values, one per entry of :func:`fields`."""
    if block.unit == "bit":
        return partial(_decode_bits, [(p.offset, p.offset + p.count) for p in block.pieces])
    return partial(
        _decode_words,
        struct.Struct(f">{block.count}H"),
        struct.Struct(f"<{block.count}H"),
        [_reader(piece) for piece in block.pieces],
    )


def number(tag: Tag, value: int | float) -> Decoded:
    """A number that came as such, checked and scaled as those made of words are."""
    if isinstance(value, float):
        checked = _finite(value)
        if tag.scaled and not isinstance(checked, Bad):
            return _scaled_float(tag.scale, tag.offset, tag.denominator, value)
        return checked
    if tag.scaled:
        return _scaled_int(tag.scale, tag.offset, tag.denominator, value)
    return _in_64_bit(value)


def _names(piece: Piece) -> Sequence[str]:
    tag = piece.tag
    return tag.fields if tag.bits else tag.fields[piece.first : piece.first + piece.count]


def _decode_bits(spans: Sequence[tuple[int, int]], bits: Sequence[int]) -> list[Decoded]:
    values: list[Decoded] = []
    for start, end in spans:
        values += map(bool, bits[start:end])
    return values


def _decode_words(
    sent: struct.Struct,
    swapped: struct.Struct,
    readers: Sequence[Callable[[_Forms], Sequence[Decoded]]],
    words: Sequence[int],
) -> list[Decoded]:
    forms = sent.pack(*words), swapped.pack(*words)
    values: list[Decoded] = []
    for read in readers:
        values += read(forms)
    return values


def _reader(piece: Piece) -> Callable[[_Forms], Sequence[Decoded]]:
    tag, at = piece.tag, piece.offset * 2
    form, endian = _ORDERS[tag.order]
    if tag.type == "string":
        # Text is a row of words: only the order of the two bytes in a word matters.
        return partial(_strings, int(tag.order in ("BADC", "DCBA")), at, tag, piece.count)
    if tag.address.bit is not None:
        return partial(_bits, struct.Struct(">H").unpack_from, 0, at, (tag.address.bit,))
    unpack = struct.Struct(f"{endian}{piece.count}{_CODES[tag.type]}").unpack_from
    if tag.bits:
        return partial(_bits, unpack, form, at, tag.bits)
    steps = [_CHECKS[tag.type]] if tag.type in _CHECKS else []
    if tag.scaled:
        rational = _scaled_float if tag.type.startswith("float") else _scaled_int
        steps.append(partial(rational, tag.scale, tag.offset, tag.denominator))
    if not steps:
        return partial(_plain, unpack, form, at)
    return partial(_checked, unpack, form, at, steps)


def _plain(unpack: Callable[..., tuple[int, ...]], form: int, at: int, forms: _Forms) -> Sequence[Decoded]:
    return unpack(forms[form], at)


def _checked(
    unpack: Callable[..., tuple[int | float, ...]],
    form: int,
    at: int,
    steps: Sequence[Callable[..., Decoded]],
    forms: _Forms,
) -> Sequence[Decoded]:
    values: list[Decoded] = []
    for raw in unpack(forms[form], at):
        value: Decoded = raw
        for step in steps:
            value = step(value)
            if isinstance(value, Bad):
                break
        values.append(value)
    return values


def _bits(
    unpack: Callable[..., tuple[int, ...]], form: int, at: int, bits: Sequence[int], forms: _Forms
) -> Sequence[Decoded]:
    (word,) = unpack(forms[form], at)
    return [bool(word >> bit & 1) for bit in bits]


def _strings(form: int, at: int, tag: Tag, count: int, forms: _Forms) -> Sequence[Decoded]:
    step = tag.width * 2
    return [_text(forms[form][i : i + tag.length]) for i in range(at, at + count * step, step)]


def _text(raw: bytes) -> Decoded:
    """UTF-8 up to the first NUL."""
    try:
        return raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        return NOT_TEXT


def _finite(value: float) -> Decoded:
    if isfinite(value):
        return value
    return NOT_A_NUMBER if value != value else INFINITE  # noqa: PLR0124  (NaN is not itself)


def _in_64_bit(value: int) -> Decoded:
    return value if -(2**63) <= value < 2**63 else OUT_OF_RANGE


def _bcd(value: int) -> Decoded:
    digits = f"{value:x}"
    return int(digits) if digits.isdecimal() else NOT_BCD


_CHECKS: dict[str, Callable[..., Decoded]] = {
    "float32": _finite,
    "float64": _finite,
    "uint64": _in_64_bit,
    "bcd16": _bcd,
    "bcd32": _bcd,
}


def _scaled_int(scale: int, offset: int, denominator: int, value: int) -> Decoded:
    """Exact up to the one division, which Python rounds correctly."""
    try:
        return (value * scale + offset) / denominator
    except OverflowError:
        return OUT_OF_RANGE


def _scaled_float(scale: int, offset: int, denominator: int, value: float) -> Decoded:
    over, under = value.as_integer_ratio()
    return _scaled_int(scale, offset * under, denominator * under, over)
