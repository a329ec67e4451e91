"""MELSEC over TCP, frames 1E, 3E and 4E: addresses, defaults, devices. Only reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from collectors.model import Address, Block, Connection, Device, Limits, Link, OptionError
from collectors.protocols.melsec_devices import (
    DIGITS,
    FIRST_LONG_COUNTER,
    KINDS,
    LONG_COUNTERS,
    Code,
    Frame,
    Kind,
    Series,
    most_words,
    parse_series,
)
from collectors.quantities import parse_duration

DEFAULTS: Mapping[str, Any] = {
    "port": 5000,
    "code": "binary",
    "network": 0,
    "pc": 255,
    "moduleIo": 0x3FF,
    "station": 0,
    "timeout": "3s",
}
URL_PATH = ""
REQUEST_S = 0.03
ORDER = "CDAB"
TEXT_ORDER = "BADC"
TOP_BIT = "F"
LAST = 0xFFFFFF

GAP = 32
"""A request costs the PLC a scan of some 10 ms, 32 unwanted words next to nothing."""

_ADDRESS = re.compile(r"([A-Z]+[0-9A-F]+)(?:\.(\w+))?")
_NOTATION = "write a device and its number, such as D100, M10, X1A or TN0"
_AMBIGUOUS = {"T": ("TN", "TS", "TC"), "C": ("CN", "CS", "CC"), "ST": ("SN", "SS", "SC")}
_RETENTIVE = {"STN": "SN", "STS": "SS", "STC": "SC"}
_SPECIAL = {"SM": "M", "SD": "D"}
_BASES = {8: "octal", 10: "decimal", 16: "hexadecimal"}


class Access(NamedTuple):
    """How a PLC is spoken to; ``timer`` is how long it may take itself, × 250 ms."""

    frame: Frame
    code: Code
    series: Series
    network: int
    pc: int
    module_io: int
    station: int
    timer: int


def parse_address(tag: Mapping[str, Any], options: Mapping[str, Any]) -> Address:
    """The address of a tag as its series numbers it. Raises ValueError."""
    text = str(tag.get("address", ""))
    match = _ADDRESS.fullmatch(text.strip().upper())
    if not match:
        raise ValueError(f"{text!r} is no MELSEC address; {_NOTATION}")
    series = parse_series(str(options.get("series")))
    kind, digits = _kind(text, match[1], series, str(options.get("frame")))
    number = _number(text, kind, digits, series)
    if kind.unit == "bit":
        if match[2] is not None:
            raise ValueError(f"{text!r} selects a bit of what is one bit already; leave out .{match[2]}")
        return Address(kind.name, number, "bit")
    bit = None if match[2] is None else _bit(text, match[1], match[2])
    if kind.name == "CN" and series == "FX3" and number >= FIRST_LONG_COUNTER:
        if tag.get("type") not in ("int32", "uint32"):
            raise ValueError(f"{text!r} is a counter of 32 bits on FX3; read it as int32 or uint32")
        return Address(LONG_COUNTERS, 2 * (number - FIRST_LONG_COUNTER), "word", bit)
    return Address(kind.name, number, "word", bit)


def _kind(text: str, written: str, series: Series, frame: str) -> tuple[Kind, str]:
    """The longest name of a device that `written` begins with, and the digits behind it."""
    for name, (value, contact, coil) in _AMBIGUOUS.items():
        if re.fullmatch(rf"{name}\d+", written):
            number = written.removeprefix(name)
            raise ValueError(
                f"{text!r} does not say what of it: write {value}{number} for its current value, "
                f"{contact}{number} for its contact or {coil}{number} for its coil"
            )
    for length in (3, 2, 1):
        name, digits = written[:length], written[length:]
        kind = KINDS.get(_RETENTIVE.get(name, name))
        if kind is None or not digits:
            continue
        if frame == "1E" and kind.code_1e is None:
            special = _SPECIAL.get(kind.name)
            advice = f"; write {special}{8000 if series == 'FX3' else 9000} and up" if special else ""
            raise ValueError(f"{text!r} cannot be read with frame 1E, which has no {name}{advice}")
        return kind, digits
    raise ValueError(f"{text!r} is no MELSEC address; {_NOTATION}")


def _number(text: str, kind: Kind, digits: str, series: Series) -> int:
    base = kind.base_on(series)
    try:
        number = int(digits, base)
    except ValueError:
        raise ValueError(
            f"{text!r}: {kind.name} is numbered in {_BASES[base]} on {series}, and {digits} is no such number"
        ) from None
    if number > LAST:
        raise ValueError(f"{text!r} is beyond any device number")
    return number


def _bit(text: str, word: str, bit: str) -> int:
    if re.fullmatch(r"[0-9A-F]", bit):
        return int(bit, 16)
    if bit.isdecimal() and int(bit) <= 15:
        raise ValueError(f"{text!r}: a bit is one hexadecimal digit; write {word}.{int(bit):X} for bit {bit}")
    raise ValueError(f"{text!r}: .{bit} is no bit of a word; write .0 (least significant) to .F")


def parse_limits(options: Mapping[str, Any]) -> Limits:
    """What a request may hold; bits are read as words, which begin at a multiple of 16."""
    words, bit_words = most_words(parse_series(str(options["series"])), options["frame"], options["code"])
    return Limits(words, bit_words * 16 - 15, GAP)


def parse_device(name: str, options: Mapping[str, Any]) -> Device:
    """A device without labels and tags. Raises OptionError."""
    if "frame" not in options:
        raise OptionError("frame", "a frame is required: write 1E, 3E or 4E, as the PLC's port is set")
    if "series" not in options:
        raise OptionError("series", "a series is required: write for example FX3U, Q, L, iQ-R or iQ-F")
    try:
        series = parse_series(str(options["series"]))
    except ValueError as error:
        raise OptionError("series", str(error)) from None
    frame, code = cast(Frame, options["frame"]), cast(Code, options["code"])
    timeout_s = parse_duration(options["timeout"])
    access = Access(
        frame=frame,
        code=code,
        series=series,
        network=int(options["network"]),
        pc=int(options["pc"]),
        module_io=int(options["moduleIo"]),
        station=int(options["station"]),
        timer=_timer(timeout_s),
    )
    link = Link(str(options["host"]), int(options["port"]), f"{frame} {code}")
    return Device(
        name=name,
        link=link,
        unit=access.pc,
        endpoint=f"{link.host}:{link.port}{_route(access)}",
        timeout_s=timeout_s,
        pause_s=0.0,
        limits=parse_limits(options),
        access=access,
    )


def place(series: Series, block: Block) -> str:
    """A block as its series numbers it, such as D100-D131 or X10-X17."""
    if block.area == LONG_COUNTERS:
        first, last = (FIRST_LONG_COUNTER + n // 2 for n in (block.start, block.start + block.count - 1))
        name, form = "CN", "d"
    else:
        first, last = block.start, block.start + block.count - 1
        name, form = block.area, DIGITS[KINDS[block.area].base_on(series)]
    return f"{name}{first:{form}}" + (f"-{name}{last:{form}}" if last > first else "")


def _timer(timeout_s: float) -> int:
    """A little less than we wait ourselves, so that the PLC's own word comes first; at most 10 s."""
    return max(1, min(int(timeout_s * 4) - 1, 40))


def _route(access: Access) -> str:
    """Which station behind the port, where it is not the one connected to."""
    route = (access.network, access.pc, access.module_io, access.station)
    return "" if route == (0, 255, 0x3FF, 0) else f"/{route[0]}.{route[1]}.{route[2]:X}.{route[3]}"


def describe(device: Device, block: Block) -> tuple[str, str]:
    """The function of a block's request, and the devices it spans."""
    from collectors.protocols.melsec_frames import READ, request  # noqa: PLC0415  (frames are made of Access)

    access = cast(Access, device.access)
    by_words = request(access, block.area, block.unit, block.start, block.count).by_words
    unit = "words" if by_words else "bits"
    code = f"{int(by_words):02X}" if access.frame == "1E" else f"{READ:04X}"
    return f"{access.frame} {code} {unit}", place(access.series, block)


async def connect(link: Link, timeout_s: float) -> Connection:
    """Open a link. Raises LinkLostError."""
    from collectors.protocols.melsec_link import open_link  # noqa: PLC0415  (validation needs no sockets)

    return await open_link(link, timeout_s)
