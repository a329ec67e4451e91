"""Modbus TCP and RTU over TCP: addresses, defaults, devices. The driver is imported when a link is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from collectors.model import Address, Block, Connection, Device, Limits, Link
from collectors.quantities import parse_duration

DEFAULTS: Mapping[str, Any] = {
    "port": 502,
    "unitId": 1,
    "timeout": "3s",
    "transport": "tcp",
    "maxRegisters": 125,
    "maxBits": 2000,
    "gap": 8,
    "pause": "0ms",
}
URL_PATH = "unitId"
REQUEST_S = 0.02
ORDER = TEXT_ORDER = "ABCD"
TOP_BIT = "15"
LAST = 65535

_DIGITS = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_BIT_AREAS = {"coil", "discrete"}
_ADDRESS = re.compile(r"(?:([A-Za-z]+):)?(0[xX][0-9A-Fa-f]+|\d+)(?:\.(\w+))?")
_NOTATIONS = (
    "write a 5- or 6-digit reference counted from 1, such as 40001 or 400001 "
    "(0 coil, 1 discrete, 3 input, 4 holding), or an area with an address counted from 0, such as holding:0"
)


def parse_address(tag: Mapping[str, Any], options: Mapping[str, Any]) -> Address:
    """The address of a tag; a reference n is the protocol address n - 1. Raises ValueError."""
    text = str(tag.get("address", ""))
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no Modbus address; {_NOTATIONS}")
    area, digits, bit = match.groups()
    if area is None:
        area, offset = _reference(digits)
    else:
        offset = int(digits, 0) if digits[:2] in ("0x", "0X") else int(digits)
    if area not in _DIGITS.values():
        raise ValueError(f"{area!r} is no area; write holding, input, coil or discrete")
    if offset > LAST:
        raise ValueError(f"{text!r} is beyond the last address of an area, {area}:{LAST}")
    if area in _BIT_AREAS:
        if bit is not None:
            raise ValueError(f"{text!r} selects a bit of what is one bit already; leave out .{bit}")
        return Address(area, offset, "bit")
    return Address(area, offset, "word", None if bit is None else _bit(text, bit))


def _reference(digits: str) -> tuple[str, int]:
    area, number = _DIGITS.get(digits[0]), digits[1:]
    if len(digits) not in (5, 6) or area is None or not number.isdecimal():
        raise ValueError(f"{digits!r} does not say from where it counts; {_NOTATIONS}")
    if int(number) == 0:
        raise ValueError(f"{digits!r} is no reference: they count from 1; {_NOTATIONS}")
    return area, int(number) - 1


def _bit(text: str, bit: str) -> int:
    if not bit.isdecimal() or int(bit) > 15:
        raise ValueError(f"{text!r}: .{bit} is no bit of a register; write .0 (least significant) to .15")
    return int(bit)


def parse_limits(options: Mapping[str, Any]) -> Limits:
    """The request limits of a device."""
    return Limits(int(options["maxRegisters"]), int(options["maxBits"]), int(options["gap"]))


def parse_device(name: str, options: Mapping[str, Any]) -> Device:
    """A device without labels and tags."""
    link = Link(str(options["host"]), int(options["port"]), str(options["transport"]))
    unit = int(options["unitId"])
    return Device(
        name=name,
        link=link,
        unit=unit,
        endpoint=f"{link.host}:{link.port}/{unit}",
        timeout_s=parse_duration(options["timeout"]),
        pause_s=parse_duration(options["pause"]),
        limits=parse_limits(options),
    )


_FUNCTIONS = {
    "coil": "01 coils",
    "discrete": "02 discrete inputs",
    "holding": "03 holding registers",
    "input": "04 input registers",
}


def describe(device: Device, block: Block) -> tuple[str, str]:
    """The function of a block's request, and the addresses it spans."""
    last = block.start + block.count - 1
    return _FUNCTIONS[block.area], f"{block.area}:{block.start}" + (f"-{last}" if block.count > 1 else "")


async def connect(link: Link, timeout_s: float) -> Connection:
    """Open a link. Raises LinkLostError."""
    from collectors.protocols.modbus_link import open_link  # noqa: PLC0415  (validation needs no driver)

    return await open_link(link, timeout_s)
