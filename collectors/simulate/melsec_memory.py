"""The devices of a simulated PLC: which there are in a series, and what they hold.

Ranges: FX3U-ENET manual p. 9-17; QnU Ethernet manual p. 57 and the default parameters of a QnU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from collectors.simulate.memory import Table

Series = Literal["FX3", "Q", "iQ-R", "iQ-F"]
Ranges = Mapping[str, Sequence[range]]

LONG_COUNTERS = range(200, 256)
"""C200 to C255 of FX3 hold 32 bits; as words they are the device ``CN200``, two for each."""

BITS = frozenset(
    {"X", "Y", "M", "L", "F", "V", "S", "B", "SM", "SB", "DX", "DY", "TS", "TC", "CS", "CC", "SS", "SC"}
)

_FX3: Ranges = {
    "D": [range(8512)], "R": [range(32768)], "TN": [range(512)], "CN": [range(200)], "CN200": [range(112)],
    "M": [range(7680), range(8000, 8512)], "S": [range(4096)],
    "X": [range(0o400)], "Y": [range(0o400)], "TS": [range(512)], "CS": [range(256)],
}  # fmt: skip
_Q: Ranges = {
    "D": [range(12288)], "W": [range(0x2000)], "R": [range(32768)], "ZR": [range(65536)], "SD": [range(2048)],
    "SW": [range(0x800)], "Z": [range(20)], "TN": [range(2048)], "CN": [range(1024)], "SN": [range(2048)],
    "M": [range(8192)], "L": [range(8192)], "F": [range(2048)], "V": [range(2048)], "S": [range(8192)],
    "X": [range(0x2000)], "Y": [range(0x2000)], "DX": [range(0x2000)], "DY": [range(0x2000)],
    "B": [range(0x2000)], "SB": [range(0x800)], "SM": [range(2048)], "TS": [range(2048)], "TC": [range(2048)],
    "CS": [range(1024)], "CC": [range(1024)], "SS": [range(2048)], "SC": [range(2048)],
}  # fmt: skip
_Q_BY_1E: Ranges = {
    "D": [range(6144)], "R": [range(32768)], "W": [range(0x1000)], "TN": [range(2048)], "CN": [range(1024)],
    "M": [range(8192)], "F": [range(2048)], "X": [range(0x800)], "Y": [range(0x800)], "B": [range(0x1000)],
    "TS": [range(2048)], "TC": [range(2048)], "CS": [range(1024)], "CC": [range(1024)],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plc:
    """A PLC of a series; devices without a table read 0. Numbers of X and Y are plain, not octal."""

    series: Series
    tables: Mapping[str, Table] = field(default_factory=dict)

    def ranges(self, frame: str) -> Ranges:
        """The devices that a frame reaches."""
        return _FX3 if self.series == "FX3" else _Q_BY_1E if frame == "1E" else _Q

    def read(self, device: str, head: int, count: int, t: float) -> list[int]:
        """So many words (or bits) at time `t`."""
        table = self.tables.get(device)
        return table.read(head, count, t) if table else [0] * count
