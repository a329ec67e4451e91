"""The MC protocol as a PLC speaks it: requests out of a byte stream, answers to them. No I/O.

After the FX3U-ENET manual ch. 9 (1E) and the MELSEC Communication Protocol Reference ch. 4, 5 and 8 (3E, 4E).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

from collectors.simulate.server import FrameError

Frame = Literal["1E", "3E", "4E"]
Code = Literal["binary", "ascii"]

CODES = {
    0xA8: "D", 0xB4: "W", 0xAF: "R", 0xB0: "ZR", 0xA9: "SD", 0xB5: "SW", 0xCC: "Z", 0xC2: "TN", 0xC5: "CN",
    0xC8: "SN", 0x90: "M", 0x92: "L", 0x93: "F", 0x94: "V", 0x98: "S", 0x9C: "X", 0x9D: "Y", 0xA0: "B",
    0xA1: "SB", 0xA2: "DX", 0xA3: "DY", 0x91: "SM", 0xC1: "TS", 0xC0: "TC", 0xC4: "CS", 0xC3: "CC",
    0xC7: "SS", 0xC6: "SC",
}  # fmt: skip
_HEXADECIMAL = {"X", "Y", "B", "W", "SB", "SW", "DX", "DY"}
_READ = 0x0401


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. ``command`` is the subheader of 1E; ``echo`` is what 3E and 4E answers repeat of it."""

    command: int
    subcommand: int
    target: tuple[int, ...]
    device: str = ""
    head: int = 0
    points: int = 0
    echo: bytes = b""


def take(frame: Frame, code: Code, buffer: bytearray, series: str) -> Request | None:
    """Remove the first whole request from `buffer`; None while there is none. Raises FrameError."""
    try:
        found = _take_1e(code, buffer) if frame == "1E" else _take_3e(frame, code, buffer, series)
    except (ValueError, UnicodeDecodeError, struct.error) as error:
        raise FrameError(f"cannot read a request: {error}") from None
    if found is None:
        return None
    request, length = found
    del buffer[:length]
    return request


def _take_1e(code: Code, buffer: bytearray) -> tuple[Request, int] | None:
    wide = 1 if code == "binary" else 2
    if len(buffer) < 12 * wide:
        return None
    if code == "binary":
        command, pc, _timer, head, letters, points, _ = struct.unpack_from("<BBHIHBB", buffer)
    else:
        text = buffer[:24].decode("ascii")
        command, pc, letters, head, points = (
            int(text[a:b], 16) for a, b in ((0, 2), (2, 4), (8, 12), (12, 20), (20, 22))
        )
    if command > 3:
        raise FrameError(f"cannot read a request of subheader {command:02X}")
    points = points or 256
    data = 0 if command < 2 else 2 * points if command == 3 else (points + 1) // 2
    if len(buffer) < (12 + data) * wide:
        return None
    device = letters.to_bytes(2, "big").decode("latin-1").rstrip()
    return Request(command, 0, (pc,), device, head, points), (12 + data) * wide


def _take_3e(frame: Frame, code: Code, buffer: bytearray, series: str) -> tuple[Request, int] | None:
    size = 9 if frame == "3E" else 13
    begin = size if code == "binary" else 2 * size
    if len(buffer) < begin:
        return None
    if code == "binary":
        header = bytes(buffer[:size])
        length = int.from_bytes(header[-2:], "little")
        network, pc, io, station = struct.unpack("<BBHB", header[-7:-2])
    else:
        text = buffer[:begin].decode("ascii")
        header, length = bytes.fromhex(text), int(text[-4:], 16)
        network, pc, io, station = struct.unpack(">BBHB", header[-7:-2])
    if header[:2] != (b"\x50\x00" if frame == "3E" else b"\x54\x00"):
        raise FrameError(f"cannot read a request that begins with {header[:2].hex()}")
    if len(buffer) < begin + length:
        return None
    body, echo = bytes(buffer[begin : begin + length]), bytes(buffer[4 if code == "ascii" else 2 : begin])
    asked = _body_binary(body) if code == "binary" else _body_ascii(body.decode("ascii"), series)
    command, subcommand, device, head, points = asked
    request = Request(command, subcommand, (network, pc, io, station), device, head, points, echo)
    return request, begin + length


def _body_binary(body: bytes) -> tuple[int, int, str, int, int]:
    command, subcommand = struct.unpack_from("<HH", body, 2)
    if command != _READ:
        return command, subcommand, "", 0, 0
    if subcommand & 2:
        head, code, points = struct.unpack("<IHH", body[6:])
    else:
        place, points = struct.unpack("<IH", body[6:])
        head, code = place & 0xFFFFFF, place >> 24
    return command, subcommand, CODES.get(code, f"{code:02X}"), head, points


def _body_ascii(body: str, series: str) -> tuple[int, int, str, int, int]:
    command, subcommand = int(body[4:8], 16), int(body[8:12], 16)
    if command != _READ:
        return command, subcommand, "", 0, 0
    pattern = r"(.{4})(.{8})(.{4})" if subcommand & 2 else r"(.{2})(.{6})(.{4})"
    found = re.fullmatch(pattern, body[12:])
    if not found:
        raise ValueError(f"a read of {len(body)} characters")
    device = re.sub(r"^ST(?=.)", "S", found[1].rstrip("*"))
    base = 16 if device in _HEXADECIMAL else 10
    if device in ("X", "Y") and series in ("FX3", "iQ-F"):
        base = 8
    return command, subcommand, device, int(found[2], base), int(found[3], 16)


def answer_1e(
    code: Code, request: Request, end: int, values: list[int] | None, *, abnormal: int = 0
) -> bytes:
    """An answer of 1E; the FX3U's module sends a 00 after an abnormal code."""
    head = bytes([request.command | 0x80, end]) + (bytes([abnormal, 0]) if end == 0x5B else b"")
    data = _data(code, request.command == 0, values or [])
    return head + data if code == "binary" else head.hex().upper().encode() + data


def answer_3e(frame: Frame, code: Code, request: Request, end: int, values: list[int] | None) -> bytes:
    """An answer of 3E or 4E; one that refuses repeats where it comes from and what was asked."""
    subheader = 0xD0 if frame == "3E" else 0xD4
    where = request.echo[: -2 if code == "binary" else -4]
    if code == "binary":
        head = bytes([subheader, 0]) + where
        body = struct.pack("<H", end) + _data(code, request.subcommand & 1 == 1, values or [])
        if end:
            body += where[-5:] + struct.pack("<HH", request.command, request.subcommand)
        return head + struct.pack("<H", len(body)) + body
    text = f"{end:04X}" + _data(code, request.subcommand & 1 == 1, values or []).decode()
    if end:
        text += where[-10:].decode() + f"{request.command:04X}{request.subcommand:04X}"
    return f"{subheader:02X}00{where.decode()}{len(text):04X}{text}".encode()


def _data(code: Code, bits: bool, values: list[int]) -> bytes:
    if not bits:
        form = "".join(f"{v:04X}" for v in values).encode()
        return struct.pack(f"<{len(values)}H", *values) if code == "binary" else form
    digits = "".join(map(str, values))
    if code == "ascii":
        return digits.encode()
    return bytes.fromhex(digits + "0" * (len(digits) % 2))
