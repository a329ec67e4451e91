"""Raw words and bits to values: every type, order, bit, array and scale of the manifest. Pure.

The words of a block become bytes once, in two forms: as sent (each word's high byte first) and with the bytes
of each word swapped. Each order is then one form read big or little endian, for 1, 2 and 4 words alike:

    ABCD  as sent, big        CDAB  swapped, little       (word order)
    DCBA  as sent, little     BADC  swapped, big          (byte order)

All values of one order are unpacked at once; what needs more than that (scale, BCD, bits, text) follows field by
field, and floats are looked at one by one only where their sum is not finite.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from collectors.model import Bad, Block, Piece, Tag, Value
from collectors.scale import Decoded, Step, finite, step_of

Decoder = Callable[[Sequence[int]], Sequence[Decoded]]

NOT_TEXT = Bad("NotText")

_CODES = {
    "int16": "h", "uint16": "H", "bcd16": "H",
    "int32": "i", "uint32": "I", "bcd32": "I", "float32": "f",
    "int64": "q", "uint64": "Q", "float64": "d",
}  # fmt: skip
_ORDERS = {"ABCD": (0, ">"), "DCBA": (0, "<"), "CDAB": (1, "<"), "BADC": (1, ">")}
_FORMS = (">", "<")
"""How the words are packed: as sent, and with their bytes swapped."""


class Field(NamedTuple):
    """One value's place in the answer of :func:`decoder`, and the words (or bits) of the block that make it."""

    name: str
    tag: Tag
    start: int


def fields(block: Block) -> tuple[Field, ...]:
    """The fields of a block, in the order in which its decoder gives their values."""
    return tuple(
        Field(name, piece.tag, piece.offset + (0 if piece.tag.bits else nth * piece.tag.width))
        for piece in block.pieces
        for nth, name in enumerate(_names(piece))
    )


def kind(tag: Tag) -> type[Value]:
    """What the values of a tag are, where they are good."""
    if tag.type == "bool" or tag.bits:
        return bool
    if tag.type == "string":
        return str
    return float if tag.scaled or tag.type.startswith("float") else int


def decoder(block: Block) -> Decoder:
    """A function from the raw words (or bits) of a block to its values, one per entry of :func:`fields`."""
    if block.unit == "bit":
        spans = [(p.offset, p.offset + p.count) for p in block.pieces]
        return _one_span(*spans[0]) if len(spans) == 1 else partial(_decode_bits, spans)
    return _Words(block).decode


def _names(piece: Piece) -> Sequence[str]:
    tag = piece.tag
    return tag.fields if tag.bits else tag.fields[piece.first : piece.first + piece.count]


def _one_span(start: int, end: int) -> Decoder:
    return lambda bits: list(map(bool, bits[start:end]))


def _decode_bits(spans: Sequence[tuple[int, int]], bits: Sequence[int]) -> list[Decoded]:
    values: list[Decoded] = []
    for start, end in spans:
        values += map(bool, bits[start:end])
    return values


class _Slot(NamedTuple):
    """One thing to unpack: ``length`` bytes at byte ``at`` of a form, as ``code`` of struct says."""

    form: int
    endian: str
    at: int
    length: int
    code: str


class _Words:
    """How the values of one block of words are made."""

    def __init__(self, block: Block) -> None:
        wanted = [(slot, step) for piece in block.pieces for slot, step in _slots(piece)]
        runs = _runs({slot for slot, _ in wanted})
        self._packs = [
            struct.Struct(f"{endian}{block.count}H").pack
            if any(run[0].form == form for run in runs)
            else None
            for form, endian in enumerate(_FORMS)
        ]
        self._unpacks = [(run[0].form, _struct(run).unpack_from) for run in runs]
        found = {slot: n for n, slot in enumerate(slot for run in runs for slot in run)}
        order = [found[slot] for slot, _ in wanted]
        self._pick = None if order == list(range(len(found))) else _picker(order)
        floats = [n for n, (slot, step) in enumerate(wanted) if slot.code in "fd" and step is finite]
        self._floats = _picker(floats) if floats else None
        self._float_steps = [(n, finite) for n in floats]
        self._steps = [(n, step) for n, (_, step) in enumerate(wanted) if step and step is not finite]

    def decode(self, words: Sequence[int]) -> Sequence[Decoded]:
        """The values of these words."""
        forms = [pack(*words) if pack else b"" for pack in self._packs]
        raw: tuple[Any, ...] = ()
        for form, unpack in self._unpacks:
            raw += unpack(forms[form])
        if self._pick:
            raw = self._pick(raw)
        steps: Iterable[tuple[int, Step]] = self._steps
        if self._floats and not isfinite(sum(self._floats(raw))):
            steps = [*self._float_steps, *self._steps]
        elif not self._steps:
            return raw
        values: list[Decoded] = list(raw)
        for n, step in steps:
            values[n] = step(values[n])
        return values


def _slots(piece: Piece) -> Iterable[tuple[_Slot, Step | None]]:
    """What to unpack for each field of a piece, and what to do with it then."""
    tag = piece.tag
    form, endian = _ORDERS[tag.order]
    size = 2 * tag.width
    if tag.bits or tag.address.bit is not None:
        if tag.address.bit is not None:
            yield _Slot(0, ">", 2 * piece.offset, 2, "H"), partial(_bit, tag.address.bit)
        slot = _Slot(form, endian, 2 * piece.offset, size, _CODES.get(tag.type, "H"))
        yield from ((slot, partial(_bit, bit)) for bit in tag.bits)
        return
    for at in range(2 * piece.offset, 2 * piece.offset + piece.count * size, size):
        if tag.type == "string":
            # Text is a row of words: only the order of the two bytes in a word matters.
            swapped = int(tag.order in ("BADC", "DCBA"))
            yield _Slot(swapped, ">", at, tag.length, f"{tag.length}s"), _text
        else:
            yield _Slot(form, endian, at, size, _CODES[tag.type]), step_of(tag)


def _runs(slots: Iterable[_Slot]) -> list[list[_Slot]]:
    """Slots that one struct can unpack together: of one form and endianness, none over another."""
    runs: list[list[_Slot]] = []
    for slot in sorted(slots):
        for run in runs:
            last = run[-1]
            if last[:2] == slot[:2] and last.at + last.length <= slot.at:
                run.append(slot)
                break
        else:
            runs.append([slot])
    return runs


def _struct(run: Sequence[_Slot]) -> struct.Struct:
    codes, end = run[0].endian, 0
    for slot in run:
        codes += f"{slot.at - end}x{slot.code}"
        end = slot.at + slot.length
    return struct.Struct(codes)


def _picker(order: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Those entries of a row, as a tuple also where it is one."""
    if len(order) > 1:
        return itemgetter(*order)
    only = order[0]
    return lambda row: (row[only],)


def _bit(bit: int, word: int) -> bool:
    return bool(word >> bit & 1)


def _text(raw: bytes) -> Decoded:
    """UTF-8 up to the first NUL."""
    try:
        return raw.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        return NOT_TEXT
