"""What a simulated Modbus device does wrong, on request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from collectors.simulate import faults
from collectors.simulate.modbus_frames import ILLEGAL_ADDRESS, Area

_AREAS: tuple[Area, ...] = ("coil", "discrete", "input", "holding")


@dataclass(frozen=True, slots=True)
class Faults(faults.Faults):
    """Besides what any device may do wrong.

    ``illegal``: these addresses are refused with exception 02, ``exceptions`` with a code of their own.
    ``silent_units`` answer nothing. ``gateway``: for a unit that is silent or not there, answer with exception 0B as
    a gateway does, instead of nothing. ``stale_every`` N: every Nth answer has the transaction id of the request
    before (RTU has none).
    """

    illegal: frozenset[tuple[Area, int]] = frozenset()
    silent_units: frozenset[int] = frozenset()
    gateway: bool = False
    exceptions: frozenset[tuple[Area, int, int]] = frozenset()
    stale_every: int = 0

    @property
    def refused(self) -> Mapping[tuple[Area, int], int]:
        """The exception code of each address that is not given."""
        by_code = {(area, at): code for area, at, code in self.exceptions}
        return {**dict.fromkeys(self.illegal, ILLEGAL_ADDRESS), **by_code}


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


def parse_exception(text: str) -> tuple[Area, int, int]:
    """``holding:900=04`` as area, address and exception code (hexadecimal). Raises ValueError."""
    found = re.fullmatch(r"(.+)=([0-7]?[0-9A-Fa-f])", text)
    if not found:
        raise ValueError(f"cannot read {text!r} as an exception; write it like holding:900=04")
    return (*parse_address(found[1]), int(found[2], 16))
