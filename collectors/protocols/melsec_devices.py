"""MELSEC devices and series: codes, how numbers are written, and what one request may hold. Pure.

Codes: FX3U-ENET manual p. 9-17 and QnU Ethernet manual p. 57 (1E), MELSEC Communication Protocol Reference
p. 70 (3E, 4E). Limits: FX3U-ENET p. 9-16, QnU Ethernet p. 55, MELSEC Communication Protocol Reference p. 465.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Frame = Literal["1E", "3E", "4E"]
Code = Literal["binary", "ascii"]
Series = Literal["A", "FX3", "QnA", "Q", "L", "iQ-R", "iQ-F"]

OCTAL_SERIES: frozenset[Series] = frozenset({"FX3", "iQ-F"})
"""X and Y are numbered in octal here, in hexadecimal elsewhere."""


class Kind(NamedTuple):
    """A kind of device; ``base`` is that of its numbers; a code is None where the frame cannot reach it."""

    name: str
    unit: Literal["word", "bit"]
    base: Literal[10, 16]
    code_1e: int | None
    code_3e: int

    def base_on(self, series: Series) -> int:
        """The base in which this series numbers it."""
        return 8 if self.name in ("X", "Y") and series in OCTAL_SERIES else self.base


KINDS = {
    kind.name: kind
    for kind in (
        Kind("D", "word", 10, 0x4420, 0xA8),
        Kind("W", "word", 16, 0x5720, 0xB4),
        Kind("R", "word", 10, 0x5220, 0xAF),
        Kind("ZR", "word", 10, None, 0xB0),
        Kind("SD", "word", 10, None, 0xA9),
        Kind("SW", "word", 16, None, 0xB5),
        Kind("Z", "word", 10, None, 0xCC),
        Kind("RD", "word", 10, None, 0x2C),
        Kind("TN", "word", 10, 0x544E, 0xC2),
        Kind("CN", "word", 10, 0x434E, 0xC5),
        Kind("SN", "word", 10, None, 0xC8),
        Kind("X", "bit", 16, 0x5820, 0x9C),
        Kind("Y", "bit", 16, 0x5920, 0x9D),
        Kind("M", "bit", 10, 0x4D20, 0x90),
        Kind("B", "bit", 16, 0x4220, 0xA0),
        Kind("L", "bit", 10, None, 0x92),
        Kind("F", "bit", 10, 0x4620, 0x93),
        Kind("V", "bit", 10, None, 0x94),
        Kind("S", "bit", 10, 0x5320, 0x98),
        Kind("SM", "bit", 10, None, 0x91),
        Kind("SB", "bit", 16, None, 0xA1),
        Kind("DX", "bit", 16, None, 0xA2),
        Kind("DY", "bit", 16, None, 0xA3),
        Kind("TS", "bit", 10, 0x5453, 0xC1),
        Kind("TC", "bit", 10, 0x5443, 0xC0),
        Kind("CS", "bit", 10, 0x4353, 0xC4),
        Kind("CC", "bit", 10, 0x4343, 0xC3),
        Kind("SS", "bit", 10, None, 0xC7),
        Kind("SC", "bit", 10, None, 0xC6),
    )
}

DIGITS = {8: "o", 10: "d", 16: "X"}
"""How the numbers of a base are formatted."""

LONG_COUNTERS = "CN200"
"""The area of C200 to C255 on FX3: 32 bits each, so two words a number."""
FIRST_LONG_COUNTER = 200

_PLATES: tuple[tuple[Series, str], ...] = (
    ("FX3", r"FX3.*"),
    ("iQ-F", r"IQF|FX5.*"),
    ("iQ-R", r"IQR|R(N|\d).*"),
    ("L", r"L|IQL.*|L(N|\d).*"),
    ("QnA", r"Q(N|\d)A.*"),
    ("Q", r"Q|Q(N|\d).*"),
    ("A", r"A|A(N|\d).*"),
)


def parse_series(text: str) -> Series:
    """The series of a plate's name, such as FX3U, Q03UDECPU or iQ-R. Raises ValueError."""
    plate = re.sub(r"[-_ ]", "", text).upper()
    for series, pattern in _PLATES:
        if re.fullmatch(pattern, plate):
            return series
    raise ValueError(
        f"{text!r} is no series; write A, FX3, QnA, Q, L, iQ-R, iQ-F or the name on the plate, such as FX3U"
    )


def most_words(series: Series, frame: Frame, code: Code) -> tuple[int, int]:
    """How many words one request may hold: of word devices, and of bit devices read as words."""
    if frame == "1E":
        return (64, 32) if series in OCTAL_SERIES else (256, 128)
    if series == "A":
        return 64, 64
    words = 480 if series == "QnA" or (series == "iQ-F" and code == "ascii") else 960
    return words, words
