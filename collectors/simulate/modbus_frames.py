"""Modbus as a device speaks it: requests out of a byte stream, answers to them. No I/O.

After "MODBUS Application Protocol Specification V1.1b3" (sections 6 and 7) and "MODBUS Messaging on TCP/IP
Implementation Guide V1.0b" (section 3.1.3); RTU frames after "MODBUS over Serial Line V1.02" (section 2.5.1).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from collectors.simulate.memory import Table
from collectors.simulate.server import FrameError

Area = Literal["coil", "discrete", "input", "holding"]
Memory = Mapping[Area, Table]
"""What one unit serves; an area that is not there has no address."""
Framing = Literal["tcp", "rtu-over-tcp"]

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, TARGET_SILENT = 0x01, 0x02, 0x03, 0x0B
AREAS: Mapping[int, Area] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
MAX_BITS, MAX_REGISTERS = 2000, 125
_MAX_MBAP_LENGTH = 254
"""Unit id and a PDU of at most 253 bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `transaction` is 0 where the framing has none."""

    transaction: int
    unit: int
    pdu: bytes


def take(framing: Framing, buffer: bytearray) -> Request | None:
    """Remove the first whole request from `buffer`; None while there is none. Raises FrameError."""
    return _take_tcp(buffer) if framing == "tcp" else _take_rtu(buffer)


def frame(framing: Framing, request: Request, pdu: bytes) -> bytes:
    """The answer `pdu` as it goes over the wire."""
    body = bytes([request.unit]) + pdu
    if framing == "tcp":
        return struct.pack(">HHH", request.transaction, 0, len(body)) + body
    return body + crc(body)


def answer(
    memory: Memory, pdu: bytes, t: float, refused: Mapping[tuple[Area, int], int] | None = None
) -> bytes:
    """The PDU that answers `pdu`, with the unit's values at time `t`.

    Checks in the order of the specification's state diagrams: function, quantity, addresses. Any read that
    touches an address in `refused` is answered with the exception code that stands there.
    """
    function = pdu[0]
    area = AREAS.get(function)
    if area is None:
        return refusal(pdu, ILLEGAL_FUNCTION)
    bits = area in {"coil", "discrete"}
    if len(pdu) != 5:
        return refusal(pdu, ILLEGAL_VALUE)
    start, count = struct.unpack(">HH", pdu[1:])
    if not 1 <= count <= (MAX_BITS if bits else MAX_REGISTERS):
        return refusal(pdu, ILLEGAL_VALUE)
    if area not in memory:
        return refusal(pdu, ILLEGAL_ADDRESS)
    for (where, at), code in (refused or {}).items():
        if where == area and start <= at < start + count:
            return refusal(pdu, code)
    try:
        cells = memory[area].read(start, count, t)
    except IndexError:
        return refusal(pdu, ILLEGAL_ADDRESS)
    if bits:
        packed = sum(cell << position for position, cell in enumerate(cells))
        data = packed.to_bytes((count + 7) // 8, "little")
    else:
        data = struct.pack(f">{count}H", *cells)
    return bytes([function, len(data)]) + data


def refusal(pdu: bytes, code: int) -> bytes:
    """The exception answer to a request."""
    return bytes([pdu[0] | 0x80, code])


def crc(data: bytes) -> bytes:
    """CRC-16 of an RTU frame, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def _take_tcp(buffer: bytearray) -> Request | None:
    if len(buffer) < 7:
        return None
    transaction, protocol, length = struct.unpack_from(">HHH", buffer)
    if protocol != 0 or not 2 <= length <= _MAX_MBAP_LENGTH:
        raise FrameError(f"cannot read a frame of protocol {protocol} and length {length}")
    if len(buffer) < 6 + length:
        return None
    request = Request(transaction, buffer[6], bytes(buffer[7 : 6 + length]))
    del buffer[: 6 + length]
    return request


def _take_rtu(buffer: bytearray) -> Request | None:
    """A stream has no silence between frames, so the function tells the length; unknown ones take all.

    As on a serial line, nothing is answered to a frame whose checksum is wrong.
    """
    if len(buffer) < 8:
        return None
    function = buffer[1]
    length = 8 if function <= 6 else 9 + buffer[6] if function in {15, 16} else len(buffer)
    if len(buffer) < length:
        return None
    data = bytes(buffer[:length])
    if crc(data[:-2]) != data[-2:]:
        buffer.clear()
        return None
    del buffer[:length]
    return Request(0, data[0], data[1:-2])
