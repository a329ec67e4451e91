"""MC protocol frames as a client speaks them: requests to bytes, answers out of a stream. No I/O.

1E after the FX3U-ENET manual p. 9-8 to 9-34, 3E and 4E after the MELSEC Communication Protocol Reference
ch. 4 and 5. A frame is a row of fields: in binary code little-endian bytes, in ASCII code the hexadecimal
digits, the most significant first, and so twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from collectors.protocols.melsec import Access
from collectors.protocols.melsec_devices import (
    DIGITS,
    FIRST_LONG_COUNTER,
    KINDS,
    LONG_COUNTERS,
    Code,
    Frame,
    Kind,
)

READ = 0x0401
_RETENTIVE = {"SN": "STN", "SS": "STS", "SC": "STC"}


@dataclass(frozen=True, slots=True)
class Request:
    """A read of ``points`` words or bits, of which ``count`` values from ``skip`` on are wanted.

    ``by_words``: the answer holds words, though bits may be wanted. ``wire`` is the request and ``head`` how
    its answer begins, both but for the serial number of 4E.
    """

    frame: Frame
    code: Code
    unit: Literal["word", "bit"]
    by_words: bool
    points: int
    skip: int
    count: int
    wire: bytes
    head: bytes

    def encode(self, serial: int) -> bytes:
        """As it goes over the wire; only 4E has a serial number."""
        if self.frame != "4E":
            return self.wire
        at = 2 * width(self.code)
        return self.wire[:at] + pack(self.code, (serial, 2)) + self.wire[at:]


def width(code: Code) -> int:
    """Bytes on the wire for a byte of a field."""
    return 1 if code == "binary" else 2


def pack(code: Code, *fields: tuple[int, int]) -> bytes:
    """Fields of a value and a size in bytes each."""
    if code == "binary":
        return b"".join(value.to_bytes(size, "little") for value, size in fields)
    return "".join(f"{value:0{2 * size}X}" for value, size in fields).encode()


@lru_cache(4096)
def request(access: Access, area: str, unit: Literal["word", "bit"], start: int, count: int) -> Request:
    """The request that reads a block.

    More than 16 bits come as words, from a multiple of 16: a quarter of the bytes, and it reaches further.
    1E ASCII gives points in pairs, since manuals differ on whether an odd one is filled up there.
    """
    device, head, points, skip, by_words = area, start, count, 0, unit == "word"
    if area == LONG_COUNTERS:
        device, head = "CN", FIRST_LONG_COUNTER + start // 2
    elif unit == "bit":
        by_words = count > 16
        step = 16 if by_words else 2 if access.frame == "1E" and access.code == "ascii" else 1
        skip = start % step
        head = start - skip
        steps = -(-(skip + count) // step)
        points = steps if by_words else steps * step
    encode = _encode_1e if access.frame == "1E" else _encode_3e
    wire, answer = encode(access, KINDS[device], head, points, by_words)
    return Request(access.frame, access.code, unit, by_words, points, skip, count, wire, answer)


def _encode_1e(access: Access, kind: Kind, head: int, points: int, by_words: bool) -> tuple[bytes, bytes]:
    """The request, and how its answer begins; ASCII has the device's code before its number."""
    code = access.code
    number, device = (head, 4), (kind.code_1e or 0, 2)
    place = (number, device) if code == "binary" else (device, number)
    wire = pack(
        code, (by_words, 1), (access.pc, 1), (access.timer, 2), *place, (points % 256, 1), (0, 1)
    )  # 0 points are 256
    return wire, pack(code, (0x80 | by_words, 1))


def _encode_3e(access: Access, kind: Kind, head: int, points: int, by_words: bool) -> tuple[bytes, bytes]:
    """The request without serial number, and how its answer begins; iQ-R has longer numbers and codes."""
    code, wide = access.code, access.series == "iQ-R"
    if code == "binary":
        device = pack(code, (head, 4 if wide else 3), (kind.code_3e, 2 if wide else 1))
    else:
        name = _RETENTIVE.get(kind.name, kind.name) if wide else kind.name
        digits = format(head, DIGITS[kind.base_on(access.series)])
        device = (name.ljust(4 if wide else 2, "*") + digits.rjust(8 if wide else 6, "0")).encode()
    subcommand = (0 if by_words else 1) + (2 if wide else 0)
    body = pack(code, (access.timer, 2), (READ, 2), (subcommand, 2)) + device + pack(code, (points, 2))
    serial = [] if access.frame == "3E" else [(0, 2)]
    route = [(access.network, 1), (access.pc, 1), (access.module_io, 2), (access.station, 1)]
    ask, answer = (0x50, 0xD0) if access.frame == "3E" else (0x54, 0xD4)
    wire = pack(code, (ask, 1), (0, 1), *serial, *route, (len(body), 2)) + body
    return wire, pack(code, (answer, 1), (0, 1), *serial, *route)
