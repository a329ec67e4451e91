"""Modbus frames as a client speaks them: reads to bytes, answers out of a stream. No I/O.

After "MODBUS Application Protocol Specification V1.1b3" (sections 6.1 to 6.4 and 7) and "MODBUS Messaging on TCP/IP
Implementation Guide V1.0b" (section 3.1.3); RTU frames, here over TCP, after "MODBUS over Serial Line V1.02"
(section 2.5.1). There is no function that writes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from collectors.model import WrongAnswerError

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""The function that reads an area."""
_BIT_FUNCTIONS = {1, 2}
_REFUSED = 0x80
"""Set in the function of an answer that is an exception."""
_MBAP = struct.Struct(">HHH")
_LONGEST = 254
"""Unit id and a PDU of at most 253 bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """A read of ``count`` registers or bits; ``body`` is unit and PDU, ``size`` the bytes of data in its answer."""

    unit: int
    function: int
    count: int
    body: bytes
    size: int
    head: bytes
    unpack: struct.Struct


class Answer(NamedTuple):
    """A whole answer of ``length`` bytes: its values, or the ``exception`` code.

    ``stale``: it has another transaction id, and no values.
    """

    length: int
    values: Sequence[int] = ()
    exception: int = 0
    stale: bool = False
    filler: bytes = b""


@lru_cache(4096)
def request(unit: int, area: str, start: int, count: int) -> Request:
    """The request that reads `count` registers or bits of an area."""
    function = FUNCTIONS[area]
    bits = function in _BIT_FUNCTIONS
    size = (count + 7) // 8 if bits else 2 * count
    body = struct.pack(">BBHH", unit, function, start, count)
    unpack = struct.Struct(f"{size}s" if bits else f">{count}H")
    return Request(unit, function, count, body, size, bytes([unit, function, size & 0xFF]), unpack)


def encode_tcp(request: Request, transaction: int) -> bytes:
    """As it goes over Modbus TCP."""
    return _MBAP.pack(transaction, 0, len(request.body)) + request.body


def encode_rtu(request: Request, transaction: int) -> bytes:
    """As it goes over RTU, which has no transaction id."""
    return request.body + crc(request.body)


def take_tcp(request: Request, transaction: int, data: bytes) -> Answer | None:
    """The answer that `data` begins with; None while it is not whole. Raises WrongAnswerError."""
    if len(data) < _MBAP.size:
        return None
    found, protocol, size = _MBAP.unpack_from(data)
    if protocol or not 3 <= size <= _LONGEST:
        raise WrongAnswerError(f"an answer that begins with {data[:8].hex(' ')}")
    end = _MBAP.size + size
    if len(data) < end:
        return None
    if found != transaction:
        return Answer(end, stale=True)
    values, exception = _body(request, data[_MBAP.size : end])
    return Answer(end, values, exception)


def take_rtu(request: Request, transaction: int, data: bytes) -> Answer | None:
    """The same of RTU frames; their length follows from the request."""
    if len(data) < 2:
        return None
    size = 3 if data[1] & _REFUSED else 3 + request.size
    if len(data) < size + 2:
        if not request.head.startswith(data[:3]) and data[:2] != _refusal(request):
            raise _wrong(data)
        return None
    if data[size : size + 2] != crc(data[:size]):
        raise WrongAnswerError("an answer whose checksum is wrong")
    values, exception = _body(request, data[:size])
    return Answer(size + 2, values, exception)


def _body(request: Request, body: bytes) -> tuple[Sequence[int], int]:
    """Values and exception code out of unit and PDU."""
    if body[:3] == request.head and len(body) == 3 + request.size:
        values = request.unpack.unpack_from(body, 3)
        return _bits(values[0], request.count) if request.function in _BIT_FUNCTIONS else values, 0
    if body[:2] == _refusal(request) and len(body) == 3 and body[2]:
        return (), body[2]
    raise _wrong(body)


def _refusal(request: Request) -> bytes:
    return bytes([request.unit, request.function | _REFUSED])


def _wrong(body: bytes) -> WrongAnswerError:
    return WrongAnswerError(f"the answer is of another request: {body[:3].hex(' ')}")


def _bits(data: bytes, count: int) -> Sequence[int]:
    """Bits of bytes, the least significant first."""
    text = f"{int.from_bytes(data, 'little'):0{8 * len(data)}b}"[::-1]
    return list(map(int, text[:count]))


def crc(data: bytes) -> bytes:
    """Checksum of an RTU frame: polynomial A001, begun with FFFF, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC = tuple(map(_crc_of, range(256)))
