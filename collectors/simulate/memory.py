"""Tables of words or bits that a simulated device serves, and how values lie in them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from collectors.simulate.signals import Signal

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]


@dataclass(frozen=True, slots=True)
class Point:
    """`width` neighbouring words (or bits) from the zero-based address `start`, all of one moment."""

    start: int
    width: int
    values: Callable[[float], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Table:
    """Addresses 0 to `size` - 1; those without a point read 0."""

    size: int
    points: Sequence[Point] = ()

    def read(self, start: int, count: int, t: float) -> list[int]:
        """`count` words (or bits) at time `t`; raises IndexError outside of the table."""
        if not 0 <= start <= start + count <= self.size:
            raise IndexError(start)
        cells = [0] * count
        for point in self.points:
            if point.start < start + count and start < point.start + point.width:
                for address, value in enumerate(point.values(t), point.start - start):
                    if 0 <= address < count:
                        cells[address] = value
        return cells


def bit(start: int, signal: Signal) -> Point:
    """One bit, set where the signal is not 0."""
    return Point(start, 1, lambda t: [int(signal(t) != 0)])


def number(start: int, form: str, signal: Signal, *, order: Order = "ABCD", scale: float = 1.0) -> Point:
    """A number as `struct` packs it (``h H i I q Q f d``), multiplied by `scale`; integers are rounded."""
    whole = form not in "fd"

    def values(t: float) -> Sequence[int]:
        value = signal(t) * scale
        return _words(struct.pack(f">{form}", round(value) if whole else value), order)

    return Point(start, struct.calcsize(f">{form}") // 2, values)


def bcd(start: int, width: int, signal: Signal) -> Point:
    """Four decimal digits a word, the most significant word first."""
    return Point(start, width, lambda t: _words(bytes.fromhex(f"{round(signal(t)):0{4 * width}d}"), "ABCD"))


def text(start: int, width: int, choices: Sequence[str], choice: Signal, *, order: Order = "ABCD") -> Point:
    """One of `choices` in UTF-8, two bytes a word, filled up with NUL."""
    return Point(
        start, width, lambda t: _words(choices[int(choice(t))].encode().ljust(2 * width, b"\0"), order)
    )


def flags(start: int, bits: Mapping[int, Signal]) -> Point:
    """A word of single bits, 0 the least significant."""
    return Point(start, 1, lambda t: [sum((signal(t) != 0) << position for position, signal in bits.items())])


def _words(data: bytes, order: Order) -> Sequence[int]:
    words = struct.unpack(f"{'<' if order in {'BADC', 'DCBA'} else '>'}{len(data) // 2}H", data)
    return words[::-1] if order in {"CDAB", "DCBA"} else words
