"""Answers of the MC protocol out of a stream of bytes. No I/O.

1E says neither how long an answer is nor which request it is to: both follow from the one request under way.
3E has a length, 4E a serial number besides. Whatever differs in one byte is no answer.
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Sequence
from typing import NamedTuple

from collectors.model import WrongAnswerError
from collectors.protocols.melsec_frames import Request, pack, width

ABNORMAL = 0x5B
"""End code of 1E that an abnormal code follows."""

_LONGEST_ERROR = 64
"""Bytes after an end code: the route and the command repeated, or nothing."""
_BITS = bytes(byte - 0x30 if byte in b"01" else 0xFF for byte in range(256))


class Answer(NamedTuple):
    """A whole answer of ``length`` bytes: its values, or an end code (``abnormal`` follows 5B in 1E).

    ``stale``: it has the serial number of another request, and no values. ``filler`` may follow it.
    """

    length: int
    values: Sequence[int] = ()
    end_code: int = 0
    abnormal: int | None = None
    stale: bool = False
    filler: bytes = b""


def take(request: Request, serial: int, data: bytes) -> Answer | None:
    """The answer that `data` begins with; None while it is not whole.

    Raises WrongAnswerError as soon as it cannot be one.
    """
    return _take_1e(request, data) if request.frame == "1E" else _take_3e(request, serial, data)


def _take_1e(request: Request, data: bytes) -> Answer | None:
    byte = width(request.code)
    _expect(request.head, data)
    if len(data) < 2 * byte:
        return None
    end_code = _number(request, data[byte : 2 * byte])
    if end_code == ABNORMAL:
        if len(data) < 3 * byte:
            return None
        code = _number(request, data[2 * byte : 3 * byte])
        return Answer(3 * byte, end_code=end_code, abnormal=code, filler=pack(request.code, (0, 1)))
    length = 2 * byte + (0 if end_code else _payload(request))
    if len(data) < length:
        return None
    values = () if end_code else _values(request, data[2 * byte : length])
    return Answer(length, values, end_code)


def _take_3e(request: Request, serial: int, data: bytes) -> Answer | None:
    byte = width(request.code)
    own = True
    head = request.head
    if request.frame == "4E":
        at = 2 * byte
        _expect(head[:at], data)
        own = data[at : 2 * at] == pack(request.code, (serial, 2))
        head = head[:at] + data[at : 2 * at] + head[at:]
    _expect(head, data)
    begin = len(head) + 2 * byte
    if len(data) < begin:
        return None
    size = _number(request, data[len(head) : begin])
    length = begin + size
    data_at = begin + 2 * byte
    payload = _payload(request)
    if own and size != 2 * byte + payload and not 2 * byte <= size <= (2 + _LONGEST_ERROR) * byte:
        raise WrongAnswerError(f"an answer of {size} bytes, not {2 * byte + payload}")
    if len(data) < length:
        return None
    if not own:
        return Answer(length, stale=True)
    end_code = _number(request, data[begin:data_at])
    if end_code:
        return Answer(length, end_code=end_code)
    if length != data_at + payload:
        raise WrongAnswerError(f"an answer of {size} bytes, not {2 * byte + payload}")
    return Answer(length, _values(request, data[data_at:length]))


def _expect(head: bytes, data: bytes) -> None:
    if data[: len(head)] != head[: len(data)]:
        raise WrongAnswerError(f"an answer that begins with {data[: len(head)].hex(' ')}")


def _number(request: Request, field: bytes) -> int:
    return int.from_bytes(_raw(request, field), "little" if request.code == "binary" else "big")


def _raw(request: Request, data: bytes) -> bytes:
    if request.code == "binary":
        return data
    try:
        return unhexlify(data)
    except ValueError:
        raise WrongAnswerError(f"{data[:16]!r} where hexadecimal digits belong") from None


def _payload(request: Request) -> int:
    """Bytes of the data on the wire."""
    if request.by_words:
        return 2 * request.points * width(request.code)
    return (request.points + 1) // 2 if request.code == "binary" else request.points


def _values(request: Request, data: bytes) -> Sequence[int]:
    if not request.by_words:
        digits = data.hex().encode() if request.code == "binary" else data
        return _bits(digits[request.skip : request.skip + request.count])
    raw = _raw(request, data)
    words = struct.unpack(f"{'<' if request.code == 'binary' else '>'}{request.points}H", raw)
    if request.unit == "word":
        return words
    digits = b"".join(f"{word:016b}".encode()[::-1] for word in words)
    return _bits(digits[request.skip : request.skip + request.count])


def _bits(digits: bytes) -> bytes:
    bits = digits.translate(_BITS)
    if 0xFF in bits:
        raise WrongAnswerError(f"{digits[:16]!r} where bits belong")
    return bits
