"""What a simulated Modbus device does wrong, on request."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.simulate import faults
from collectors.simulate.modbus_frames import Area

_AREAS: tuple[Area, ...] = ("coil", "discrete", "input", "holding")


@dataclass(frozen=True, slots=True)
class Faults(faults.Faults):
    """Besides what any device may do wrong.

    ``illegal``: these addresses are refused with exception 02. ``silent_units`` answer nothing. ``gateway``:
    for a unit that is silent or not there, answer with exception 0B as a gateway does, instead of nothing.
    """

    illegal: frozenset[tuple[Area, int]] = frozenset()
    silent_units: frozenset[int] = frozenset()
    gateway: bool = False


def parse_address(text: str) -> tuple[Area, int]:
    """``holding:900`` or ``input:0x10`` as area and zero-based address. Raises ValueError."""
    name, _, digits = text.partition(":")
    for area in _AREAS:
        if name == area:
            try:
                address = int(digits, 0)
            except ValueError:
                break
            if 0 <= address <= 0xFFFF:
                return area, address
    raise ValueError(f"cannot read {text!r} as an address; write it like holding:900 ({', '.join(_AREAS)})")
